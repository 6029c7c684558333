"""What a store of local files promises besides: writers that bytes can be brought to.

Run for each such store, as `test_blob_stores` for each store.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tailrace.blobs import (
    BlobKey,
    BlobState,
    BlobStatus,
    BlobStore,
    Landing,
    LocalBlobWriter,
)
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import BlobAbandoned, OffsetMismatch
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


@asynccontextmanager
async def directory(path: Path) -> AsyncIterator[BlobStore]:
    store = DirectoryBlobs(path / "blobs")
    yield store
    await store.close()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[BlobStore]]] = {
    "directory": directory,
}


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    async with request.param(tmp_path) as store:
        yield store


@pytest.fixture
async def local(store: BlobStore) -> LocalBlobWriter:
    writer = await store.create(KEY)
    assert isinstance(writer, LocalBlobWriter)
    return writer


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def bringing(*steps: bytes | Exception) -> Landing:
    """A landing that writes one step after the other, and tells of each."""

    async def land(descriptor: int, offset: int, on_progress: Callable[[int], None]) -> None:
        count = 0
        for step in steps:
            if isinstance(step, Exception):
                raise step
            count += os.pwrite(descriptor, step, offset + count)
            on_progress(count)
            await settle()

    return land


async def test_what_lands_is_appended(store: BlobStore, local: LocalBlobWriter) -> None:
    await local.append(0, [b"<"])
    assert await local.land(1, bringing(b"abc", b"de")) == local.length == 6
    assert await local.append(6, [b">"]) == 7
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, 7)) == b"<abcde>"
    await local.seal()
    assert await store.status(KEY) == BlobStatus(SEALED, 7)


@pytest.mark.parametrize("offset", [0, 2, 4])
async def test_nothing_lands_elsewhere_than_at_the_end(
    store: BlobStore, local: LocalBlobWriter, offset: int
) -> None:
    await local.append(0, [b"abc"])
    with pytest.raises(OffsetMismatch) as refusal:
        await local.land(offset, bringing(b"xyz"))
    assert (refusal.value.expected, refusal.value.received) == (3, offset)
    assert await store.status(KEY) == BlobStatus(GROWING, 3)
    await local.release()


async def test_those_who_wait_are_woken_by_each_step_of_a_landing(
    store: BlobStore, local: LocalBlobWriter
) -> None:
    async with store.open(KEY) as reader:
        seen = []

        async def follow() -> None:
            while (status := await reader.wait_beyond(len(b"".join(seen)))).length < 5:
                seen.append(await reader.read(Span(len(b"".join(seen)), status.length)))

        following = asyncio.create_task(follow())
        await settle()
        await local.land(0, bringing(b"ab", b"c", b"de"))
        await following
    assert seen == [b"ab", b"c"]
    await local.release()


async def test_after_a_landing_that_failed_the_length_tells_what_is_there(
    store: BlobStore, local: LocalBlobWriter
) -> None:
    with pytest.raises(ConnectionError):
        await local.land(0, bringing(b"abc", ConnectionError()))
    assert local.length == 3
    assert await local.append(3, [b"d"]) == 4
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, 4)) == b"abcd"
    await local.release()


async def test_nothing_lands_in_a_blob_that_was_removed(
    store: BlobStore, local: LocalBlobWriter
) -> None:
    await store.remove(KEY)
    with pytest.raises(BlobAbandoned):
        await local.land(0, bringing(b"abc"))
    await local.release()


async def test_a_removal_ends_a_landing(store: BlobStore, local: LocalBlobWriter) -> None:
    async with store.open(KEY) as reader:
        landing = asyncio.create_task(local.land(0, bringing(*[b"abc"] * 1_000_000)))
        await reader.wait_beyond(0)
        await store.remove(KEY)
        with pytest.raises(BlobAbandoned):
            await landing
        assert (await reader.wait_beyond(2**40)).state is ABANDONED
    await local.release()


async def test_nothing_lands_by_a_writer_that_is_spent(local: LocalBlobWriter) -> None:
    await local.release()
    with pytest.raises(ValueError, match="spent"):
        await local.land(0, bringing(b"abc"))


async def test_a_store_in_memory_has_no_such_writers() -> None:
    writer = await MemoryBlobs().create(KEY)
    assert not isinstance(writer, LocalBlobWriter)
