import os
import socket
import threading

import pytest

from tailrace.client.connections import Connection, Timeouts
from tailrace.client.landing import Landing
from tailrace.client.partial import Partial
from tailrace.errors import ConnectionLost
from tailrace.spans import Span

CONTENT = bytes(range(256)) * 8192  # more than a buffer, a pipe and a piece


@pytest.fixture
def partial(tmp_path):
    partial = Partial(tmp_path, "name", "http://example.test/")
    yield partial
    partial.close()


def land(partial, octets, *, is_secure, start=0):
    """Land the content of a response that comes with its head; return its length."""
    ours, theirs = socket.socketpair()

    def send():
        theirs.sendall(octets)
        theirs.close()

    sender = threading.Thread(target=send)
    sender.start()
    timeouts = Timeouts(stall_seconds=5)
    with Connection(ours, timeouts, None, is_secure=is_secure) as connection:
        content = connection.read_response("GET").content
        offset = start
        with Landing(partial) as landing:
            while count := landing.land(content, Span(offset, 2**63 - 1)):
                offset += count
    sender.join()
    return offset - start


def with_length(content, promised=None):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
        promised or len(content),
        content,
    )


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
    len(CONTENT),
    CONTENT,
)
RESPONSES = {
    "of a known length": with_length(CONTENT),
    "chunked": CHUNKED,
    "until the close": b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT,
}


@pytest.mark.parametrize("is_secure", [False, True], ids=["spliced", "copied"])
@pytest.mark.parametrize("octets", RESPONSES.values(), ids=RESPONSES)
def test_content_lands_where_it_belongs(partial, octets, is_secure):
    assert land(partial, octets, is_secure=is_secure, start=5) == len(CONTENT)
    assert os.pread(partial.fd, len(CONTENT) + 10, 0) == bytes(5) + CONTENT


@pytest.mark.parametrize("is_secure", [False, True], ids=["spliced", "copied"])
def test_a_cut_is_told_after_all_that_came_has_landed(partial, is_secure):
    with pytest.raises(ConnectionLost):
        land(partial, with_length(CONTENT, len(CONTENT) + 1), is_secure=is_secure)
    assert os.pread(partial.fd, len(CONTENT) + 10, 0) == CONTENT


@pytest.mark.parametrize("is_secure", [False, True], ids=["spliced", "copied"])
def test_what_comes_after_the_length_does_not_land(partial, is_secure):
    land(partial, with_length(CONTENT) + b"more", is_secure=is_secure)
    assert os.fstat(partial.fd).st_size == len(CONTENT)


def test_nothing_lands_beyond_its_room(partial):
    ours, theirs = socket.socketpair()
    with theirs, Connection(ours, Timeouts(), None, is_secure=False) as connection:
        theirs.sendall(with_length(b"hello"))
        content = connection.read_response("GET").content
        with Landing(partial) as landing:
            assert landing.land(content, Span(3, 5)) == 2
    assert os.pread(partial.fd, 10, 0) == b"\0\0\0he"
