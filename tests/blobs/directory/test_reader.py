"""The reader of one file."""

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tailrace.blobs import BlobKey, BlobReader, BlobState, BlobStatus
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.errors import StorageUnavailable
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
async def reader(store: DirectoryBlobs) -> AsyncIterator[BlobReader]:
    writer = await store.create(KEY)
    await writer.append(0, [CONTENT])
    await writer.seal()
    async with store.open(KEY) as reader:
        yield reader


def refuse(*_: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


# --- read -----------------------------------------------------------------------------------


async def test_a_small_read_of_cached_bytes_takes_no_thread(
    reader: BlobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def preadv(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        buffers[0][:] = os.pread(descriptor, len(buffers[0]), offset)
        return len(buffers[0])

    # Not every file system can tell what is cached; this one always can.
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(reader._threads, "begin", refuse)
    assert await reader.read(Span(5, 5 + 65_536)) == CONTENT[5 : 5 + 65_536]
    with pytest.raises(OSError, match="Input/output"):
        await reader.read(Span(5, 5 + 65_537))


async def test_a_small_read_of_bytes_not_cached_goes_to_a_thread(
    reader: BlobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_cached(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "preadv", not_cached)
    assert await reader.read(Span(5, 99)) == CONTENT[5:99]


async def test_a_failing_disk_is_told_in_our_words(
    reader: BlobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(os, "pread", refuse)
    with pytest.raises(StorageUnavailable, match="Input/output"):
        await reader.read(Span(0, 1))


@pytest.mark.parametrize("span", [Span(0, 256), Span(0, len(CONTENT))])
async def test_a_file_cut_short_by_a_stranger_breaks_the_read(
    reader: BlobReader, tmp_path: Path, span: Span
) -> None:
    os.truncate(tmp_path / "blobs/k1/k1", 100)
    with pytest.raises(StorageUnavailable, match="ends at 100"):
        await reader.read(span)


async def test_a_cancelled_read_leaves_at_once_and_its_file_when_the_thread_is_through(
    store: DirectoryBlobs, reader: BlobReader, gated, open_files: Callable[[], list[str]]
) -> None:
    gate = gated("pread")
    async with store.open(KEY) as leaving:
        before = len(open_files())
        read = asyncio.create_task(leaving.read(Span(0, 100_000)))
        await gate.reached()
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
    assert len(open_files()) == before
    gate.open()
    await store.status(KEY)
    await store.close()
    assert len(open_files()) == before - 1


async def test_a_read_cancelled_before_its_turn_does_not_hold_the_file(
    tmp_path: Path, reader: BlobReader, gated, open_files: Callable[[], list[str]]
) -> None:
    store = DirectoryBlobs(tmp_path / "blobs", threads=1)
    before = len(open_files())
    async with store.open(KEY) as leaving:
        gate = gated("pread")
        reads = [asyncio.create_task(leaving.read(Span(0, 100_000))) for _ in range(3)]
        await gate.reached()
        for read in reads:
            read.cancel()
        assert await asyncio.gather(*reads, return_exceptions=True)
    gate.open()
    await store.close()
    assert len(open_files()) == before


async def test_the_descriptor_reads_the_same_bytes(reader: BlobReader) -> None:
    descriptor = reader.fileno()
    assert descriptor is not None
    assert os.pread(descriptor, 10, 300) == CONTENT[300:310]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")


async def test_the_descriptor_is_closed_with_the_reader(store: DirectoryBlobs) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        descriptor = reader.fileno()
    await writer.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    with pytest.raises(ValueError, match="closed"):
        reader.fileno()


async def test_the_last_reader_of_a_removed_blob_frees_it_in_a_thread(
    store: DirectoryBlobs, open_files: Callable[[], list[str]]
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        await writer.abandon()
        assert reader.status.state is ABANDONED
        gone = [name for name in open_files() if name.endswith("(deleted)")]
        assert len(gone) == 1
    await store.close()
    assert open_files() == []


# --- a blob written here --------------------------------------------------------------------


async def test_a_writer_here_is_followed_without_a_poll(tmp_path: Path) -> None:
    store = DirectoryBlobs(tmp_path / "blobs", poll_seconds=3600)
    for key, end, state in [("k1", "seal", SEALED), ("k2", "abandon", ABANDONED)]:
        writer = await store.create(BlobKey(key))
        async with store.open(BlobKey(key)) as reader:
            wait = asyncio.create_task(reader.wait_beyond(0))
            await asyncio.sleep(0)
            await writer.append(0, [b"abc"])
            assert await asyncio.wait_for(wait, 10) == BlobStatus(GROWING, 3)
            wait = asyncio.create_task(reader.wait_beyond(3))
            await asyncio.sleep(0)
            await getattr(writer, end)()
            assert await asyncio.wait_for(wait, 10) == BlobStatus(state, 3)
    await store.close()


async def test_the_inode_is_not_looked_at_while_a_writer_here_tells(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        monkeypatch.setattr(reader, "_look", refuse)
        wait = asyncio.create_task(reader.wait_beyond(0))
        await asyncio.sleep(0.01)
        await writer.append(0, [b"abc"])
        assert await wait == BlobStatus(GROWING, 3)
        assert await reader.read(Span(0, 3)) == b"abc"
    await writer.release()


class SlowToReturn:
    """A file that is closed at once, while the call to close it takes its time."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def close(self) -> None:
        self._file.close()
        os.getppid()  # where the test holds it up

    @property
    def closed(self) -> bool:
        return self._file.closed


async def test_a_writer_may_begin_before_the_loop_knows_that_the_last_one_ended(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch, gated
) -> None:
    first = await store.create(KEY)
    async with store.open(KEY) as reader:
        with monkeypatch.context() as patch:
            gate = gated("getppid")
            patch.setattr(first, "_file", SlowToReturn(first._file))
            release = asyncio.create_task(first.release())
            await gate.reached()
            second = await store.resume(KEY)
            gate.open()
            await release
        monkeypatch.setattr(reader, "_look", refuse)
        wait = asyncio.create_task(reader.wait_beyond(0))
        await asyncio.sleep(0.01)
        await second.append(0, [b"abc"])
        assert await wait == BlobStatus(GROWING, 3)
    await second.release()


# --- a blob written by another process ------------------------------------------------------


async def test_a_read_brings_the_status_up_to_date(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await other.create(KEY)
    async with store.open(KEY) as reader:
        await writer.append(0, [b"abc"])
        assert reader.status == BlobStatus(GROWING, 0)
        assert await reader.read(Span(0, 3)) == b"abc"
        assert reader.status == BlobStatus(GROWING, 3)
        await writer.seal()
        assert await reader.read(Span(0, 0)) == b""
        assert reader.status == BlobStatus(SEALED, 3)


async def test_its_growth_and_its_ends_are_seen(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    sealed, abandoned = BlobKey("k1"), BlobKey("k2")
    writer, loser = await other.create(sealed), await other.create(abandoned)
    async with store.open(sealed) as one, store.open(abandoned) as two:
        waits = [asyncio.create_task(reader.wait_beyond(0)) for reader in (one, two)]
        await asyncio.sleep(0.01)
        assert not any(wait.done() for wait in waits)
        await writer.append(0, [b"abc"])
        assert await waits[0] == BlobStatus(GROWING, 3)
        wait = asyncio.create_task(one.wait_beyond(3))
        await writer.seal()
        await loser.abandon()
        assert await wait == BlobStatus(SEALED, 3)
        assert await waits[1] == BlobStatus(ABANDONED, 0)


async def test_a_wait_looks_before_it_waits(tmp_path: Path, other: DirectoryBlobs) -> None:
    store = DirectoryBlobs(tmp_path / "blobs", poll_seconds=3600)
    writer = await other.create(KEY)
    async with store.open(KEY) as reader:
        await writer.append(0, [b"abc"])
        assert await asyncio.wait_for(reader.wait_beyond(0), 10) == BlobStatus(GROWING, 3)
    await writer.release()
    await store.close()


async def test_its_seal_counts_though_it_is_removed_here_before_it_was_seen(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await other.create(KEY)
    await writer.append(0, [b"abc"])
    async with store.open(KEY) as reader:
        await writer.seal()
        assert reader.status == BlobStatus(GROWING, 3)
        await store.remove(KEY)
        assert await reader.wait_beyond(3) == BlobStatus(SEALED, 3)


async def test_hundreds_wait_for_it_and_are_woken(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await other.create(KEY)
    async with store.open(KEY) as one, store.open(KEY) as two:
        waits = [asyncio.create_task(reader.wait_beyond(2)) for reader in [one, two] * 200]
        await asyncio.sleep(0)
        await writer.append(0, [b"abc"])
        assert await asyncio.gather(*waits) == [BlobStatus(GROWING, 3)] * 400
    await writer.release()


async def test_a_writer_may_go_from_here_to_there_and_back(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        for n, process in enumerate([other, store, other, store]):
            wait = asyncio.create_task(reader.wait_beyond(n))
            await asyncio.sleep(0)
            await writer.release()
            writer = await process.resume(KEY)
            await writer.append(n, [b"x"])
            assert await wait == BlobStatus(GROWING, n + 1)
    await writer.release()


async def test_a_wait_fails_loudly_when_the_file_can_no_longer_be_looked_at(
    store: DirectoryBlobs, other: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await other.create(KEY)
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        await asyncio.sleep(0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", refuse)
            with pytest.raises(StorageUnavailable):
                await wait
    await writer.release()


async def test_a_wait_that_was_left_keeps_its_file_until_it_ends(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await other.create(KEY)
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        await asyncio.sleep(0)
    await writer.append(0, [b"abc"])
    assert await wait == BlobStatus(GROWING, 3)
    await writer.release()
