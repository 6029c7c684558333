"""`tailrace serve --workers 3`: one service to everybody, whichever process answers."""

import contextlib
import http.client
import os
import re
import signal
import socket
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

WORKERS = 3
PART = os.urandom(100_000)
LIMIT_KIB = 80 * 1024
ESTABLISHED = "01"  # as /proc/net/tcp has it
APPENDED = {"Content-Type": "application/partial-upload", "Upload-Complete": "?0"}

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="it looks at /proc")


def workers(served):
    """The processes of the workers, by their ids."""
    parent = served.process.pid
    return {
        int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    }


class Connection(http.client.HTTPConnection):
    """A connection, and the worker at its other end."""

    def __init__(self, served):
        address = urllib.parse.urlsplit(served.address)
        super().__init__(address.hostname, address.port, timeout=30)
        self._served = served
        self.connect()

    def worker(self):
        """Which process has the other end; None as long as it is on its way there."""
        ends = [f":{port:04X}" for port in (self.port, self.sock.getsockname()[1])]
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        [inode] = [
            row[9]
            for row in rows
            if row[1].endswith(ends[0]) and row[2].endswith(ends[1]) and row[3] == ESTABLISHED
        ]
        for pid in workers(self._served):
            with contextlib.suppress(OSError):
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):  # closed meanwhile
                        if os.readlink(descriptor) == f"socket:[{inode}]":
                            return pid
        return None

    def ask(self, method, target, content=None, **fields):
        """Send a request and read its response; return status, fields and content."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        self.request(method, path_of(target), content, fields)
        response = self.getresponse()
        return response.status, response.headers, response.read()

    def begin(self, method, target, **fields):
        """Send the head of a request whose content `send_part` sends."""
        self.putrequest(method, path_of(target))
        for name, value in ({"Transfer-Encoding": "chunked"} | fields).items():
            self.putheader(name.replace("_", "-"), value)
        self.endheaders()

    def send_part(self, content):
        self.send(b"%x\r\n%b\r\n" % (len(content), content))

    def finish(self):
        self.send(b"0\r\n\r\n")
        response = self.getresponse()
        return response.status, response.read().decode().strip()

    def follow(self, target):
        """Ask for a file, and return the response when its head has come."""
        self.request("GET", path_of(target))
        return self.getresponse()


def path_of(target):
    return urllib.parse.urlunsplit(("", "", *urllib.parse.urlsplit(target)[2:]))


OPTIONS = ("--workers", str(WORKERS), "--producers", "mill")


@pytest.fixture
def served(serve, tmp_path):
    """A service for one test, which may kill what it likes."""
    with serve(tmp_path / "data", *OPTIONS) as served:
        yield served


@pytest.fixture(scope="module")
def shared(serve, tmp_path_factory):
    """A service for all tests that let its workers live."""
    with serve(tmp_path_factory.mktemp("shared") / "data", *OPTIONS) as shared:
        yield shared


@pytest.fixture
def connect(until):
    """Make one connection to each of the workers of a service."""
    with contextlib.ExitStack() as stack:

        def connect(served):
            made = {}
            while len(made) < WORKERS:
                connection = Connection(served)
                stack.callback(connection.close)
                until("somebody has it", connection.worker)
                made.setdefault(connection.worker(), connection)
            return list(made.values())

        yield connect


def test_what_one_worker_is_sent_the_others_read_as_it_comes(shared, connect, until):
    uploading, *following = connections = connect(shared)
    uploading.begin("PUT", "/uploads/followed")
    until("it began", lambda: shared.state("followed") == "growing")
    link = shared.link("followed")
    responses = [connection.follow(link) for connection in following]
    for _ in range(3):
        uploading.send_part(PART)
        assert all(response.read(len(PART)) == PART for response in responses)
    assert uploading.finish() == (201, link)
    assert [response.read() for response in responses] == [b"", b""]
    for connection in connections:
        status, _, content = connection.ask("GET", link)
        assert (status, content) == (200, PART * 3)


def test_a_run_that_one_worker_makes_is_read_at_the_others(shared, connect, tmp_path, until):
    making, reading, listing = connect(shared)
    gate = tmp_path / "gate"
    form = urllib.parse.urlencode({"gate": gate})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    making.request("POST", "/make/gated", form, kind)
    made = making.getresponse()
    assert made.read(6) == b"first\n"
    response = reading.follow(made.headers["Content-Location"])
    assert response.read(6) == b"first\n"
    assert b'"growing"' in listing.ask("GET", "/files")[2]
    gate.touch()
    assert response.read() == made.read() == b"last\n"


def test_an_upload_goes_on_at_whichever_worker(shared, connect):
    connections = connect(shared)
    status, fields, _ = connections[0].ask(
        "POST", "/uploads?name=resumed", PART, Upload_Complete="?0"
    )
    assert status == 201
    upload = fields["Location"]
    link = re.search("<(.*?)>", fields["Link"])[1]
    for number, connection in enumerate(connections, 1):
        status, fields, _ = connection.ask("HEAD", upload)
        assert (status, fields["Upload-Offset"]) == (204, str(number * len(PART)))
        status, fields, _ = connection.ask(
            "PATCH", upload, PART, Upload_Offset=fields["Upload-Offset"], **APPENDED
        )
        assert status == 204
    offset = str(4 * len(PART))
    last = APPENDED | {"Upload-Complete": "?1"}
    assert connections[0].ask("PATCH", upload, b"", Upload_Offset=offset, **last)[0] == 200
    assert [connection.ask("GET", link)[2] for connection in connections] == [PART * 4] * 3


def test_an_upload_that_one_worker_writes_is_locked_to_the_others(shared, connect, until):
    connections = connect(shared)
    _, fields, _ = connections[0].ask("POST", "/uploads?name=locked", b"", Upload_Complete="?0")
    upload = fields["Location"]
    connections[0].begin("PATCH", upload, Upload_Offset="0", **APPENDED)
    connections[0].send_part(PART)
    until("it arrived", lambda: shared.length("locked") == len(PART))
    for connection in connections[1:]:
        assert connection.ask("HEAD", upload)[0] == 423
        assert connection.ask("PATCH", upload, PART, Upload_Offset="0", **APPENDED)[0] == 423
    assert connections[0].finish() == (204, "")
    for connection in connections:
        assert connection.ask("HEAD", upload)[1]["Upload-Offset"] == str(len(PART))


def test_what_one_worker_deletes_is_gone_from_all_at_once(shared, connect, until):
    uploading, following, deleting = connect(shared)
    before = shared.blobs()
    uploading.begin("PUT", "/uploads/deleted")
    uploading.send_part(PART)
    until("it arrived", lambda: shared.length("deleted") == len(PART))
    file = shared.file("deleted")
    link = file["links"][0]["url"]
    response = following.follow(link)
    assert response.read(len(PART)) == PART
    assert deleting.ask("DELETE", f"/files/{file['id']}")[0] == 204
    assert [connection.ask("GET", link)[0] for connection in connect(shared)] == [410] * 3
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    uploading.send_part(PART)
    assert uploading.finish()[0] == 410
    assert shared.blobs() == before


def test_a_killed_worker_ends_what_it_wrote_and_nothing_else(served, connect, until):
    dying, living, following = connect(served)
    dying.begin("PUT", "/uploads/lost")
    living.begin("PUT", "/uploads/kept")
    for name, connection in (("lost", dying), ("kept", living)):
        connection.send_part(PART)
        until("it arrived", lambda name=name: served.length(name) == len(PART))
    link = served.link("lost")
    response = following.follow(link)
    assert response.read(len(PART)) == PART
    killed = dying.worker()
    os.kill(killed, signal.SIGKILL)
    # Upkeep does it when the next one starts, not only a minute later.
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    lost = served.file("lost")
    assert lost["state"] == "abandoned"
    assert lost["reason"] == f"its writer was lost after {len(PART)} bytes"
    living.send_part(PART)
    assert living.finish() == (201, served.link("kept"))
    until("there are as many as before", lambda: len(workers(served)) == WORKERS)
    assert f"worker {killed} has ended (signal 9)" in served.log.read_text()
    assert served.http.get(served.link("kept")).content == PART * 2


def test_a_follower_whose_worker_was_killed_goes_on_at_another(served, connect, until):
    uploading, dying, living = connect(served)
    uploading.begin("PUT", "/uploads/followed")
    uploading.send_part(PART)
    until("it arrived", lambda: served.length("followed") == len(PART))
    link = served.link("followed")
    response = dying.follow(link)
    assert response.read(len(PART)) == PART
    os.kill(dying.worker(), signal.SIGKILL)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    living.request("GET", path_of(link), headers={"Range": f"bytes={len(PART)}-"})
    rest = living.getresponse()
    uploading.send_part(PART)
    assert rest.read(len(PART)) == PART
    assert uploading.finish() == (201, link)
    assert rest.read() == b""


def test_a_resumable_upload_whose_worker_was_killed_goes_on_at_another(served, connect, until):
    dying, living, _ = connect(served)
    _, fields, _ = dying.ask("POST", "/uploads?name=resumed", PART, Upload_Complete="?0")
    upload = fields["Location"]
    dying.begin("PATCH", upload, Upload_Offset=str(len(PART)), **APPENDED)
    dying.send_part(PART[:5000])
    until("it arrived", lambda: served.length("resumed") == len(PART) + 5000)
    assert living.ask("HEAD", upload)[0] == 423
    os.kill(dying.worker(), signal.SIGKILL)
    until("it was let go of", lambda: living.ask("HEAD", upload)[0] == 204)
    offset = living.ask("HEAD", upload)[1]["Upload-Offset"]
    assert offset == str(len(PART) + 5000)
    last = APPENDED | {"Upload-Complete": "?1"}
    status, _, _ = living.ask("PATCH", upload, PART[5000:], Upload_Offset=offset, **last)
    assert status == 200
    assert served.http.get(served.link("resumed")).content == PART * 2


def test_upkeep_is_taken_over_when_the_worker_that_did_it_is_killed(serve, tmp_path, until):
    options = ("--workers", str(WORKERS))
    with serve(
        tmp_path / "data", *options, SWEEP_SECONDS="0.1", KEEP_FILES="00:00:02"
    ) as served:
        locks = Path("/proc/locks")
        turn = (served.data / "upkeep.lock").stat().st_ino

        def on_duty():
            held = [line.split() for line in locks.read_text().splitlines()]
            return {int(row[4]) for row in held if row[5].endswith(f":{turn}")}

        [first] = on_duty()
        assert first in workers(served)
        os.kill(first, signal.SIGKILL)
        until("another has it", lambda: len(on_duty()) == 1 and on_duty() != {first})
        served.http.put(served.url("/uploads/short-lived"), data=PART)
        until("it was swept up", lambda: served.blobs() == set())


def test_many_uploads_at_once_find_the_catalogue_never_locked(shared):
    def upload(number):
        with contextlib.closing(Connection(shared)) as connection:
            statuses = [
                connection.ask("PUT", f"/uploads/at-once-{number}-{turn}", b"small")[0]
                for turn in range(10)
            ]
        return set(statuses)

    with ThreadPoolExecutor(12) as pool:
        assert set.union(*pool.map(upload, range(12))) == {201}
    names = [file["name"] for file in shared.files()]
    assert len([name for name in names if name.startswith("at-once-")]) == 120


def test_the_memory_of_each_is_that_of_one(served, connect):
    connections = connect(served)
    for connection in connections:
        connection.begin("PUT", "/uploads/large")
        for _ in range(16):
            connection.send_part(bytes(1024 * 1024))
        assert connection.finish()[0] == 201
    for pid in workers(served):
        status = Path(f"/proc/{pid}/status").read_text()
        assert int(re.search(r"VmHWM:\s+([0-9]+) kB", status)[1]) < LIMIT_KIB


def test_a_worker_that_is_told_to_end_finishes_what_it_has_and_is_replaced(
    served, connect, until
):
    uploading, *_ = connect(served)
    before = workers(served)
    leaving = uploading.worker()
    uploading.begin("PUT", "/uploads/finished")
    uploading.send_part(PART)
    until("it arrived", lambda: served.length("finished") == len(PART))
    os.kill(leaving, signal.SIGTERM)
    uploading.send_part(PART)
    assert uploading.finish()[0] == 201
    uploading.close()
    until("another came", lambda: len(workers(served)) == 3 and leaving not in workers(served))
    assert len(workers(served) - before) == 1
    assert served.http.get(served.link("finished")).content == PART * 2


def test_transfers_at_every_worker_may_end_in_their_grace(served, connect, until):
    connections = connect(served)
    for number, connection in enumerate(connections):
        connection.begin("PUT", f"/uploads/{number}")
        connection.send_part(PART)
        until("it arrived", lambda name=str(number): served.length(name) == len(PART))
    links = [served.link(str(number)) for number in range(WORKERS)]
    served.process.terminate()
    until("new connections were refused", lambda: is_refused(served))
    assert [connection.finish() for connection in connections] == [(201, url) for url in links]
    served.wait()


def test_interrupted_twice_it_does_not_wait(served, connect, until):
    connections = connect(served)
    connections[0].begin("PUT", "/uploads/endless")
    connections[0].send_part(PART)
    until("it arrived", lambda: served.length("endless") == len(PART))
    begun_at = time.monotonic()
    served.process.send_signal(signal.SIGINT)
    until("new connections were refused", lambda: is_refused(served))
    served.process.send_signal(signal.SIGINT)
    served.has_ended = True
    assert served.process.wait(30) == 130
    assert time.monotonic() - begun_at < 15  # of a grace of 30 seconds


def is_refused(served):
    address = urllib.parse.urlsplit(served.address)
    try:
        socket.create_connection((address.hostname, address.port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--host", "0.0.0.0"), "without a key would let anyone in"),
        (("--producers", "no_such_module"), "'no_such_module' of --producers"),
    ],
)
def test_what_keeps_it_from_starting_is_said_once(run, tailrace, tmp_path, options, sentence):
    ended = run(*tailrace, "serve", tmp_path / "data", "--port", 0, "--workers", 3, *options)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("count", ["0", "-1", "two", "1000"])
def test_a_count_that_is_none_is_wrong_use(run, tailrace, tmp_path, count):
    ended = run(*tailrace, "serve", tmp_path, f"--workers={count}")
    assert ended.returncode == 2
    assert "workers are a number from 1 to 256" in ended.stderr
