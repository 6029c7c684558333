import socket
import struct

import pytest

from tailrace.client.connections import Connection, Timeouts
from tailrace.client.urls import Url
from tailrace.errors import ConnectionLost, MalformedContent

URL = Url.parse("http://example.test/path")


@pytest.fixture
def pair():
    """A connection of ours, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.05)
    with theirs, Connection(ours, Timeouts(stall_seconds=0.05), None, is_secure=False) as conn:
        yield conn, theirs


def test_a_request_names_its_host_and_us(pair):
    connection, theirs = pair
    connection.send_head("GET", URL, [("X", "y")])
    assert theirs.recv(1000) == (
        b"GET /path HTTP/1.1\r\nHost: example.test\r\nUser-Agent: tailrace\r\nX: y\r\n\r\n"
    )


def test_one_connection_carries_one_exchange_after_the_other(pair):
    connection, theirs = pair
    for number in (b"1", b"2"):
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + number)
        assert connection.read_response("GET").read(100) == number


def test_no_more_is_read_than_wanted(pair):
    connection, theirs = pair
    theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert connection.read_response("GET").read(3) == b"hel"


def test_an_interim_head_is_told_apart(pair):
    connection, theirs = pair
    theirs.sendall(b"HTTP/1.1 104 X\r\n\r\nHTTP/1.1 201 Y\r\nContent-Length: 0\r\n\r\n")
    assert connection.read_next("PATCH") is None
    response = connection.read_next("PATCH")
    assert response is not None
    assert response.head.status == 201


def test_interim_responses_without_end_are_refused(pair):
    connection, theirs = pair
    theirs.sendall(b"HTTP/1.1 103 X\r\n\r\n" * 1000)
    with pytest.raises(MalformedContent, match="interim"):
        connection.read_response("GET")


def test_silence_is_a_loss(pair):
    connection, _ = pair
    with pytest.raises(ConnectionLost, match=r"silent for 0\.05 s"):
        connection.read_response("GET")


def test_a_reset_is_a_loss():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with Connection(ours, Timeouts(), None, is_secure=False) as connection:
            with pytest.raises(ConnectionLost, match="cut"):
                connection.read_response("GET")
            with pytest.raises(ConnectionLost, match="cut"):
                connection.send_head("GET", URL, [])
