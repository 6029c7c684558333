"""Readers that are slow, readers that have stopped, and what all of them cost."""

import asyncio
import os
import selectors
import socket
import ssl
import subprocess
import threading
import time

import pytest
from serving import (
    BODY,
    GET,
    PATH_SEND,
    TRAILERS,
    ZERO_COPY_SEND,
    Client,
    Cut,
    Served,
    answering,
    sending,
    start,
    until,
)
from uvicorn.protocols.http.flow_control import FlowControl

from tailrace.server import Disconnected, Limits, residency, tcp
from tailrace.server.sending import Outlet

KIB = 1024
_SO_BUF_LOCK = 72


def path_app(path):
    return sending(
        start(content_length=path.stat().st_size), {"type": PATH_SEND, "path": str(path)}
    )


def octets_app(path, chunk_length=256 * KIB):
    async def app(scope, receive, send):
        whole = path.read_bytes()
        await send(start(content_length=len(whole)))
        for offset in range(0, len(whole), chunk_length):
            chunk = whole[offset : offset + chunk_length]
            await send({"type": BODY, "body": chunk, "more_body": True})
        await send({"type": BODY})

    return app


apps = pytest.mark.parametrize("app", [path_app, octets_app], ids=["file", "octets"])


def server_side(served):
    """The transport and the socket of the one connection there is."""
    (connection,) = served.connections
    return connection.transport, connection.transport.get_extra_info("socket")


# --- stalls -------------------------------------------------------------------------------


@apps
def test_a_reader_that_has_stopped_is_cut_off(served, limits, long_path, app, nothing_left):
    limits(sending_stall_seconds=0.05)
    has_ended = threading.Event()

    async def observed(scope, receive, send):
        await app(long_path)(scope, receive, send)
        has_ended.set()

    served.app = observed
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        assert has_ended.wait(10)
        client.head()
        with pytest.raises(Cut):
            client._exactly(long_path.stat().st_size, b"")


@apps
def test_a_slow_reader_is_not_cut_off(served, limits, tmp_path, app, nothing_left):
    """It takes many times the limit in all, and less than the socket's buffer in each."""
    limits(sending_stall_seconds=0.12)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(6 * KIB * KIB))
    served.app = app(path)
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        client.head()
        received = b""
        for _ in range(8):
            time.sleep(0.04)
            received += client._exactly(64 * KIB, received)
        received += client._exactly(path.stat().st_size - len(received), received)
    assert received == path.read_bytes()


def test_a_reader_of_a_record_stream_may_wait_as_long_as_the_application(served, limits):
    limits(sending_stall_seconds=0.03)

    async def app(scope, receive, send):
        await send(start())
        for _ in range(2):
            await send({"type": BODY, "body": b"record\n", "more_body": True})
            await asyncio.sleep(0.08)
        await send({"type": BODY})

    served.app = app
    assert served.get().content == b"record\n" * 2


def test_a_reader_whose_buffers_are_always_full_is_not_cut_off(
    served, limits, tmp_path, monkeypatch, nothing_left
):
    """What counts is what it has taken, not what is still under way."""
    monkeypatch.setattr(tcp, "unacknowledged", lambda _: 100_000)
    test_a_slow_reader_is_not_cut_off(served, limits, tmp_path, path_app, nothing_left)


def test_a_slow_disk_is_not_the_fault_of_the_reader(
    served, limits, path, content, monkeypatch, nothing_left
):
    limits(sending_stall_seconds=0.02)
    touch = residency._touch

    def slowly(*arguments):
        time.sleep(0.1)
        touch(*arguments)

    monkeypatch.setattr(residency, "resident_stop", lambda descriptor, start, stop: start)
    monkeypatch.setattr(residency, "_touch", slowly)
    # All has arrived. (The kernel itself would hold the head back for some time, corked.)
    monkeypatch.setattr(tcp, "unacknowledged", lambda _: 0)
    served.app = path_app(path)
    assert served.get().content == content


# --- the order of octets ------------------------------------------------------------------


def test_a_file_never_overtakes_octets_that_the_kernel_did_not_take(
    served, path, content, nothing_left
):
    """Its buffers are full most of the time, so that every piece has to wait somewhere."""
    length = 70 * KIB

    async def app(scope, receive, send):
        await send(start())
        with path.open("rb") as file:
            for offset in range(100):
                message = {"type": ZERO_COPY_SEND, "file": file, "more_body": True}
                await send(message | {"offset": offset, "count": length})
        await send({"type": BODY})

    served.app = app
    with served.connect(receive_buffer=16 * KIB) as client:
        client.send(GET)
        received = client.response().content
    assert received == b"".join(content[at : at + length] for at in range(100))


@apps
def test_a_client_that_only_stops_sending_gets_no_content_without_a_head(
    served, long_path, app, nothing_left
):
    """As uvicorn has it, such a client has left."""
    served.app = app(long_path)
    with served.connect() as client:
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        try:
            begun = client.file.read(9)
        except ConnectionResetError:
            begun = b""
        assert begun in (b"", b"HTTP/1.1 ")


# --- one outlet ---------------------------------------------------------------------------


class Recorded(asyncio.Transport):
    """A transport with something in its buffer that takes all the same everything at once."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def write(self, octets):
        self.calls.append(octets)

    def abort(self):
        self.calls.append("abort")

    def write_eof(self):
        self.calls.append("end")

    def can_write_eof(self):
        return True

    def is_closing(self):
        return False

    def get_write_buffer_size(self):
        return 1

    def set_write_buffer_limits(self, high=None, low=None):
        pass


async def outlet_of(transport, **limits):
    return Outlet(
        asyncio.get_running_loop(),
        transport,
        FlowControl(transport),
        Limits(**limits),
        is_tls=False,
    )


@pytest.mark.anyio
async def test_who_never_waits_for_anything_else_lets_others_have_their_turn():
    transport = Recorded()
    outlet = await outlet_of(transport)
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, "other")
    written = 0
    while not turns:
        outlet.write([b"x"])
        written += 1
        await outlet.drained()
    assert 10 < written < 1000


@pytest.mark.anyio
async def test_short_pieces_leave_together_and_long_ones_are_not_copied():
    transport = Recorded()
    outlet = await outlet_of(transport)
    outlet.write([b"head ", b"content"])
    long = bytes(100_000)
    outlet.write([b"head ", long])
    assert transport.calls == [b"head content", b"head ", long]
    assert transport.calls[2] is long


@pytest.mark.anyio
async def test_once_the_connection_is_lost_nothing_is_written_and_nobody_waits():
    transport = Recorded()
    outlet = await outlet_of(transport)
    outlet.connection_lost()
    outlet.write([b"too late"])
    with pytest.raises(Disconnected):
        await outlet.drained()
    assert transport.calls == []


@pytest.mark.anyio
async def test_closing_in_stages_is_over_when_the_connection_is():
    transport = Recorded()
    outlet = await outlet_of(transport, closing_seconds=0.01)
    outlet.close(in_stages=True)
    assert outlet.is_closing_in_stages
    outlet.connection_lost()
    await asyncio.sleep(0.03)
    assert transport.calls == ["end"]


@pytest.mark.anyio
async def test_closing_in_stages_takes_only_so_long():
    transport = Recorded()
    outlet = await outlet_of(transport, closing_seconds=0.01)
    outlet.close(in_stages=True)
    await asyncio.sleep(0.03)
    assert transport.calls == ["end", "abort"]


# --- many readers -------------------------------------------------------------------------


@apps
def test_a_hundred_slow_readers_get_it_all_and_cost_little(
    served, path, content, app, nothing_left
):
    """Of each message only what the kernel did not take yet is in memory."""
    chunk_length = 64 * KIB
    served.app = octets_app(path, chunk_length) if app is octets_app else app(path)
    clients = [served.connect(receive_buffer=4 * KIB) for _ in range(100)]
    try:
        with selectors.DefaultSelector() as selector:
            received = {}
            for client in clients:
                client.send(GET)
                client.head()
                received[client] = bytearray()
                selector.register(client.socket, selectors.EVENT_READ, client)
            most_buffered = 0
            while received and not all(len(each) == len(content) for each in received.values()):
                for key, _ in selector.select(10):
                    each = received[key.data]
                    each += key.data.file.read1(4 * KIB)
                    if len(each) == len(content):
                        selector.unregister(key.fileobj)
                buffered = served.run(_buffered(served))
                most_buffered = max(most_buffered, buffered)
        assert all(each == content for each in received.values())
        assert most_buffered <= (100 * chunk_length if app is octets_app else 0)
    finally:
        for client in clients:
            client.close()


async def _buffered(served):
    return sum(c.transport.get_write_buffer_size() for c in served.connections)


def test_while_a_message_is_not_taken_the_next_one_is_not_made(served, nothing_left):
    counts = {"begun": 0, "taken": 0}

    async def app(scope, receive, send):
        await send(start())
        for _ in range(100):
            counts["begun"] += 1
            await send({"type": BODY, "body": bytes(KIB * KIB), "more_body": True})
            counts["taken"] += 1

    async def look():
        buffered = transport.get_write_buffer_size()
        return buffered, counts["begun"] - counts["taken"]

    served.app = app
    with served.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        client.head()
        transport, _ = server_side(served)
        until(transport.get_write_buffer_size)
        buffered, in_hand = served.run(look())
        assert 0 < buffered <= KIB * KIB + 16  # the octets of a chunk's framing
        assert in_hand == 1


# --- options of the connection ------------------------------------------------------------


def test_the_send_buffer_is_small_while_a_long_file_is_sent_to_a_near_reader(
    served, long_path, nothing_left
):
    served.app = path_app(long_path)
    with served.connect() as client:
        client.send(GET)
        client.head()
        _, server_socket = server_side(served)
        during = _options(server_socket)
        client._exactly(long_path.stat().st_size, b"")
        assert during == (512 * KIB, 1, 1)  # the kernel doubles it
        until(lambda: _options(server_socket)[1:] == (0, 0))
        served.app = answering(b"and the connection goes on")
        client.send(GET)
        assert client.response().content == b"and the connection goes on"


def _options(server_socket):
    with server_socket.dup() as own:
        return (
            own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            own.getsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK),
            own.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK),
        )


def test_a_unix_socket_takes_files_too(served, path, content, tmp_path):
    served.app = path_app(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    server = served.run(served.listen(listener))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(tmp_path / "s"))
        with Client(connection) as client:
            client.send(GET)
            assert client.response().content == content
    served.loop.call_soon_threadsafe(server.close)
    served.settle()


# --- TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def served_by_tls(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        (
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate),
        ),
        check=True,
        capture_output=True,
    )
    with Served(request.param, ssl_keyfile=str(key), ssl_certfile=str(certificate)) as served:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        served.tls = context
        yield served


def test_over_tls_no_file_is_offered(served_by_tls):
    offered = []

    async def app(scope, receive, send):
        offered.append(scope["extensions"])
        await answering(b"")(scope, receive, send)

    served_by_tls.app = app
    served_by_tls.get()
    assert offered == [{TRAILERS: {}}]


def test_over_tls_a_file_is_no_message(served_by_tls, path):
    served_by_tls.app = path_app(path)
    assert served_by_tls.get().status == 500


def test_over_tls_octets_arrive_and_the_connection_goes_on(served_by_tls, long_path):
    served_by_tls.app = octets_app(long_path)
    with served_by_tls.connect() as client:
        for _ in range(2):
            client.send(GET)
            assert client.response().content == long_path.read_bytes()


def test_over_tls_a_reader_that_has_stopped_is_cut_off(served_by_tls, long_path, monkeypatch):
    monkeypatch.setattr(
        served_by_tls.protocol,
        "limits",
        type(served_by_tls.protocol.limits)(sending_stall_seconds=0.05),
    )
    served_by_tls.app = octets_app(long_path)
    with served_by_tls.connect(receive_buffer=64 * KIB) as client:
        client.send(GET)
        until(lambda: not served_by_tls.connections)


def test_over_tls_a_refused_client_can_read_why(served_by_tls):
    served_by_tls.app = answering(b"")
    with served_by_tls.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.response().status == 400
        assert client.has_ended()
