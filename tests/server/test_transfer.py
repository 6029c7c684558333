import asyncio
import errno
import os
import socket
import threading

import pytest

from tailrace.errors import StorageUnavailable
from tailrace.server import Disconnected, residency, transfer
from tailrace.server.transfer import Transfer
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KIB = 1024
LENGTH = 3 * KIB * KIB + 5


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def content():
    return os.urandom(LENGTH)


@pytest.fixture
def descriptor(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


class Peer:
    """The other side of a connection: reads all there is, in a thread, once told to."""

    def __init__(self):
        self.connection, self._theirs = socket.socketpair()
        self.connection.setblocking(False)
        self.received = bytearray()
        self.may_read = threading.Event()
        self._reading = threading.Thread(target=self._read)

    def __enter__(self):
        self._reading.start()
        return self

    def __exit__(self, *_):
        self.finish()
        self._theirs.close()

    def finish(self):
        """Close, and wait until all that was sent has been read."""
        self.connection.close()
        self.may_read.set()
        self._reading.join()

    def _read(self):
        self.may_read.wait()
        while octets := self._theirs.recv(256 * KIB):
            self.received += octets

    def transfer(self, descriptor, span):
        loop = asyncio.get_running_loop()
        return Transfer(loop, self.connection.fileno(), descriptor, span)

    def has_writer(self):
        # That of a descriptor which is not watched is not removed.
        return asyncio.get_running_loop().remove_writer(self.connection.fileno())


@pytest.fixture
def peer():
    with Peer() as peer:
        yield peer


@pytest.fixture
def reading_peer(peer):
    peer.may_read.set()
    return peer


@pytest.fixture
def everything_is_cold(monkeypatch):
    monkeypatch.setattr(residency, "resident_stop", lambda descriptor, start, stop: start)


@pytest.fixture
def slow_disk(everything_is_cold, monkeypatch):
    """A disk that reads when it is told to."""
    may_read = threading.Event()
    touch = residency._touch

    def wait_and_touch(*arguments):
        may_read.wait()
        touch(*arguments)

    monkeypatch.setattr(residency, "_touch", wait_and_touch)
    yield may_read
    may_read.set()
    finish_reading_ahead()


def finish_reading_ahead():
    """Wait until no thread has anything left to do: all of them meet."""
    together = threading.Barrier(8)
    for waiting in [residency._readers.submit(together.wait) for _ in range(8)]:
        waiting.result(10)


@pytest.mark.parametrize("span", [Span(0, LENGTH), Span(70_000, 70_001), Span(5, LENGTH - 5)])
async def test_a_span_arrives(reading_peer, descriptor, content, span):
    sending = reading_peer.transfer(descriptor, span)
    await sending.run()
    assert sending.sent == span.length
    assert not reading_peer.has_writer()
    await asyncio.to_thread(reading_peer.finish)
    assert reading_peer.received == content[span.start : span.stop]


async def test_an_empty_span_is_sent_at_once(peer, descriptor):
    await peer.transfer(descriptor, Span(5, 5)).run()


async def test_no_turn_is_longer_than_its_limit_and_others_have_theirs(
    reading_peer, descriptor, monkeypatch
):
    monkeypatch.setattr(transfer, "TURN_BYTES", 64 * KIB)
    counts = []
    sendfile = os.sendfile

    def counting(connection, descriptor, offset, count):
        counts.append(count)
        return sendfile(connection, descriptor, offset, count)

    monkeypatch.setattr(os, "sendfile", counting)
    turns = 0

    def take_a_turn():
        nonlocal turns, next_turn
        turns += 1
        next_turn = asyncio.get_running_loop().call_soon(take_a_turn)

    next_turn = asyncio.get_running_loop().call_soon(take_a_turn)
    await reading_peer.transfer(descriptor, Span(0, LENGTH)).run()
    next_turn.cancel()
    assert max(counts) == 64 * KIB
    assert turns >= LENGTH // (64 * KIB) - 1


async def test_a_file_on_a_disk_arrives(
    reading_peer, descriptor, content, everything_is_cold, monkeypatch
):
    monkeypatch.setattr(residency, "WINDOW_BYTES", 256 * KIB)
    await reading_peer.transfer(descriptor, Span(0, LENGTH)).run()
    await asyncio.to_thread(reading_peer.finish)
    assert reading_peer.received == content


async def test_what_is_not_in_memory_is_not_sent_before_a_thread_has_read_it(
    reading_peer, descriptor, slow_disk, monkeypatch
):
    sent = []
    monkeypatch.setattr(os, "sendfile", lambda *arguments: sent.append(arguments))
    sending = reading_peer.transfer(descriptor, Span(0, LENGTH))
    running = asyncio.create_task(sending.run())
    for _ in range(100):  # the loop goes on
        await asyncio.sleep(0)
    assert sent == []
    monkeypatch.undo()
    slow_disk.set()
    await running


async def test_up_to_what_is_not_in_memory_it_is_sent(peer, descriptor, slow_disk, monkeypatch):
    monkeypatch.setattr(residency, "resident_stop", lambda descriptor, start, stop: 64 * KIB)
    sending = peer.transfer(descriptor, Span(0, LENGTH))
    running = asyncio.create_task(sending.run())
    await asyncio.sleep(0)
    assert sending.sent == 64 * KIB
    peer.may_read.set()
    slow_disk.set()
    await running
    assert sending.sent == LENGTH


async def test_a_disk_that_fails_is_told(reading_peer, descriptor, slow_disk, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "posix_fadvise", fail)
    slow_disk.set()
    with pytest.raises(StorageUnavailable, match="Input/output error"):
        await reading_peer.transfer(descriptor, Span(0, LENGTH)).run()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EPIPE, Disconnected),
        (errno.ECONNRESET, Disconnected),
        (errno.ETIMEDOUT, Disconnected),
        (errno.EHOSTUNREACH, Disconnected),
        (errno.EIO, StorageUnavailable),
        (errno.ESTALE, StorageUnavailable),
        (errno.EINVAL, StorageUnavailable),
    ],
)
async def test_each_error_is_told_as_that_of_its_side(
    peer, descriptor, monkeypatch, number, expected
):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sendfile", fail)
    with pytest.raises(expected) as raised:
        await peer.transfer(descriptor, Span(0, LENGTH)).run()
    assert raised.value.__cause__.errno == number


async def test_a_peer_that_leaves_is_told_of_while_the_socket_is_full(peer, descriptor):
    sending = peer.transfer(descriptor, Span(0, LENGTH))
    running = asyncio.create_task(sending.run())
    await asyncio.sleep(0)
    peer._theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Disconnected):
        await running
    assert not peer.has_writer()


async def test_a_file_that_shrinks_is_told_of(peer, descriptor):
    sending = peer.transfer(descriptor, Span(0, LENGTH))
    running = asyncio.create_task(sending.run())
    await asyncio.sleep(0)
    assert 0 < sending.sent < 2 * KIB * KIB
    os.truncate(descriptor, 2 * KIB * KIB)
    peer.may_read.set()
    with pytest.raises(StorageUnavailable, match=f"ended at {2 * KIB * KIB}, before {LENGTH}"):
        await running


@pytest.mark.parametrize("waits_for", ["socket", "disk"])
async def test_an_interruption_is_raised_at_once(peer, descriptor, request, waits_for):
    if waits_for == "disk":
        request.getfixturevalue("slow_disk")
    sending = peer.transfer(descriptor, Span(0, LENGTH))
    running = asyncio.create_task(sending.run())
    await asyncio.sleep(0)
    sending.interrupt(Disconnected("first"))
    sending.interrupt(Disconnected("second"))
    with pytest.raises(Disconnected, match="first"):
        await running
    assert not peer.has_writer()


@pytest.mark.parametrize("is_cold", [False, True])
async def test_cancelled_at_any_step_it_leaves_nothing_behind(
    descriptor, is_cold, monkeypatch, cancelled_at_every_step
):
    monkeypatch.setattr(residency, "WINDOW_BYTES", KIB * KIB)
    if is_cold:
        monkeypatch.setattr(residency, "resident_stop", lambda descriptor, start, stop: start)

    async def attempt():
        with Peer() as peer:
            peer.may_read.set()
            try:
                await peer.transfer(descriptor, Span(0, LENGTH)).run()
            finally:
                assert not peer.has_writer()

    async def check():
        await asyncio.to_thread(finish_reading_ahead)
        assert len(os.listdir("/proc/self/fd")) == before

    before = len(os.listdir("/proc/self/fd"))
    await cancelled_at_every_step(attempt, check)
