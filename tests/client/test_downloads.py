"""Whole downloads from a server that does what it is told."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
from hostile import (
    Hostile,
    answer,
    chunked,
    cut,
    honest,
    raw,
    response,
    whole,
)

from tailrace.client.connections import Timeouts
from tailrace.client.downloads import Session, download
from tailrace.client.moves import Patience
from tailrace.client.throttle import Throttle
from tailrace.errors import (
    ConfigurationError,
    ConnectionLost,
    DigestMismatch,
    LengthExceeded,
    MalformedContent,
    Refused,
    RepresentationChanged,
    StorageFull,
    TailraceError,
    TransferError,
    UnsafeTarget,
)

CONTENT = bytes(range(256)) * 40
OTHER = bytes(reversed(range(256))) * 40
ETAG = ("ETag", '"one"')
OTHER_ETAG = ("ETag", '"two"')


def sha256_field(content):
    import base64

    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return ("Repr-Digest", f"sha-256=:{digest}:")


def fetch(server, path, quick, target="/file.bin", **options):
    return download(server.url(target), path, **quick, **options)


def nothing_is_left(directory):
    return not list(directory.iterdir())


# --- the ordinary -------------------------------------------------------------------------


def test_a_file_is_downloaded(tmp_path, quick):
    with Hostile(whole(CONTENT)) as server:
        done = fetch(server, tmp_path, quick)
    assert done.path == tmp_path / "file.bin"
    assert done.path.read_bytes() == CONTENT
    assert (done.length, done.sha256, done.resumed_from) == (len(CONTENT), None, 0)
    assert os.listdir(tmp_path) == ["file.bin"]


def test_an_empty_file_is_downloaded(tmp_path, quick):
    with Hostile(whole(b"")) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == b""


def test_chunked_content_is_downloaded(tmp_path, quick):
    reply = raw(
        response("200 OK", [("Transfer-Encoding", "chunked")], chunked(CONTENT, b"tail"))
    )
    with Hostile(reply) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT + b"tail"


def test_what_comes_after_the_length_is_not_of_the_file(tmp_path, quick):
    reply = raw(response("200 OK", [("Content-Length", "5")], b"helloHTTP/1.1 500 Evil"))
    with Hostile(reply) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == b"hello"


def test_the_same_length_twice_is_one_length(tmp_path, quick):
    lengths = [("Content-Length", "5"), ("Content-Length", "5")]
    with Hostile(raw(response("200 OK", lengths, b"hello"))) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == b"hello"


def test_an_interim_response_is_no_answer(tmp_path, quick):
    interim = response("103 Early Hints", [("Link", "</a>")]) + response(
        "104 Upload Resumption"
    )
    final = response("200 OK", [("Content-Length", "5")], b"hello")
    with Hostile(raw(interim, final)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == b"hello"


def test_content_is_asked_for_as_it_is(tmp_path, quick):
    with Hostile(whole(CONTENT)) as server:
        fetch(server, tmp_path, quick)
    assert server.requests[0].fields["accept-encoding"] == "identity"
    assert server.requests[0].fields["host"] == f"127.0.0.1:{server.port}"


def test_progress_is_told_up_to_the_end(tmp_path, quick):
    told = []
    with Hostile(cut(CONTENT, 100, ETAG), honest(CONTENT, ETAG)) as server:
        fetch(server, tmp_path, quick, progress=lambda *numbers: told.append(numbers))
    assert told[0] == (0, len(CONTENT))
    assert (100, len(CONTENT)) in told
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [count for count, _ in told] == sorted(count for count, _ in told)


def test_until_it_is_whole_nothing_has_its_name(tmp_path, quick):
    seen = []

    def look(count, total):
        seen.append((count, (tmp_path / "file.bin").exists()))

    with Hostile(cut(CONTENT, 5000, ETAG), honest(CONTENT, ETAG)) as server:
        fetch(server, tmp_path, quick, progress=look)
    *before, last = seen
    assert (5000, False) in before
    assert not any(exists for _, exists in before)
    assert last == (len(CONTENT), True)


# --- cuts ---------------------------------------------------------------------------------

FULL = response("200 OK", [ETAG, ("Content-Length", str(len(CONTENT)))], CONTENT)
HEAD_LENGTH = FULL.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [0, 1, 10, HEAD_LENGTH - 1, HEAD_LENGTH, HEAD_LENGTH + 1, len(FULL) - 1],
)
def test_a_cut_at_any_stage_is_resumed(tmp_path, quick, sent, then):
    with Hostile(raw(FULL[:sent], then=then), honest(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_cut_is_resumed_with_range_and_if_range(tmp_path, quick):
    with Hostile(cut(CONTENT, 1000, ETAG), honest(CONTENT, ETAG)) as server:
        fetch(server, tmp_path, quick)
    assert server.requests[1].fields["range"] == "bytes=1000-"
    assert server.requests[1].fields["if-range"] == '"one"'


def test_a_stalled_server_is_left(tmp_path, quick):
    quick["timeouts"] = Timeouts(stall_seconds=0.05)
    with Hostile(cut(CONTENT, 1000, ETAG, then="stall"), honest(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


def test_a_server_that_stalls_for_ever_is_given_up(tmp_path, quick):
    quick["timeouts"] = Timeouts(stall_seconds=0.05)
    with Hostile(raw(FULL[:HEAD_LENGTH], then="stall")) as server:
        with pytest.raises(ConnectionLost, match=r"silent for 0\.05 s"):
            fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


def test_a_connection_that_is_always_cut_fails_and_says_where_it_stood(tmp_path, quick):
    never_more = raw(response("503 Service Unavailable"))
    with Hostile(cut(CONTENT, 1000, ETAG), never_more) as server:
        with pytest.raises(TransferError, match=f"1000 of {len(CONTENT)} bytes are here"):
            fetch(server, tmp_path, quick)
    assert not (tmp_path / "file.bin").exists()


def test_a_cut_without_an_etag_starts_over(tmp_path, quick):
    with Hostile(cut(CONTENT, 1000), whole(CONTENT)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT
    assert "range" not in server.requests[1].fields


def test_a_503_is_asked_again_after_retry_after(tmp_path, quick):
    busy = answer("503 Service Unavailable", [("Retry-After", "0")])
    with Hostile(busy, whole(CONTENT)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


def test_nobody_waits_for_an_hour(tmp_path, quick):
    with Hostile(answer("503 Service Unavailable", [("Retry-After", "3600")])) as server:
        with pytest.raises(Refused, match="3600 s"):
            fetch(server, tmp_path, quick)


def test_a_growing_file_is_followed_and_resumed_to_its_end(tmp_path, quick):
    coding = ("Transfer-Encoding", "chunked")
    begun = response("200 OK", [ETAG, coding], chunked(b"one", b"two", is_complete=False))
    span = ("Content-Range", f"bytes 6-{2**53 - 1}/*")
    followed = response("206 Partial Content", [ETAG, coding, span], chunked(b"three"))
    with Hostile(raw(begun), raw(followed)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == b"onetwothree"
    assert server.requests[1].fields["range"] == "bytes=6-"


def test_a_growing_file_that_was_finished_meanwhile_is_resumed(tmp_path, quick):
    coding = ("Transfer-Encoding", "chunked")
    begun = response("200 OK", [ETAG, coding], chunked(CONTENT[:600], is_complete=False))
    with Hostile(raw(begun), honest(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


def test_a_growing_file_cut_just_before_its_end_is_not_fetched_again(tmp_path, quick):
    coding = ("Transfer-Encoding", "chunked")
    begun = response("200 OK", [ETAG, coding], chunked(CONTENT, is_complete=False))
    with Hostile(raw(begun), honest(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT
    last = len(CONTENT) - 1
    assert [request.first for request in server.requests] == [0, last + 1, last]


# --- changes and lies ---------------------------------------------------------------------


def test_a_file_that_changed_is_fetched_anew(tmp_path, quick):
    with Hostile(cut(CONTENT, 1000, ETAG), honest(OTHER, OTHER_ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == OTHER


def test_a_server_that_ignores_if_range_does_not_mix_two_files(tmp_path, quick):
    span = ("Content-Range", f"bytes 1000-{len(OTHER) - 1}/{len(OTHER)}")
    mixing = answer("206 Partial Content", [OTHER_ETAG, span], OTHER[1000:])
    with Hostile(cut(CONTENT, 1000, ETAG), mixing, whole(OTHER, OTHER_ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == OTHER


def test_a_file_that_never_comes_to_rest_fails(tmp_path, quick):
    replies = [cut(CONTENT, 1000, ("ETag", f'"{turn}"')) for turn in range(9)]
    with Hostile(*replies) as server, pytest.raises(RepresentationChanged):
        fetch(server, tmp_path, quick)


def test_a_range_request_answered_with_the_whole_starts_over(tmp_path, quick):
    with Hostile(cut(CONTENT, 1000, ETAG), whole(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "content_range",
    ["bytes 999-10238/10240", "bytes 1000-10239/10241", "items 1000-10239/10240", "bytes x"],
)
def test_a_part_with_a_wrong_content_range_is_not_taken(tmp_path, quick, content_range):
    wrong = answer("206 Partial Content", [ETAG, ("Content-Range", content_range)], b"?" * 9240)
    with Hostile(cut(CONTENT, 1000, ETAG), wrong, whole(CONTENT, ETAG)) as server:
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


def test_a_content_coding_nobody_asked_for_is_refused(tmp_path, quick):
    coded = whole(gzip.compress(CONTENT), ("Content-Encoding", "gzip"))
    with Hostile(coded) as server, pytest.raises(TransferError, match="gzip"):
        fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


MALFORMED = {
    "two lengths": response(
        "200 OK", [("Content-Length", "5"), ("Content-Length", "6")], b"hello"
    ),
    "a list of two lengths": response("200 OK", [("Content-Length", "5, 6")], b"hello"),
    "a length with a sign": response("200 OK", [("Content-Length", "+5")], b"hello"),
    "a length that is none": response("200 OK", [("Content-Length", "five")], b"hello"),
    "length and chunked": response(
        "200 OK", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], chunked(b"hello")
    ),
    "a coding inside chunked": response(
        "200 OK", [("Transfer-Encoding", "gzip, chunked")], chunked(b"hello")
    ),
    "garbage": b"\x00\x01\x02 this is not HTTP\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\n",
    "a line that is no field": response("200 OK", [("Content-Length", "5")], b"hello").replace(
        b"Content", b"no colon here\r\nContent"
    ),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
    "a chunk size with a sign": response(
        "200 OK", [("Transfer-Encoding", "chunked")], b"+5\r\nhello\r\n0\r\n\r\n"
    ),
    "a chunk longer than it says": response(
        "200 OK", [("Transfer-Encoding", "chunked")], b"3\r\nhello\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_http_fails(tmp_path, quick, reply):
    with Hostile(raw(reply)) as server, pytest.raises(MalformedContent):
        fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


def test_a_close_is_no_proof_of_the_end(tmp_path, quick):
    with Hostile(raw(response("200 OK", [], CONTENT))) as server:
        with pytest.raises(TransferError, match="SHA-256"):
            fetch(server, tmp_path, quick)
    assert not (tmp_path / "file.bin").exists()


def test_a_digest_is_proof_of_an_end_by_close(tmp_path, quick):
    with Hostile(raw(response("200 OK", [], CONTENT))) as server:
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        assert fetch(server, tmp_path, quick, sha256=sha256).path.read_bytes() == CONTENT


# --- digests ------------------------------------------------------------------------------


def test_a_digest_of_the_server_is_verified(tmp_path, quick):
    with Hostile(whole(CONTENT, sha256_field(CONTENT))) as server:
        done = fetch(server, tmp_path, quick)
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_content_with_another_digest_is_deleted(tmp_path, quick):
    with Hostile(whole(CONTENT, sha256_field(OTHER))) as server:
        with pytest.raises(DigestMismatch):
            fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


def test_a_wanted_digest_is_verified(tmp_path, quick):
    with Hostile(whole(CONTENT)) as server:
        with pytest.raises(DigestMismatch):
            fetch(server, tmp_path, quick, sha256="00" * 32)
    assert nothing_is_left(tmp_path)


def test_a_digest_covers_what_an_earlier_run_had_left(tmp_path, quick):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    with Hostile(cut(CONTENT, 1000, ETAG), answer("404 Not Found")) as server:
        with pytest.raises(Refused):
            fetch(server, tmp_path, quick)
        server.replies = [honest(CONTENT, ETAG)]
        done = fetch(server, tmp_path, quick, sha256=sha256)
    assert (done.sha256, done.resumed_from) == (sha256, 1000)


def test_bytes_that_were_spoiled_on_the_disk_are_found_by_the_digest(tmp_path, quick):
    fields = (ETAG, sha256_field(CONTENT))
    with Hostile(cut(CONTENT, 1000, *fields), answer("404 Not Found")) as server:
        with pytest.raises(Refused):
            fetch(server, tmp_path, quick)
        (partial,) = tmp_path.glob(".*.part")
        with partial.open("r+b") as file:
            file.write(b"spoiled")
        server.replies = [honest(CONTENT, *fields)]
        with pytest.raises(DigestMismatch):
            fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("sha256", ["", "xyz", "00" * 31, "00" * 33])
def test_a_digest_that_is_none_is_refused(tmp_path, sha256):
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        download("http://127.0.0.1:1/", tmp_path, sha256=sha256)


# --- from one run to the next -------------------------------------------------------------


def interrupted(server, tmp_path, quick, content=CONTENT, after=1000):
    """Let a run leave the first bytes behind."""
    server.replies = [cut(content, after, ETAG), answer("404 Not Found")]
    with pytest.raises(Refused):
        fetch(server, tmp_path, quick)
    server.requests.clear()


def test_the_next_run_resumes(tmp_path, quick):
    with Hostile() as server:
        interrupted(server, tmp_path, quick)
        server.replies = [honest(CONTENT, ETAG)]
        done = fetch(server, tmp_path, quick)
    assert server.requests[0].fields["range"] == "bytes=1000-"
    assert done.resumed_from == 1000
    assert done.path.read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["file.bin"]


def test_the_next_run_keeps_the_name_that_the_server_gave(tmp_path, quick):
    named = ("Content-Disposition", 'attachment; filename="named.txt"')
    with Hostile(cut(CONTENT, 1000, ETAG, named), answer("404 Not Found")) as server:
        with pytest.raises(Refused):
            fetch(server, tmp_path, quick)
        server.replies = [honest(CONTENT, ETAG)]  # a 206 need not repeat it
        server.requests.clear()
        assert fetch(server, tmp_path, quick).path == tmp_path / "named.txt"


def test_a_416_at_the_length_that_is_held_finishes(tmp_path, quick):
    with Hostile() as server:
        interrupted(server, tmp_path, quick, content=CONTENT, after=len(CONTENT) - 1)
        # What the last run would have written down, had it been killed before its end.
        (record,) = tmp_path.glob(".*.part.json")
        (partial,) = tmp_path.glob(".*.part")
        partial.write_bytes(CONTENT)
        said = json.loads(record.read_text())
        said["landed"] = [[0, len(CONTENT)]]
        record.write_text(json.dumps(said))
        server.replies = [honest(CONTENT, ETAG)]
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_bytes_beyond_the_record_are_not_trusted(tmp_path, quick):
    with Hostile() as server:
        interrupted(server, tmp_path, quick)
        (partial,) = tmp_path.glob(".*.part")
        with partial.open("ab") as file:
            file.write(b"never synced" * 100)
        server.replies = [honest(CONTENT, ETAG)]
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


KILLED = """
import sys
from tailrace.client import download

def tell(count, total):
    if count == total - 1:
        print("landed", flush=True)

download(sys.argv[1], sys.argv[2], progress=tell)
"""


def test_a_run_that_was_killed_is_resumed(tmp_path, quick):
    content = CONTENT * 400  # several records long
    with Hostile(cut(content, len(content) - 1, ETAG, then="stall")) as server:
        arguments = [sys.executable, "-c", KILLED, server.url(), str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"landed\n"
            process.send_signal(signal.SIGKILL)
        assert not (tmp_path / "file.bin").exists()
        server.replies = [honest(content, ETAG)]
        done = fetch(server, tmp_path, quick)
    assert done.resumed_from > len(content) // 2
    assert done.path.read_bytes() == content


def test_two_runs_to_one_target_at_once_do_not_meet(tmp_path, quick):
    reached, go_on = threading.Event(), threading.Event()

    def slow(connection, request):
        connection.sendall(FULL[: HEAD_LENGTH + 500])
        reached.set()
        assert go_on.wait(10)
        connection.sendall(FULL[HEAD_LENGTH + 500 :])

    with Hostile(slow) as server:
        first = threading.Thread(target=fetch, args=(server, tmp_path, quick))
        first.start()
        assert reached.wait(10)
        with pytest.raises(UnsafeTarget, match="another run"):
            fetch(server, tmp_path, quick)
        go_on.set()
        first.join(10)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["file.bin"]


def test_runs_with_unique_names_go_side_by_side(tmp_path, quick):
    reached, go_on = threading.Event(), threading.Event()

    def slow(connection, request):
        connection.sendall(FULL[: HEAD_LENGTH + 500])
        reached.set()
        assert go_on.wait(10)
        connection.sendall(FULL[HEAD_LENGTH + 500 :])

    with Hostile(slow, whole(OTHER)) as server:
        first = threading.Thread(
            target=fetch, args=(server, tmp_path, quick), kwargs={"unique": True}
        )
        first.start()
        assert reached.wait(10)
        fetch(server, tmp_path, quick, unique=True)
        go_on.set()
        first.join(10)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == sorted([CONTENT, OTHER])


def test_a_run_that_went_beside_another_leaves_nothing(tmp_path, quick):
    reached, go_on = threading.Event(), threading.Event()

    def slow(connection, request):
        reached.set()
        assert go_on.wait(10)
        whole(CONTENT)(connection, request)

    with Hostile(slow, cut(OTHER, 1000, ETAG), answer("404 Not Found")) as server:
        first = threading.Thread(
            target=fetch, args=(server, tmp_path, quick), kwargs={"unique": True}
        )
        first.start()
        assert reached.wait(10)
        with pytest.raises(Refused):
            fetch(server, tmp_path, quick, unique=True)
        go_on.set()
        first.join(10)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CONTENT]


# --- names --------------------------------------------------------------------------------

NAMES = {
    "a name": ('attachment; filename="report.pdf"', "report.pdf"),
    "an extended name": (
        "attachment; filename*=UTF-8''na%C3%AFve%20file.txt",
        "naïve file.txt",
    ),
    "a way out": ('attachment; filename="../../etc/passwd"', "passwd"),
    "another way out": (r'attachment; filename="..\\..\\boot.ini"', "boot.ini"),
    "a path": ('attachment; filename="/etc/cron.d/evil"', "evil"),
    "an encoded way out": ("attachment; filename*=UTF-8''..%2F..%2Fevil.sh", "evil.sh"),
    "a hidden file": ('attachment; filename=".bashrc"', "bashrc"),
    "dots": ('attachment; filename=".."', "file.bin"),
    "nothing": ('attachment; filename=""', "file.bin"),
    "no name": ("inline", "file.bin"),
    "what cannot be read": ('attachment; filename="unfinished', "file.bin"),
}


@pytest.mark.parametrize(("field", "name"), NAMES.values(), ids=NAMES)
def test_the_server_may_name_the_file_but_not_lead_out_of_the_directory(
    tmp_path, quick, field, name
):
    directory = tmp_path / "deep" / "directory"
    directory.mkdir(parents=True)
    with Hostile(whole(CONTENT, ("Content-Disposition", field))) as server:
        assert fetch(server, directory, quick).path == directory / name
    assert os.listdir(directory) == [name]
    assert os.listdir(tmp_path) == ["deep"]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/a/b.txt?x=/c.txt", "b.txt"),
        ("/a/na%C3%AFve.txt", "naïve.txt"),
        ("/..%2F..%2Fevil.sh", "evil.sh"),
        ("/", "download"),
        ("/a/", "download"),
    ],
)
def test_without_a_name_the_url_gives_it(tmp_path, quick, target, name):
    with Hostile(whole(CONTENT)) as server:
        assert fetch(server, tmp_path, quick, target).path == tmp_path / name


def test_a_path_is_the_name(tmp_path, quick):
    named = ("Content-Disposition", 'attachment; filename="other.txt"')
    with Hostile(whole(CONTENT, named)) as server:
        assert fetch(server, tmp_path / "mine", quick).path == tmp_path / "mine"


def test_a_unique_name_keeps_the_extension(tmp_path, quick):
    named = ("Content-Disposition", 'attachment; filename="data.tar.gz"')
    with Hostile(whole(CONTENT, named)) as server:
        path = fetch(server, tmp_path, quick, unique=True).path
    stem, dot, extension = path.name.partition(".")
    assert uuid.UUID(stem)
    assert dot + extension == ".tar.gz"


def test_a_name_of_any_length_is_taken(tmp_path, quick):
    with Hostile(whole(CONTENT)) as server:
        done = fetch(server, tmp_path, quick, "/" + "x" * 400 + ".tar")
    assert done.path.read_bytes() == CONTENT


def test_an_existing_file_is_not_replaced(tmp_path, quick):
    (tmp_path / "file.bin").write_bytes(b"mine")
    with Hostile(whole(CONTENT)) as server, pytest.raises(UnsafeTarget, match=r"file\.bin"):
        fetch(server, tmp_path, quick)
    assert os.listdir(tmp_path) == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == b"mine"


def test_an_existing_path_is_refused_before_anything_is_asked(tmp_path, quick):
    (tmp_path / "mine").write_bytes(b"mine")
    with Hostile(whole(CONTENT)) as server, pytest.raises(UnsafeTarget):
        fetch(server, tmp_path / "mine", quick)
    assert server.requests == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, quick):
    def appear(count, total):
        (tmp_path / "file.bin").write_bytes(b"mine")

    with Hostile(whole(CONTENT)) as server, pytest.raises(UnsafeTarget):
        fetch(server, tmp_path, quick, progress=appear)
    assert (tmp_path / "file.bin").read_bytes() == b"mine"


def test_an_existing_file_is_replaced_by_force(tmp_path, quick):
    (tmp_path / "file.bin").write_bytes(b"old")
    with Hostile(whole(CONTENT)) as server:
        fetch(server, tmp_path, quick, force=True)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["file.bin"]


def test_what_is_no_regular_file_is_not_even_replaced_by_force(tmp_path, quick):
    os.mkfifo(tmp_path / "file.bin")
    with Hostile(whole(CONTENT)) as server, pytest.raises(UnsafeTarget, match="regular"):
        fetch(server, tmp_path, quick, force=True)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnsafeTarget, match="nowhere"):
        download("http://127.0.0.1:1/", tmp_path / "nowhere" / "file")


# --- what else may go wrong ---------------------------------------------------------------


def test_an_error_status_is_told_with_the_problem(tmp_path, quick):
    problem = json.dumps({"title": "Gone", "detail": "the link has expired"}).encode()
    fields = [("Content-Type", "application/problem+json")]
    with Hostile(answer("410 Gone", fields, problem)) as server:
        with pytest.raises(Refused, match="410 Gone: the link has expired") as caught:
            fetch(server, tmp_path, quick)
    assert caught.value.status == 410
    assert nothing_is_left(tmp_path)


def test_an_address_where_nobody_listens_fails_at_once(tmp_path):
    with Hostile() as server:
        url = server.url()
    with pytest.raises(ConnectionLost, match="no connection to"):
        download(url, tmp_path, patience=Patience(first_pause_seconds=60))
    assert nothing_is_left(tmp_path)


def test_a_full_disk_keeps_what_has_landed(tmp_path, quick, monkeypatch):
    from tailrace.client import partial

    landed = []

    def pwrite(fd, content, offset, write=os.pwrite):
        if landed:
            raise OSError(28, "No space left on device")
        landed.append(offset)
        return write(fd, content[:1000], offset)

    with Hostile(honest(CONTENT, ETAG)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(partial.os, "pwrite", pwrite)
            with pytest.raises(StorageFull, match="again to resume"):
                fetch(server, tmp_path, quick)
        assert not (tmp_path / "file.bin").exists()
        assert fetch(server, tmp_path, quick).path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/", "no url", "http://", "http://[::1", "http://h:x/"],
)
def test_what_is_no_http_url_is_refused(tmp_path, url):
    with pytest.raises(ConfigurationError):
        download(url, tmp_path)


def test_every_failure_is_a_tailrace_error(tmp_path, quick):
    for reply in (raw(b""), raw(b"", then="reset"), answer("404 Not Found"), raw(b"\xff\n\n")):
        with Hostile(reply) as server, pytest.raises(TailraceError):
            fetch(server, tmp_path, quick)
    assert nothing_is_left(tmp_path)


# --- limits -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        whole(CONTENT, ETAG),
        raw(response("200 OK", [ETAG, ("Transfer-Encoding", "chunked")], chunked(CONTENT))),
    ],
    ids=["a known length", "chunked"],
)
def test_a_file_longer_than_the_limit_fails_and_leaves_nothing(tmp_path, quick, reply):
    with Hostile(reply) as server, Session(**quick, max_length=len(CONTENT) - 1) as session:
        with pytest.raises(LengthExceeded):
            session.download(server.url(), tmp_path)
    assert nothing_is_left(tmp_path)


def test_a_file_as_long_as_the_limit_is_taken(tmp_path, quick):
    with Hostile(whole(CONTENT)) as server, Session(**quick, max_length=10240) as session:
        assert session.download(server.url(), tmp_path).length == len(CONTENT)


def test_a_throttle_slows_a_download_and_spoils_nothing(tmp_path, quick):
    throttle = Throttle(len(CONTENT) * 10)
    begun_at = time.monotonic()
    with Hostile(whole(CONTENT)) as server, Session(**quick, throttle=throttle) as session:
        assert session.download(server.url(), tmp_path).path.read_bytes() == CONTENT
    assert time.monotonic() - begun_at >= 0.1


def test_fields_of_ones_own_go_to_the_origin_only(tmp_path, quick):
    fields = [("X-Secret", "s3cret"), ("User-Agent", "mine")]
    with Hostile(whole(CONTENT)) as other:
        with Hostile(answer("302 Found", [("Location", other.url())])) as server:
            with Session(**quick, fields=fields) as session:
                session.download(server.url(), tmp_path)
    (asked,), (elsewhere,) = server.requests, other.requests
    assert (asked.fields["x-secret"], asked.fields["user-agent"]) == ("s3cret", "mine")
    assert "x-secret" not in elsewhere.fields


@pytest.mark.parametrize(
    "field",
    [
        ("Host", "x"),
        ("range", "bytes=0-"),
        ("A b", "c"),
        ("X", "a\r\nY: b"),
        ("X", ""),
        ("", ""),
    ],
)
def test_a_field_that_is_ours_or_none_is_refused(tmp_path, quick, field):
    with Session(**quick, fields=[field]) as session, pytest.raises(ConfigurationError):
        session.download("http://127.0.0.1:1/", tmp_path)


def test_two_authorizations_are_refused(tmp_path, quick):
    fields = [("authorization", "Basic eDp4")]
    with Session(**quick, fields=fields) as session, pytest.raises(ConfigurationError):
        session.download("http://127.0.0.1:1/", tmp_path, key="key")
