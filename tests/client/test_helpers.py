"""Downloads over several connections from a server that does what it is told."""

import os
import threading

import pytest
from hostile import Hostile, answer, cut, honest, raw, response

from tailrace.client import pace
from tailrace.client.cancellation import Cancellation, Cancelled
from tailrace.client.downloads import download
from tailrace.client.partial import Partial
from tailrace.errors import RepresentationChanged, StorageFull, TailraceError

CONTENT = os.urandom(6 * 1024 * 1024)
OTHER = os.urandom(6 * 1024 * 1024)
ETAG = ("ETag", '"one"')
OTHER_ETAG = ("ETag", '"two"')


@pytest.fixture(autouse=True)
def _every_server_is_far(monkeypatch):
    monkeypatch.setattr(pace, "_FAR_SECONDS", 0.0)


class Slow:
    """Answers the lead by its first half, and by the rest when `others` requests were made.

    The others are answered by the replies in their turn, the last one again and again.
    """

    def __init__(self, *replies, content=CONTENT, others=1, then=None):
        self.server = Hostile(self._reply)
        self._replies = replies
        self._others = others
        self._then = then
        self._content = content
        self._lock = threading.Lock()
        self._asked = 0
        self._enough = threading.Event()

    def _reply(self, connection, request):
        with self._lock:
            turn, self._asked = self._asked, self._asked + 1
        if turn == 0:
            full = response(
                "200 OK", [ETAG, ("Content-Length", str(len(self._content)))], self._content
            )
            half = len(full) // 2
            connection.sendall(full[:half])
            assert self._enough.wait(10)
            if self._then is None:
                connection.sendall(full[half:])
            return
        if turn >= self._others:
            self._enough.set()
        self._replies[min(turn, len(self._replies)) - 1](connection, request)


def fetch(slow, tmp_path, quick, **options):
    with slow.server as server:
        return download(server.url(), tmp_path, **quick, **options).path.read_bytes()


def test_several_connections_fetch_one_file(tmp_path, quick):
    slow = Slow(honest(CONTENT, ETAG), others=3)
    assert fetch(slow, tmp_path, quick, connections=4) == CONTENT
    asked = slow.server.requests[1:]
    assert len(asked) >= 3
    assert all(request.fields["if-range"] == '"one"' for request in asked)
    assert all(request.last is not None for request in asked)
    assert os.listdir(tmp_path) == ["file.bin"]


def test_one_connection_is_what_can_be_asked_for(tmp_path, quick):
    with Hostile(honest(CONTENT, ETAG)) as server:
        done = download(server.url(), tmp_path, **quick, connections=1)
    assert done.path.read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("tag", [(), (("ETag", 'W/"one"'),)], ids=["no tag", "a weak tag"])
def test_without_a_strong_tag_nobody_helps(tmp_path, quick, tag):
    with Hostile(honest(CONTENT, *tag)) as server:
        assert download(server.url(), tmp_path, **quick).path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def ranged(octets, first, last, length, *fields):
    span = ("Content-Range", f"bytes {first}-{last}/{length}")
    return answer("206 Partial Content", (span, *fields), octets)


def lying(make):
    """Reply to a helper with what `make` says of its first and last position."""

    def reply(connection, request):
        make(request.first, request.last)(connection, request)

    return reply


LENGTH = len(CONTENT)
LIES = {
    "another file": lying(lambda a, b: ranged(OTHER[a : b + 1], a, b, LENGTH, OTHER_ETAG)),
    "no tag": lying(lambda a, b: ranged(OTHER[a : b + 1], a, b, LENGTH)),
    "another start": lying(lambda a, b: ranged(CONTENT[a - 1 : b + 1], a - 1, b, LENGTH, ETAG)),
    "another length": lying(lambda a, b: ranged(CONTENT[a : b + 1], a, b, LENGTH + 1, ETAG)),
    "more than asked": lying(
        lambda a, b: ranged(CONTENT[a - 9 :], a - 9, LENGTH - 1, LENGTH, ETAG)
    ),
    "the whole": answer("200 OK", [ETAG], CONTENT),
    "a changed whole": lying(lambda a, b: answer("200 OK", [OTHER_ETAG], OTHER)),
    "a coding": lying(
        lambda a, b: ranged(OTHER[a : b + 1], a, b, LENGTH, ETAG, ("Content-Encoding", "gzip"))
    ),
    "429": answer("429 Too Many Requests", [("Retry-After", "9999")]),
    "503": answer("503 Service Unavailable"),
    "403": answer("403 Forbidden"),
    "416": answer("416 Range Not Satisfiable", [("Content-Range", "bytes */1")]),
    "garbage": raw(b"\x00\x01\x02\r\n\r\n"),
    "nothing": raw(b""),
    "a reset": raw(b"", then="reset"),
    "a redirect to nowhere": answer("302 Found", [("Location", "http://127.0.0.1:1/")]),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_whatever_helpers_are_told_the_file_is_right(tmp_path, quick, lie):
    slow = Slow(lie, others=1)
    assert fetch(slow, tmp_path, quick, connections=2) == CONTENT


def test_a_server_that_refuses_a_helper_is_not_asked_by_another(tmp_path, quick):
    slow = Slow(answer("429 Too Many Requests"), others=1)
    fetch(slow, tmp_path, quick, connections=2)
    assert len(slow.server.requests) == 2


def test_what_a_cut_helper_left_is_fetched_by_somebody(tmp_path, quick):
    def reply(connection, request):
        part = CONTENT[request.first : request.last + 1]
        fields = [ETAG, ("Content-Range", f"bytes {request.first}-{request.last}/{LENGTH}")]
        full = response("206 Partial Content", [*fields, ("Content-Length", str(len(part)))])
        connection.sendall(full + part[: len(part) // 2])

    slow = Slow(reply, honest(CONTENT, ETAG), others=2)
    assert fetch(slow, tmp_path, quick, connections=2) == CONTENT


def test_when_the_lead_is_cut_and_the_file_has_changed_all_is_fetched_anew(tmp_path, quick):
    slow = Slow(honest(CONTENT, ETAG), honest(OTHER, OTHER_ETAG), others=1, then="cut")
    assert fetch(slow, tmp_path, quick, connections=2) == OTHER


def test_a_full_disk_under_a_helper_is_told(tmp_path, quick, monkeypatch):
    pour = Partial.pour

    def refuse(self, pipe, offset, length):
        if threading.current_thread().name == "tailrace-helper":
            raise StorageFull("there is no room")
        pour(self, pipe, offset, length)

    monkeypatch.setattr(Partial, "pour", refuse)
    with pytest.raises(StorageFull):
        fetch(Slow(honest(CONTENT, ETAG)), tmp_path, quick, connections=2)


def test_the_next_run_fetches_only_what_no_helper_had(tmp_path, quick):
    cancellation = Cancellation()

    def progress(count, total):
        if count > LENGTH * 0.7:
            cancellation.cancel()

    slow = Slow(honest(CONTENT, ETAG), others=3)
    with slow.server as server:
        with pytest.raises(Cancelled):
            download(
                server.url(), tmp_path, **quick, progress=progress, cancellation=cancellation
            )
        assert not (tmp_path / "file.bin").exists()
        server.replies = [honest(CONTENT, ETAG)]
        server.requests.clear()
        done = download(server.url(), tmp_path, **quick)
    assert done.path.read_bytes() == CONTENT
    assert done.resumed_from >= LENGTH * 0.7


def test_a_cut_lead_leaves_its_rest_to_be_asked_for(tmp_path, quick):
    with Hostile(cut(CONTENT, 1000, ETAG), honest(CONTENT, ETAG)) as server:
        assert download(server.url(), tmp_path, **quick).path.read_bytes() == CONTENT


def test_a_file_that_never_comes_to_rest_fails(tmp_path, quick):
    replies = [cut(CONTENT, 3 * 2**20, ("ETag", f'"{turn}"')) for turn in range(40)]
    with Hostile(*replies) as server, pytest.raises(TailraceError) as caught:
        download(server.url(), tmp_path, **quick)
    assert isinstance(caught.value, RepresentationChanged)
    assert not (tmp_path / "file.bin").exists()
