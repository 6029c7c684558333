import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

from tailrace.errors import StorageFull
from tailrace.server import Disconnected, landing
from tailrace.server.landing import Landing
from tailrace.server.threads import Threads
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KIB = 1024
SECONDS_FOR_ANYTHING = 10


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


class Upload:
    """A landing, and both ends of the connection it comes by."""

    def __init__(self, path, length, buffered=b"", update=None):
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.file = path.open("w+b", buffering=0)
        self.path = path
        self.progress = []
        self.stalls = 0
        self.landing = Landing(
            asyncio.get_running_loop(),
            self.ours.fileno(),
            self.file.fileno(),
            Span(0, length),
            buffered,
            self.progress.append,
            update,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ours.close()
        self.theirs.close()
        self.file.close()

    async def run(self, stall_seconds=SECONDS_FOR_ANYTHING):
        await self.landing.run(stall_seconds, self._note_stall)

    def send(self, content):
        """Send in a thread, as a client on its own."""
        return asyncio.create_task(asyncio.to_thread(self.theirs.sendall, content))

    async def progressed(self, length):
        async with asyncio.timeout(SECONDS_FOR_ANYTHING):
            while not self.progress or self.progress[-1] < length:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def _note_stall(self):
        self.stalls += 1


@pytest.fixture
async def upload(tmp_path):
    with Upload(tmp_path / "file", 10) as upload:
        yield upload


async def test_all_that_was_buffered_needs_no_connection(tmp_path):
    with Upload(tmp_path / "file", 3, buffered=b"abc") as upload:
        await upload.run()
        assert upload.path.read_bytes() == b"abc"
        assert (upload.landing.landed, upload.landing.drawn) == (3, 0)


async def test_what_lies_behind_the_content_stays_in_the_socket(upload):
    upload.theirs.sendall(b"0123456789" + b"the next request")
    await upload.run()
    assert upload.ours.recv(100) == b"the next request"
    assert upload.landing.drawn == 10


async def test_the_others_see_a_file_grow_soon_after_each_byte(upload):
    running = asyncio.create_task(upload.run())
    for number in range(1, 11):
        upload.theirs.sendall(b"x")
        await upload.progressed(number)
    await running
    assert upload.progress == [*range(1, 11)]


async def test_the_others_are_told_far_less_often_than_blocks_come(tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "REPORT_SECONDS", 0.05)
    with Upload(tmp_path / "file", 40_000 * KIB) as upload:
        sending = upload.send(bytes(40_000 * KIB))
        began_at = asyncio.get_running_loop().time()
        await upload.run()
        took = asyncio.get_running_loop().time() - began_at
        await sending
    assert upload.progress[-1] == 40_000 * KIB
    assert len(upload.progress) <= took / 0.05 + 2


async def test_a_stall_is_told_before_it_is_raised(upload):
    upload.theirs.sendall(b"abc")
    with pytest.raises(Disconnected, match=r"nothing for 0\.01 s"):
        await upload.run(stall_seconds=0.01)
    assert upload.stalls == 1
    assert upload.progress == [3]


async def test_an_interruption_is_raised_while_it_waits(upload):
    running = asyncio.create_task(upload.run())
    upload.theirs.sendall(b"abc")
    await upload.progressed(3)
    upload.landing.interrupt(Disconnected("the reason"))
    with pytest.raises(Disconnected, match="the reason"):
        await running


async def test_an_interruption_is_raised_while_it_carries(tmp_path):
    with Upload(tmp_path / "file", 2**40) as upload:
        running = asyncio.create_task(upload.run())
        sending = upload.send(bytes(4_000 * KIB))
        await upload.progressed(1)
        upload.landing.interrupt(Disconnected("the reason"))
        with pytest.raises(Disconnected, match="the reason"):
            await running
        assert upload.path.stat().st_size == upload.landing.landed == upload.landing.drawn
        upload.ours.close()
        await asyncio.wait((sending,))
        sending.exception()


async def test_a_cancelled_one_waits_for_its_thread(upload, monkeypatch):
    is_reached, goes_on = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def held(*args):
        is_reached.set()
        assert goes_on.wait(SECONDS_FOR_ANYTHING)
        return pwrite(*args)

    monkeypatch.setattr(os, "pwrite", held)
    upload.landing.rest = b"abc"
    running = asyncio.create_task(upload.run())
    await asyncio.to_thread(is_reached.wait, SECONDS_FOR_ANYTHING)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert upload.progress == [3]
    assert upload.path.read_bytes() == b"abc"


async def test_a_cancellation_at_every_step_leaves_what_it_tells(
    tmp_path, cancelled_at_every_step
):
    uploads = []

    async def attempt():
        with Upload(tmp_path / "file", 10, buffered=b"01", update=bytes) as upload:
            uploads.append(upload)
            sending = asyncio.get_running_loop().call_later(
                0.001, upload.theirs.sendall, b"23456789"
            )
            try:
                await upload.run()
            finally:
                sending.cancel()

    async def check():
        landed = uploads[-1].landing.landed
        assert (tmp_path / "file").read_bytes() == b"0123456789"[:landed]
        assert (uploads[-1].progress or [0])[-1] == landed

    await cancelled_at_every_step(attempt, check)
    assert uploads[-1].landing.landed == 10


async def test_a_fast_upload_leaves_its_thread_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "_threads", Threads(1, "test"))
    monkeypatch.setattr(landing, "TURN_BYTES", 256 * KIB)
    with (
        Upload(tmp_path / "fast", 2**40) as fast,
        Upload(tmp_path / "other", 3) as other,
    ):
        endless = asyncio.create_task(fast.run())
        sending = fast.send(bytes(200_000 * KIB))
        await fast.progressed(1)
        other.theirs.sendall(b"abc")
        await other.run()
        assert fast.landing.landed < 200_000 * KIB
        endless.cancel()
        await asyncio.wait((endless,))
        fast.ours.close()
        await asyncio.wait((sending,))
        sending.exception()


async def test_a_full_disk_is_told_as_one():
    with Upload(Path("/dev/full"), 10, buffered=b"0123456789") as upload:
        with pytest.raises(StorageFull):
            await upload.run()
        assert (upload.landing.landed, upload.landing.rest) == (0, b"0123456789")
