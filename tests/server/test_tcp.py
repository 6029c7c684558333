import contextlib
import socket
import sys

import pytest

from tailrace.server import tcp

_SO_BUF_LOCK = 72


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield server, client


def option(connection, level, name):
    return connection.getsockopt(level, name)


def test_who_is_on_this_machine_is_near(pair):
    server, _ = pair
    assert tcp.is_near(server)


@pytest.mark.parametrize(
    ("microseconds", "is_near"), [(0, False), (1, True), (499, True), (500, False)]
)
def test_near_is_a_short_round_trip_that_was_measured(microseconds, is_near):
    """`tcpi_rtt`: the octets 68 to 71 of struct tcp_info, in the machine's order."""
    info = bytes([255]) * 68 + microseconds.to_bytes(4, sys.byteorder)

    class Connection:
        def getsockopt(self, level, name, length):
            assert (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO)
            return info[:length]

    assert tcp.is_near(Connection()) is is_near


def test_a_long_transfer_to_someone_near_gets_a_small_buffer(pair):
    server, _ = pair
    with tcp.long_transfer(server, 2**30):
        assert option(server, socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * tcp.SEND_BUFFER_BYTES
    assert option(server, socket.SOL_SOCKET, _SO_BUF_LOCK) == 0


def test_a_long_transfer_to_someone_far_leaves_the_buffer_to_the_kernel(pair, monkeypatch):
    server, _ = pair
    before = option(server, socket.SOL_SOCKET, socket.SO_SNDBUF)
    monkeypatch.setattr(tcp, "NEAR_MICROSECONDS", 0)
    with tcp.long_transfer(server, 2**30):
        assert option(server, socket.SOL_SOCKET, socket.SO_SNDBUF) == before
        assert option(server, socket.SOL_SOCKET, _SO_BUF_LOCK) == 0


def test_a_buffer_that_someone_has_chosen_stays(pair):
    server, _ = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    with tcp.long_transfer(server, 2**30):
        assert option(server, socket.SOL_SOCKET, socket.SO_SNDBUF) == 200_000
    assert option(server, socket.SOL_SOCKET, _SO_BUF_LOCK) == 1


def test_a_short_transfer_leaves_the_buffer_alone(pair):
    server, _ = pair
    before = option(server, socket.SOL_SOCKET, socket.SO_SNDBUF)
    with tcp.long_transfer(server, tcp.SEND_BUFFER_BYTES):
        assert option(server, socket.SOL_SOCKET, socket.SO_SNDBUF) == before


def test_packets_are_filled_for_the_time_of_a_transfer_whatever_ends_it(pair):
    server, _ = pair
    with contextlib.suppress(ValueError), tcp.long_transfer(server, 2**30):
        assert option(server, socket.IPPROTO_TCP, socket.TCP_CORK) == 1
        raise ValueError
    assert option(server, socket.IPPROTO_TCP, socket.TCP_CORK) == 0
    assert option(server, socket.SOL_SOCKET, _SO_BUF_LOCK) == 0


def test_a_connection_that_was_reset_can_be_undone_too(pair):
    server, client = pair
    with tcp.long_transfer(server, 2**30):
        tcp.reset_on_close(client)
        client.close()
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_a_unix_socket_is_left_alone():
    one, other = socket.socketpair()
    with one, other, tcp.long_transfer(one, 2**30):
        one.sendall(b"as before")
        assert other.recv(100) == b"as before"


def test_what_the_other_machine_has_not_confirmed_is_counted(pair):
    server, client = pair
    assert tcp.unacknowledged(server) == 0
    server.setblocking(False)
    sent = server.send(bytes(64 * 1024 * 1024))
    left = tcp.unacknowledged(server)
    assert 0 < left < sent
    client.recv(100_000, socket.MSG_WAITALL)
    assert tcp.unacknowledged(server) < left


def test_a_connection_ends_by_a_reset_if_told_to(pair):
    server, client = pair
    tcp.reset_on_close(server)
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
