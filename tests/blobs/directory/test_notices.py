"""What the kernel tells of files that others write."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tailrace.blobs import BlobState, BlobStatus
from tailrace.blobs.directory import notices
from tailrace.blobs.directory.notices import Notices
from tailrace.blobs.growth import Growth

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux"),
]


def a_growth():
    return Growth(BlobStatus(BlobState.GROWING, 0))


class Told:
    """Who is told of changes, and waits for them."""

    def __init__(self):
        self.growths = asyncio.Queue()
        self.overflows = asyncio.Queue()
        self.notices = Notices(self.growths.put_nowait, lambda: self.overflows.put_nowait(1))

    async def next(self):
        async with asyncio.timeout(10):
            return await self.growths.get()


@pytest.fixture
async def told():
    told = Told()
    yield told
    told.notices.close()


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "file").open("wb", buffering=0) as file:
        yield file


@pytest.mark.parametrize(
    "change",
    [
        lambda file: os.pwritev(file.fileno(), [b"more"], 0),
        lambda file: os.fchmod(file.fileno(), 0o400),
        lambda file: os.unlink(file.name),
    ],
    ids=["more bytes", "sealed", "removed"],
)
async def test_each_change_of_a_blob_is_told(told, file, change):
    growth = a_growth()
    assert told.notices.ask(growth, file.fileno())
    change(file)
    assert await told.next() is growth


async def test_it_is_the_open_file_that_counts_not_its_name(told, file):
    os.unlink(file.name)
    growth = a_growth()
    assert told.notices.ask(growth, file.fileno())
    os.close(os.open(file.name, os.O_WRONLY | os.O_CREAT))
    file.write(b"more")
    assert await told.next() is growth
    assert told.growths.empty()


async def test_each_file_is_told_of_by_itself(told, tmp_path):
    growths = [a_growth() for _ in range(3)]
    files = [(tmp_path / str(number)).open("wb", buffering=0) for number in range(3)]
    for growth, file in zip(growths, files, strict=True):
        assert told.notices.ask(growth, file.fileno())
    for number in (1, 2, 0):
        files[number].write(b"more")
        assert await told.next() is growths[number]
    for file in files:
        file.close()


async def test_many_changes_of_one_file_are_told_at_once(told, file):
    assert told.notices.ask(growth := a_growth(), file.fileno())
    for _ in range(100):
        file.write(b"more")
        os.fchmod(file.fileno(), 0o600)
    assert await told.next() is growth
    assert told.growths.empty()


async def test_nothing_is_told_of_a_growth_that_is_gone(told, file, tmp_path):
    gone, kept = a_growth(), a_growth()
    other = (tmp_path / "other").open("wb", buffering=0)
    assert told.notices.ask(gone, file.fileno())
    assert told.notices.ask(kept, other.fileno())
    del gone
    file.write(b"more")
    other.write(b"more")
    assert await told.next() is kept
    assert told.growths.empty()
    other.close()


async def test_a_new_growth_of_the_same_file_outlives_the_old_one(told, file):
    old, new = a_growth(), a_growth()
    assert told.notices.ask(old, file.fileno())
    assert told.notices.ask(new, file.fileno())
    del old
    file.write(b"more")
    assert await told.next() is new


async def test_asked_again_it_opens_nothing_more(told, file):
    growth = a_growth()
    assert told.notices.ask(growth, file.fileno())
    before = len(os.listdir("/proc/self/fd"))
    assert told.notices.ask(growth, file.fileno())
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_cannot_be_told_of_is_said(told):
    assert not told.notices.ask(a_growth(), -1)


@pytest.mark.parametrize("missing", [True, False], ids=["no inotify", "no more of it"])
async def test_without_inotify_nobody_is_told(told, file, monkeypatch, missing):
    system = type("System", (), {} if missing else {"inotify_init1": lambda *_: -1})
    monkeypatch.setattr(notices, "_libc", system)
    assert not told.notices.ask(a_growth(), file.fileno())


@pytest.fixture
def queue_length():
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


async def test_a_queue_that_ran_over_is_told(told, file, tmp_path, queue_length):
    growths = a_growth(), a_growth()
    other = (tmp_path / "other").open("wb", buffering=0)
    assert told.notices.ask(growths[0], file.fileno())
    assert told.notices.ask(growths[1], other.fileno())
    for _ in range(
        queue_length // 2 + 1
    ):  # in turns, for equal neighbours in the queue become one
        file.write(b"m")
        other.write(b"m")
    async with asyncio.timeout(10):
        await told.overflows.get()
    other.close()


async def test_closed_it_tells_nothing_more_and_may_be_closed_again(told, file):
    growth = a_growth()
    assert told.notices.ask(growth, file.fileno())
    told.notices.close()
    told.notices.close()
    del growth
    file.write(b"more")
    await asyncio.sleep(0)
    assert told.growths.empty()
