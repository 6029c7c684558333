import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.client.connections import Connection, Timeouts
from tailrace.client.sending import Sending
from tailrace.errors import ConnectionLost, LengthMismatch
from tailrace.spans import Span

CERTIFICATE = Path(__file__).parent / "localhost.pem"
TIMEOUTS = Timeouts(stall_seconds=0.05)


def connected(sock, *, is_secure=False):
    sock.settimeout(TIMEOUTS.stall_seconds)
    return Connection(sock, TIMEOUTS, None, is_secure=is_secure)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with theirs, connected(ours) as connection:
        yield connection, theirs


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        yield file


def drain(sock, into):
    with sock:
        while piece := sock.recv(65536):
            into.append(piece)


@settings(max_examples=20)
@given(st.integers(0, 3_000_000), st.data())
def test_any_span_is_sent(tmp_path_factory, length, data):
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    content = (b"0123456789" * (length // 10 + 1))[:length]
    path = tmp_path_factory.mktemp("sending") / "file"
    path.write_bytes(content)
    ours, theirs = socket.socketpair()
    received = []
    reader = threading.Thread(target=drain, args=(theirs, received))
    reader.start()
    with path.open("rb") as file, connected(ours) as connection:
        offsets = list(Sending(connection, file.fileno(), Span(start, stop), "PATCH"))
    reader.join(10)
    assert b"".join(received) == content[start:stop]
    assert offsets == sorted(offsets)
    assert (offsets or [start])[-1] == stop


def test_a_span_is_sent_over_tls(file):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(CERTIFICATE)
    server_side.num_tickets = 0  # nobody reads them here, and closing would be a reset
    content = os.urandom(2_500_000)
    file.write(content)
    ours, theirs = socket.socketpair()
    received = []

    def serve():
        drain(server_side.wrap_socket(theirs, server_side=True), received)

    reader = threading.Thread(target=serve)
    reader.start()
    context = ssl.create_default_context(cafile=CERTIFICATE)
    secure = context.wrap_socket(ours, server_hostname="localhost")
    secure.settimeout(5)
    with Connection(secure, Timeouts(), None, is_secure=True) as connection:
        offsets = list(Sending(connection, file.fileno(), Span(5, len(content)), "PATCH"))
    reader.join(10)
    assert b"".join(received) == content[5:]
    assert offsets[-1] == len(content)


def test_an_early_answer_ends_it(pair, file):
    connection, theirs = pair
    file.write(bytes(10_000_000))
    sending = Sending(connection, file.fileno(), Span(0, 10_000_000), "PATCH")
    pieces = iter(sending)
    next(pieces)
    theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert list(pieces) == []
    assert sending.response is not None
    assert sending.response.head.status == 413


def test_an_interim_answer_does_not(pair, file):
    connection, theirs = pair
    file.write(b"hello")
    theirs.sendall(b"HTTP/1.1 104 X\r\n\r\n")
    sending = Sending(connection, file.fileno(), Span(0, 5), "PATCH")
    assert list(sending) == [5]
    assert sending.response is None
    assert theirs.recv(10) == b"hello"


def test_a_closed_connection_is_a_loss_or_an_end(pair, file):
    connection, theirs = pair
    file.write(bytes(10_000_000))
    theirs.close()
    with pytest.raises(ConnectionLost):
        list(Sending(connection, file.fileno(), Span(0, 10_000_000), "PATCH"))


def test_nobody_waits_for_ever_for_a_reader(pair, file):
    connection, _ = pair
    file.write(bytes(10_000_000))
    with pytest.raises(ConnectionLost, match="takes no more bytes"):
        list(Sending(connection, file.fileno(), Span(0, 10_000_000), "PATCH"))


def test_a_file_that_is_shorter_fails(pair, file):
    connection, _ = pair
    file.write(b"hell")
    with pytest.raises(LengthMismatch) as caught:
        list(Sending(connection, file.fileno(), Span(0, 5), "PATCH"))
    assert (caught.value.expected, caught.value.received) == (5, 4)
