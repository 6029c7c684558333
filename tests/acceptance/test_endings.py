"""Every row of the tables in docs/explanation/endings.md is brought about, and no other."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path
from types import SimpleNamespace

import pytest

PAGE = Path(__file__).parents[2] / "docs/explanation/endings.md"
PART = bytes(100_000)
FIRST = b"first\n"  # of the producers in mill.py
SHORT_GRACE = {"GRACE_SECONDS": "0.5"}

# "Transferred a partial file" and "Recv failure", of curl.
CUT = (18, 56)


def rows(heading):
    """The rows of the table below a heading, by the name of their ending."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names = cells[0]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cells[2:]}


class Scene:
    """A service, and what is needed to bring an ending about."""

    def __init__(self, **tools):
        self.__dict__.update(tools)
        self.followers = []
        self.link = self.file_id = None

    @contextlib.contextmanager
    def serving_with_others(self):
        """Use the service that many endings share; it has the producers of mill.py."""
        self.served = self.service
        yield

    @contextlib.contextmanager
    def serving(self, *options, **settings):
        with self.serve(self.tmp_path / "data", *options, **settings) as served:
            self.served = served
            yield served

    def url(self, url):
        """An address of a service that may have moved to another port since."""
        return self.served.url(urllib.parse.urlsplit(url).path)

    def follow(self, link, have=PART):
        self.link = link
        self.file_id = self.served.files()[0]["id"]  # the newest
        follower = self.started(*self.curl, "-N", link)
        assert follower.stdout.read(len(have)) == have
        self.followers.append(follower)
        return follower

    def plain_upload(self):
        """Begin an upload that cannot be resumed, and follow it."""
        uploading = self.upload(self.served, "file")
        uploading.send(PART)
        self.follow(uploading.link)
        return uploading

    def resumable_upload(self, length=None):
        """Begin a resumable upload, and follow it; return its address."""
        fields = {"Upload-Complete": "?0"}
        if length is not None:
            fields["Upload-Length"] = str(length)
        begun = self.http.post(self.served.url("/uploads?name=file"), data=PART, headers=fields)
        assert begun.status_code == 201, begun.text
        self.follow(begun.json()["links"][0]["url"])
        return begun.headers["Location"]

    def append(self, upload, content, complete="?0", **fields):
        return self.http.patch(
            upload,
            data=content,
            headers={
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(len(PART)),
                "Upload-Complete": complete,
            }
            | {name.replace("_", "-"): value for name, value in fields.items()},
        )

    def run(self, producer, *options):
        """Start a run, and follow it."""
        made = self.http.post(
            self.served.url(f"/make/{producer}"),
            data={"gate": self.gate},
            headers={"Prefer": "respond-async"},
        )
        self.follow(made.json()["links"][0]["url"], FIRST)

    def raw_request(self, request):
        """Send a request octet by octet, on a connection of its own."""
        address = urllib.parse.urlsplit(self.served.address)
        connection = self.closing(socket.create_connection((address.hostname, address.port)))
        connection.sendall(request.replace(b"\n", b"\r\n"))
        return connection


@pytest.fixture
def scene(serve, service, http, upload, started, curl, until, tmp_path):
    with contextlib.ExitStack() as stack:
        yield Scene(
            serve=serve,
            service=service,
            http=http,
            upload=upload,
            started=started,
            curl=curl,
            until=until,
            tmp_path=tmp_path,
            gate=tmp_path / "gate",
            closing=stack.enter_context,
        )


# --- writers ------------------------------------------------------------------------------


@contextlib.contextmanager
def all_was_sent(scene):
    with scene.serving_with_others():
        scene.plain_upload().finish()
        yield


@contextlib.contextmanager
def the_sender_was_cut_off(scene):
    with scene.serving_with_others():
        scene.plain_upload().process.kill()
        yield


@contextlib.contextmanager
def the_sender_of_a_resumable_upload_was_cut_off(scene):
    with scene.serving_with_others():
        upload = scene.resumable_upload()
        sending = scene.started(
            *scene.curl,
            *("-X", "PATCH", "-T", "-", "-H", "Content-Type: application/partial-upload"),
            *("-H", "Upload-Complete: ?0", "-H", f"Upload-Offset: {len(PART)}", upload),
            stdin=subprocess.PIPE,
        )
        sending.stdin.write(b"more")
        sending.stdin.flush()
        assert scene.followers[0].stdout.read(4) == b"more"
        sending.kill()
        yield


@contextlib.contextmanager
def the_upload_was_cancelled(scene):
    with scene.serving_with_others():
        assert scene.http.delete(scene.resumable_upload()).status_code == 204
        yield


@contextlib.contextmanager
def the_file_was_deleted(scene):
    with scene.serving_with_others():
        uploading = scene.plain_upload()
        file = scene.served.url(f"/files/{scene.file_id}")
        assert scene.http.delete(file).status_code == 204
        yield
        uploading.process.kill()


@contextlib.contextmanager
def less_was_sent_than_was_promised(scene):
    with scene.serving_with_others():
        connection = scene.raw_request(
            b"PUT /uploads/file HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 200000\n\n"
        )
        connection.sendall(PART)
        scene.until("it came", lambda: scene.served.length("file") == len(PART))
        scene.follow(scene.served.link("file"))
        connection.close()
        yield


@contextlib.contextmanager
def what_was_sent_has_another_digest(scene):
    with scene.serving_with_others():
        begun = scene.http.post(
            scene.served.url("/uploads?name=file"),
            data=PART,
            headers={"Upload-Complete": "?0", "Repr-Digest": f"sha-256=:{'A' * 43}=:"},
        )
        scene.follow(begun.json()["links"][0]["url"])
        refused = scene.append(begun.headers["Location"], b"more", "?1")
        assert 400 <= refused.status_code < 500
        yield


@contextlib.contextmanager
def more_was_sent_than_is_taken(scene):
    with scene.serving(FILE_LIMIT=str(len(PART) + 10)):
        uploading = scene.plain_upload()
        with contextlib.suppress(BrokenPipeError):
            uploading.process.communicate(bytes(11), timeout=30)
        yield


@contextlib.contextmanager
def full_disk(scene):
    full = scene.tmp_path / "full"
    with scene.serving("--producers", "full_disk", DISK_IS_FULL=str(full)):
        yield full


@contextlib.contextmanager
def the_disk_is_full(scene):
    with full_disk(scene) as full:
        uploading = scene.plain_upload()
        full.touch()
        with contextlib.suppress(BrokenPipeError):
            uploading.process.communicate(PART, timeout=30)
        yield


@contextlib.contextmanager
def the_disk_is_full_in_a_resumable_upload(scene):
    with full_disk(scene) as full:
        upload = scene.resumable_upload()
        full.touch()
        assert scene.append(upload, PART).status_code == 507
        yield


@contextlib.contextmanager
def the_producer_ended(scene):
    with scene.serving_with_others():
        scene.run("gated")
        scene.gate.touch()
        yield


@contextlib.contextmanager
def the_producer_failed(scene):
    with scene.serving_with_others():
        scene.run("failing")
        scene.gate.touch()
        yield


@contextlib.contextmanager
def the_reader_of_a_run_made_for_him_left(scene):
    with scene.serving_with_others():
        reader = scene.started(
            *scene.curl, "-N", "-d", f"gate={scene.gate}", scene.served.url("/make/cancelled")
        )
        assert reader.stdout.read(len(FIRST)) == FIRST
        scene.follow(scene.served.link("cancelled.txt"), FIRST)
        reader.kill()
        yield


def restarted(begin, stop, **settings):
    """An ending that is a service's, and what the next one finds."""

    @contextlib.contextmanager
    def ending(scene):
        with scene.serving(**settings) as served:
            begin(scene)
            stop(served)
        with scene.serving():
            yield

    return ending


WRITERS = {
    "all was sent": all_was_sent,
    "the sender was cut off": the_sender_was_cut_off,
    "the sender of a resumable upload was cut off": (
        the_sender_of_a_resumable_upload_was_cut_off
    ),
    "the upload was cancelled": the_upload_was_cancelled,
    "the file was deleted": the_file_was_deleted,
    "less was sent than was promised": less_was_sent_than_was_promised,
    "what was sent has another digest": what_was_sent_has_another_digest,
    "more was sent than is taken": more_was_sent_than_is_taken,
    "the disk is full": the_disk_is_full,
    "the disk is full in a resumable upload": the_disk_is_full_in_a_resumable_upload,
    "the producer ended": the_producer_ended,
    "the producer failed": the_producer_failed,
    "the reader of a run made for him left": the_reader_of_a_run_made_for_him_left,
    "the service was stopped": restarted(
        Scene.plain_upload, lambda served: served.stop(), **SHORT_GRACE
    ),
    "the service was stopped in a resumable upload": restarted(
        Scene.resumable_upload, lambda served: served.stop(), **SHORT_GRACE
    ),
    "the service was killed": restarted(Scene.plain_upload, lambda served: served.kill()),
    "the service was killed in a resumable upload": restarted(
        Scene.resumable_upload, lambda served: served.kill()
    ),
}
OF_WRITERS = rows("How a writer ends")


def test_every_ending_of_a_writer_is_in_the_table():
    assert list(OF_WRITERS) == list(WRITERS)


@pytest.mark.parametrize("ending", OF_WRITERS)
def test_a_writer_ends_as_the_table_says(scene, ending):
    row = OF_WRITERS[ending]
    with WRITERS[ending](scene):
        for follower in scene.followers:
            match row["followers"]:
                case "end":
                    assert follower.wait(30) == 0
                case "cut":
                    assert follower.wait(30) in CUT
                case "wait":
                    with pytest.raises(subprocess.TimeoutExpired):
                        follower.wait(0.2)
        link = scene.url(scene.link)

        file = scene.served.url(f"/files/{scene.file_id}")
        scene.until(
            f"the file is {row['file']}",
            lambda: scene.http.get(file).json()["state"] == row["file"],
        )
        with scene.http.get(link, stream=True) as response:
            assert response.status_code == int(row["link"])
            if response.status_code == 410:
                assert row["reason"] in response.json()["detail"]
        for follower in scene.followers:
            follower.kill()


# --- readers ------------------------------------------------------------------------------


LONG = 64 * 1024 * 1024  # more than all buffers between hold


class Reader:
    """One that reads as slowly as the test does."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb")
        self.length = None
        while line := self.file.readline().strip().lower():
            if line.startswith(b"content-length: "):
                self.length = int(line.partition(b" ")[2])

    def rest(self):
        """Read on; return how it ended."""
        left = self.length
        try:
            while left is None or left:
                if left is None:  # chunked
                    size = int(self.file.readline() or b"-1", 16)
                    if size < 0 or len(self.file.read(size + 2)) < size + 2:
                        return "cut"
                    if not size:
                        return "end"
                else:
                    content = self.file.read(min(left, 1024 * 1024))
                    if not content:
                        return "cut"
                    left -= len(content)
        except ConnectionResetError:
            return "cut"
        return "end"


def reader_of(scene, link):
    path = urllib.parse.urlsplit(link).path.encode()
    request = b"GET %s HTTP/1.1\nHost: 127.0.0.1\n\n" % path
    return Reader(scene.raw_request(request))


def sealed_file(scene):
    put = scene.http.put(scene.served.url("/uploads/file"), data=bytes(LONG))
    return put.text.strip()


@contextlib.contextmanager
def two_of_a_sealed_file(scene):
    with scene.serving():
        link = sealed_file(scene)
        yield [reader_of(scene, link), reader_of(scene, link)]


@contextlib.contextmanager
def two_of_a_growing_file(scene, **settings):
    with scene.serving(**settings):
        uploading = scene.upload(scene.served, "file")
        uploading.send(PART)
        link = uploading.link
        yield [reader_of(scene, link), reader_of(scene, link)], uploading
        if not scene.served.has_ended and uploading.process.poll() is None:
            uploading.finish()


def it_has_all_of_a_sealed_file(scene):
    with two_of_a_sealed_file(scene) as (reader, other):
        return reader.rest(), other.rest()


def it_has_followed_a_file_to_its_seal(scene):
    with two_of_a_growing_file(scene) as ((reader, other), uploading):
        uploading.finish()
        return reader.rest(), other.rest()


def it_left_while_it_was_sent_something(scene):
    with two_of_a_sealed_file(scene) as (reader, other):
        reader.file.read(100)
        reader.file.close()
        reader.connection.close()
        return "ends unread", other.rest()


def it_left_while_there_was_nothing_to_send(scene):
    with two_of_a_growing_file(scene) as ((reader, other), uploading):
        reader.file.close()
        reader.connection.close()
        uploading.send(PART)
        uploading.finish()
        return "ends unread", other.rest()


def it_took_nothing_for_a_minute(scene):
    """On a server whose minute is shorter."""
    (scene.tmp_path / "file.bin").write_bytes(bytes(LONG))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = scene.started(
        *(sys.executable, "-m", "uvicorn", "--http", "impatient:Protocol"),
        *("--app-dir", Path(__file__).parent, "--port", port, "mounted:app"),
        environment={"MOUNTED_PLACE": str(scene.tmp_path)},
        cwd=Path(__file__).parent,
    )
    scene.served = SimpleNamespace(address=f"http://127.0.0.1:{port}")
    scene.until("it listens", lambda: can_connect(port))
    reader, other = (reader_of(scene, "/file") for _ in range(2))
    ended = other.rest()
    scene.until("it was cut", lambda: connections_of(port) == 1)  # the other's
    server.send_signal(signal.SIGTERM)
    return reader.rest(), ended


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def connections_of(port):
    """Count the connections that a server here still has open, as the kernel lists them."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    established = "01"
    return sum(
        local.endswith(f":{port:04X}") and state == established
        for _, local, _, state, *_ in fields
    )


def the_file_it_read_was_given_up(scene):
    with two_of_a_growing_file(scene) as ((reader, other), uploading):
        uploading.process.kill()
        return reader.rest(), other.rest()


def the_file_it_read_was_deleted_and_was_whole(scene):
    with two_of_a_sealed_file(scene) as (reader, other):
        file = scene.served.file("file")
        assert scene.http.delete(scene.served.url(f"/files/{file['id']}")).status_code == 204
        return reader.rest(), other.rest()


def the_stored_file_has_become_shorter(scene):
    with two_of_a_sealed_file(scene) as (reader, other):
        (blob,) = [path for path in (scene.served.data / "blobs").rglob("*") if path.is_file()]
        blob.chmod(0o600)
        os.truncate(blob, LONG - 1)
        return reader.rest(), other.rest()


def the_service_was_stopped_before_it_had_all(scene):
    with two_of_a_growing_file(scene, **SHORT_GRACE) as ((reader, other), _):
        scene.served.stop()
        return reader.rest(), other.rest()


def the_service_was_killed(scene):
    with two_of_a_growing_file(scene) as ((reader, other), _):
        scene.served.kill()
        return reader.rest(), other.rest()


READERS = {
    "it has all of a sealed file": it_has_all_of_a_sealed_file,
    "it has followed a file to its seal": it_has_followed_a_file_to_its_seal,
    "it left while it was sent something": it_left_while_it_was_sent_something,
    "it left while there was nothing to send": it_left_while_there_was_nothing_to_send,
    "it took nothing for a minute": it_took_nothing_for_a_minute,
    "the file it read was given up": the_file_it_read_was_given_up,
    "the file it read was deleted, and was whole": the_file_it_read_was_deleted_and_was_whole,
    "the stored file has become shorter": the_stored_file_has_become_shorter,
    "the service was stopped before it had all": the_service_was_stopped_before_it_had_all,
    "the service was killed": the_service_was_killed,
}
OF_READERS = rows("How a reader ends")


def test_every_ending_of_a_reader_is_in_the_table():
    assert list(OF_READERS) == list(READERS)


@pytest.mark.parametrize("ending", OF_READERS)
def test_a_reader_ends_as_the_table_says(scene, ending):
    row = OF_READERS[ending]
    response, others = READERS[ending](scene)
    assert response == row["response"]
    assert others == row["others"].replace("undisturbed", "end")
