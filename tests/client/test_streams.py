import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.pipes import Pipe
from tailrace.client.streams import SocketStream
from tailrace.errors import ConnectionLost


@pytest.fixture
def pair():
    """A stream of ours, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with theirs, ours:
        yield SocketStream(ours, 0.05, is_secure=False), theirs


calls = st.lists(
    st.tuples(st.sampled_from(["read", "readline", "readinto1"]), st.integers(1, 12)),
    min_size=1,
)


@given(st.text("ab\n").map(str.encode), calls)
def test_bytes_come_in_their_order_by_whatever_call(octets, calls):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = SocketStream(ours, 1, is_secure=False)
        theirs.sendall(octets)
        theirs.shutdown(socket.SHUT_WR)
        left = octets
        for name, size in calls:
            if name == "readinto1":
                buffer = bytearray(size)
                got = bytes(buffer[: stream.readinto1(memoryview(buffer))])
                assert got or not left
            else:
                got = getattr(stream, name)(size)
                expected = left[:size]
                if name == "readline":
                    expected = expected[: expected.find(b"\n") + 1 or None]
                assert got == expected
            assert left.startswith(got)
            left = left[len(got) :]


def test_a_line_longer_than_wanted_is_cut(pair):
    stream, theirs = pair
    theirs.sendall(b"0123456789\n")
    assert stream.readline(4) == b"0123"


def test_silence_is_a_loss(pair):
    stream, _ = pair
    with pytest.raises(ConnectionLost, match=r"silent for 0\.05 s"):
        stream.read(1)


def test_silence_is_a_loss_while_drawing_too(pair):
    stream, _ = pair
    with Pipe() as pipe, pytest.raises(ConnectionLost, match=r"silent for 0\.05 s"):
        stream.draw(pipe, 10)


def test_a_reset_is_a_loss(pair):
    stream, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with pytest.raises(ConnectionLost, match="cut"):
        stream.read(1)


def test_what_is_in_the_buffer_cannot_be_drawn(pair):
    stream, theirs = pair
    theirs.sendall(b"head\ncontent")
    assert stream.is_drawable
    stream.readline(100)
    assert not stream.is_drawable
    assert stream.read(7) == b"content"
    assert stream.is_drawable


def test_what_is_encrypted_cannot_be_drawn(pair):
    with socket.socket() as sock:
        assert not SocketStream(sock, 1, is_secure=True).is_drawable


def test_a_stream_is_quiet_until_something_comes(pair):
    stream, theirs = pair
    assert stream.is_quiet
    theirs.sendall(b"x\ny")
    assert not stream.is_quiet
    stream.readline(100)
    assert not stream.is_quiet
    stream.read(1)
    assert stream.is_quiet
    theirs.close()
    assert not stream.is_quiet
