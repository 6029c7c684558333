import asyncio
import contextlib
import socket
import sys

import pytest
import uvloop

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


def buffer_of(connection):
    return (
        option(connection, socket.SOL_SOCKET, socket.SO_SNDBUF),
        option(connection, socket.SOL_SOCKET, _SO_BUF_LOCK),
    )


SMALL = 2 * tcp.SEND_BUFFER_BYTES  # the kernel doubles what it is given


def test_much_to_someone_near_gets_a_small_buffer(pair):
    server, _ = pair
    buffer = tcp.SendBuffer(server)
    buffer.carry(2**30)
    assert buffer_of(server) == (SMALL, 1)
    buffer.restore()
    assert buffer_of(server) == (SMALL, 0)


def test_what_comes_in_many_pieces_is_much_as_well(pair):
    server, _ = pair
    before = buffer_of(server)
    buffer = tcp.SendBuffer(server)
    for _ in range(8):
        buffer.carry(tcp.SEND_BUFFER_BYTES // 4)
    assert buffer_of(server) == before
    buffer.carry(1)
    assert buffer_of(server) == (SMALL, 1)


def test_each_response_is_counted_by_itself(pair):
    server, _ = pair
    before = buffer_of(server)
    buffer = tcp.SendBuffer(server)
    for _ in range(8):
        buffer.carry(tcp.SEND_BUFFER_BYTES)
        buffer.restore()
    assert buffer_of(server) == before


def test_much_to_someone_far_leaves_the_buffer_to_the_kernel(pair, monkeypatch):
    server, _ = pair
    before = buffer_of(server)
    monkeypatch.setattr(tcp, "NEAR_MICROSECONDS", 0)
    tcp.SendBuffer(server).carry(2**30)
    assert buffer_of(server) == before


def test_a_buffer_that_someone_has_chosen_stays(pair):
    server, _ = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    buffer = tcp.SendBuffer(server)
    buffer.carry(2**30)
    assert buffer_of(server) == (200_000, 1)
    buffer.restore()
    assert buffer_of(server) == (200_000, 1)


def test_packets_are_filled_for_the_time_of_a_transfer_whatever_ends_it(pair):
    server, _ = pair
    with contextlib.suppress(ValueError), tcp.corked(server):
        assert option(server, socket.IPPROTO_TCP, socket.TCP_CORK) == 1
        raise ValueError
    assert option(server, socket.IPPROTO_TCP, socket.TCP_CORK) == 0


def test_a_connection_that_was_reset_can_be_undone_too(pair):
    server, client = pair
    buffer = tcp.SendBuffer(server)
    with tcp.corked(server):
        buffer.carry(2**30)
        tcp.reset_on_close(client)
        client.close()
        with pytest.raises(ConnectionResetError):
            server.recv(1)
    buffer.restore()


def test_a_connection_that_was_closed_is_left_alone(pair):
    server, _ = pair
    with tcp.corked(server):
        server.close()


class Closing(asyncio.Protocol):
    """Tells when its transport has closed its socket."""

    def __init__(self):
        self.is_lost = asyncio.Event()

    def connection_lost(self, exc):
        asyncio.get_running_loop().call_soon(self.is_lost.set)  # it closes it right after this


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_transport_that_was_closed_is_left_alone(pair, new_loop):
    async def run():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Closing, sock=pair[1].dup())
        with tcp.corked(transport.get_extra_info("socket")):
            transport.abort()
            await protocol.is_lost.wait()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


def test_a_unix_socket_is_left_alone():
    one, other = socket.socketpair()
    with one, other, tcp.corked(one):
        buffer = tcp.SendBuffer(one)
        buffer.carry(2**30)
        one.sendall(b"as before")
        assert other.recv(100) == b"as before"
        buffer.restore()


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
