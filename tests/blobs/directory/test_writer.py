"""The writer of one file."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.blobs import BlobKey, BlobState, BlobStatus
from tailrace.blobs.directory import DirectoryBlobs, inode
from tailrace.errors import BlobAbandoned, StorageFull, StorageUnavailable
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


# --- append ---------------------------------------------------------------------------------


async def test_a_full_disk_keeps_what_fitted_and_takes_more_later(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    pwritev, room = os.pwritev, [4]

    def small_disk(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if not room:
            failing(errno.ENOSPC)()
        return pwritev(descriptor, [b"".join(buffers)[: room.pop()]], offset)

    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", small_disk)
            with pytest.raises(StorageFull):
                await writer.append(0, [b"abc", b"def"])
        assert writer.length == 4
        assert await wait == BlobStatus(GROWING, 4)
        assert await writer.append(4, [b"ef"]) == 6
        assert await reader.read(Span(0, 6)) == b"abcdef"
    await writer.seal()


async def test_a_cancelled_append_waits_for_its_thread_and_counts_what_it_wrote(
    store: DirectoryBlobs, gated
) -> None:
    writer = await store.create(KEY)
    gate = gated("pwritev")
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        append = asyncio.create_task(writer.append(0, [b"abc"]))
        await gate.reached()
        append.cancel()
        await asyncio.sleep(0.01)
        assert not append.done()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await append
        assert writer.length == 3
        assert await wait == BlobStatus(GROWING, 3)
    assert await writer.append(3, [b"def"]) == 6
    await writer.release()


async def test_a_removal_by_another_process_ends_the_next_step(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        await other.remove(KEY)
        with pytest.raises(BlobAbandoned):
            await writer.append(0, [b"abc"])
        assert await wait == BlobStatus(ABANDONED, 0)
    for step in (writer.append(0, [b"abc"]), writer.sync(), writer.seal()):
        with pytest.raises(BlobAbandoned):
            await step
    await writer.abandon()


@pytest.mark.parametrize("step", ["sync", "seal"])
async def test_sync_and_seal_notice_a_removal_by_another_process(
    store: DirectoryBlobs, other: DirectoryBlobs, step: str
) -> None:
    writer = await store.create(KEY)
    await other.remove(KEY)
    with pytest.raises(BlobAbandoned):
        await getattr(writer, step)()
    await writer.release()


# --- sync and seal --------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["sync", "seal"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EIO, StorageUnavailable), (errno.ENOSPC, StorageFull)],
)
async def test_after_a_failed_sync_the_writer_promises_nothing_more(
    store: DirectoryBlobs,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    expected: type[Exception],
) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(number))
        with pytest.raises(expected):
            await getattr(writer, step)()
    # The kernel would let the next fsync succeed, though the pages are lost.
    for again in (writer.append(3, [b"def"]), writer.sync(), writer.seal()):
        with pytest.raises(StorageUnavailable, match="may have lost bytes"):
            await again
    assert await store.status(KEY) == BlobStatus(GROWING, 3)
    await writer.abandon()


async def test_a_seal_that_could_not_sync_the_name_may_be_repeated(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    with monkeypatch.context() as patch:
        patch.setattr("tailrace.blobs.directory.shards.sync_directory", failing(errno.EMFILE))
        with pytest.raises(StorageUnavailable):
            await writer.seal()
    await writer.seal()
    assert await store.status(KEY) == BlobStatus(SEALED, 0)


async def test_a_cancelled_seal_is_a_seal(store: DirectoryBlobs, gated) -> None:
    writer = await store.create(KEY)
    gate = gated("fchmod")
    async with store.open(KEY) as reader:
        seal = asyncio.create_task(writer.seal())
        await gate.reached()
        seal.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await seal
        assert reader.status == BlobStatus(SEALED, 0)
    with pytest.raises(ValueError, match="spent"):
        await writer.append(0, [b"abc"])


async def test_readers_learn_of_a_seal_only_when_it_is_durable(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch, gated
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        gate = gated("fsync")
        seal = asyncio.create_task(writer.seal())
        await gate.reached()
        await asyncio.sleep(0.01)
        assert not wait.done()
        assert reader.status == BlobStatus(GROWING, 0)
        gate.open()
        await seal
        assert await wait == BlobStatus(SEALED, 0)


async def test_a_seal_that_failed_after_it_set_the_mode_is_seen_when_the_writer_left(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        with monkeypatch.context() as patch:
            patch.setattr("tailrace.blobs.directory.shards.sync_directory", failing(errno.EIO))
            with pytest.raises(StorageUnavailable):
                await writer.seal()
        assert not wait.done()
        await writer.release()
        assert await wait == BlobStatus(SEALED, 0)


# --- abandon --------------------------------------------------------------------------------


async def test_abandon_unlinks_then_wakes_then_lets_go_of_the_lock(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writer = await store.create(KEY)
    path = tmp_path / "blobs/k1/k1"
    async with store.open(KEY) as reader:
        events = []
        unlink, publish = inode.unlink, writer._growth.publish

        def recording_unlink(path: Path, descriptor: int) -> None:
            unlink(path, descriptor)
            events.append(("unlinked", path.exists(), reader.status.state, is_locked()))

        def recording_publish(status: BlobStatus) -> None:
            publish(status)
            events.append(("published", path.exists(), reader.status.state, is_locked()))

        def is_locked() -> bool:
            return not writer._file.closed

        monkeypatch.setattr(inode, "unlink", recording_unlink)
        monkeypatch.setattr(type(writer._growth), "publish", lambda _, s: recording_publish(s))
        await writer.abandon()
    assert events == [
        ("unlinked", False, GROWING, True),
        ("published", False, ABANDONED, True),
        ("published", False, ABANDONED, False),
    ]


async def test_an_abandon_that_fails_still_lets_go(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EROFS))
        with pytest.raises(StorageUnavailable):
            await writer.abandon()
    writer = await store.resume(KEY)
    await writer.abandon()


async def test_a_cancelled_abandon_is_carried_out(store: DirectoryBlobs, gated) -> None:
    writer = await store.create(KEY)
    gate = gated("unlink")
    async with store.open(KEY) as reader:
        abandon = asyncio.create_task(writer.abandon())
        await gate.reached()
        abandon.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await abandon
        assert reader.status == BlobStatus(ABANDONED, 0)
    assert writer._file.closed
