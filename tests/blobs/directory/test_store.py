"""The directory store itself, beyond what `contracts` asks of every store."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace import cached
from tailrace.blobs import BlobKey, BlobState, BlobStatus
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.errors import BlobBusy, BlobMissing, StorageUnavailable
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


async def test_a_store_makes_its_directory_when_it_is_first_needed(tmp_path: Path) -> None:
    store = DirectoryBlobs(tmp_path / "some/where")
    assert [key async for key in store.keys()] == []
    with pytest.raises(BlobMissing):
        await store.status(KEY)
    await store.remove(KEY)
    assert not (tmp_path / "some").exists()
    await (await store.create(KEY)).release()
    assert (tmp_path / "some/where/k1/k1").is_file()
    await store.close()


async def test_a_shard_that_was_deleted_is_made_again(
    store: DirectoryBlobs, tmp_path: Path
) -> None:
    await (await store.create(KEY)).abandon()
    (tmp_path / "blobs/k1").rmdir()
    writer = await store.create(KEY)
    await writer.seal()
    assert await store.status(KEY) == BlobStatus(SEALED, 0)


async def test_the_lock_is_seen_by_another_process(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await store.create(KEY)
    for use in (other.create, other.resume):
        with pytest.raises(BlobBusy):
            await use(KEY)
    await writer.release()
    await (await other.resume(KEY)).release()


async def test_what_was_sealed_is_found_by_the_next_process(
    store: DirectoryBlobs, other: DirectoryBlobs
) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await writer.seal()
    async with other.open(KEY) as reader:
        assert reader.status == BlobStatus(SEALED, 3)
        assert await reader.read(Span(0, 3)) == b"abc"


@pytest.mark.usefixtures("nothing_at_hand")
async def test_a_blob_unlinked_between_open_and_look_is_missing(
    store: DirectoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await store.create(KEY)).release()
    os_open = os.open

    def late_open(path: str, *args: int) -> int:
        descriptor = os_open(path, *args)
        os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", late_open)
    with pytest.raises(BlobMissing):
        async with store.open(KEY):
            pass


async def test_a_blob_whose_names_are_in_memory_is_opened_without_a_thread(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await store.create(KEY)).release()
    monkeypatch.setattr(store._threads, "begin", lambda *_: pytest.fail("it used a thread"))
    async with store.open(KEY) as reader:
        assert reader.status == BlobStatus(GROWING, 0)


async def test_a_small_sealed_blob_in_memory_is_read_without_a_thread(
    store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await writer.seal()
    monkeypatch.setattr(cached, "read", lambda descriptor, start, stop: b"abc"[start:stop])
    monkeypatch.setattr(store._threads, "begin", lambda *_: pytest.fail("it used a thread"))
    assert store.read_at_once(KEY, 3) == b"abc"


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc")])
async def test_strangers_are_neither_read_nor_listed_nor_removed(
    store: DirectoryBlobs, tmp_path: Path, put: Callable[[Path], object]
) -> None:
    path = tmp_path / "blobs/k1/k1"
    path.parent.mkdir(parents=True)
    put(path)
    assert [key async for key in store.keys()] == []
    with pytest.raises(BlobMissing):
        async with store.open(KEY):
            pass
    with pytest.raises(BlobMissing):
        await store.status(KEY)
    assert store.read_at_once(KEY, 10_000) is None
    await store.remove(KEY)
    assert path.is_symlink() or path.exists()


async def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()
    store = DirectoryBlobs(tmp_path / "blobs")
    with pytest.raises(StorageUnavailable):
        await store.create(KEY)
    with pytest.raises(StorageUnavailable):
        [key async for key in store.keys()]
    await store.close()


# --- cancelled halfway ----------------------------------------------------------------------


async def test_a_cancelled_create_leaves_nothing(
    store: DirectoryBlobs, tmp_path: Path, gated
) -> None:
    gate = gated("fsync")
    create = asyncio.create_task(store.create(KEY))
    await gate.reached()
    create.cancel()
    with pytest.raises(asyncio.CancelledError):
        await create
    gate.open()
    await store.close()
    assert not (tmp_path / "blobs/k1/k1").exists()


async def test_a_cancelled_resume_leaves_the_blob_to_the_next(
    store: DirectoryBlobs, other: DirectoryBlobs, gated
) -> None:
    await (await store.create(KEY)).release()
    gate = gated("fsync")
    resume = asyncio.create_task(store.resume(KEY))
    await gate.reached()
    resume.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resume
    gate.open()
    await store.close()
    await (await other.resume(KEY)).release()


@pytest.mark.usefixtures("nothing_at_hand")
async def test_a_cancelled_open_leaves_no_file_open(
    store: DirectoryBlobs, gated, open_files: Callable[[], list[str]]
) -> None:
    async def read() -> None:
        async with store.open(KEY):
            pytest.fail("it was cancelled")

    await (await store.create(KEY)).release()
    gate = gated("open")
    opening = asyncio.create_task(read())
    await gate.reached()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    gate.open()
    await store.close()
    assert open_files() == []


async def test_a_cancelled_remove_is_carried_out_and_told(
    store: DirectoryBlobs, tmp_path: Path, gated
) -> None:
    writer = await store.create(KEY)
    gate = gated("unlink")
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(0))
        remove = asyncio.create_task(store.remove(KEY))
        await gate.reached()
        remove.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await remove
        assert await wait == BlobStatus(ABANDONED, 0)
    await writer.release()
    assert not (tmp_path / "blobs/k1/k1").exists()
