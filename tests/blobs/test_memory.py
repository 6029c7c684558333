"""The store in memory, beyond what `contracts` asks of every store."""

import asyncio

import pytest

from tailrace.blobs import BlobKey, BlobState, BlobStatus
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import StorageFull
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY, OTHER = BlobKey("k1"), BlobKey("k2")


async def test_a_full_store_keeps_what_fitted() -> None:
    store = MemoryBlobs(limit_bytes=5)
    writer = await store.create(KEY)
    with pytest.raises(StorageFull):
        await writer.append(0, [b"abc", b"def"])
    assert writer.length == 5
    async with store.open(KEY) as reader:
        assert reader.status == BlobStatus(BlobState.GROWING, 5)
        assert await reader.read(Span(0, 5)) == b"abcde"


async def test_the_limit_is_that_of_all_blobs_together() -> None:
    store = MemoryBlobs(limit_bytes=5)
    one, other = await store.create(KEY), await store.create(OTHER)
    assert await one.append(0, [b"abc"]) == 3
    with pytest.raises(StorageFull):
        await other.append(0, [b"def"])
    assert other.length == 2


async def test_a_removed_blob_makes_room() -> None:
    store = MemoryBlobs(limit_bytes=5)
    one, other = await store.create(KEY), await store.create(OTHER)
    await one.append(0, [b"abcde"])
    await one.abandon()
    assert await other.append(0, [b"fghij"]) == 5


async def test_exactly_the_limit_is_not_too_much() -> None:
    writer = await MemoryBlobs(limit_bytes=3).create(KEY)
    assert await writer.append(0, [b"abc"]) == 3
    assert await writer.append(3, [b""]) == 3


async def test_a_writer_that_never_waits_lets_its_readers_run() -> None:
    store = MemoryBlobs()
    writer = await store.create(KEY)
    seen = []

    async def follow() -> None:
        async with store.open(KEY) as reader:
            while (status := await reader.wait_beyond(sum(seen))).state is BlobState.GROWING:
                seen.append(status.length - sum(seen))

    follower = asyncio.create_task(follow())
    for n in range(100):
        await writer.append(n, [b"x"])
    await writer.seal()
    await follower
    assert len(seen) > 25


async def test_a_read_may_hold_on_to_its_bytes_while_the_blob_grows() -> None:
    store = MemoryBlobs()
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    async with store.open(KEY) as reader:
        content = await reader.read(Span(0, 3))
        await writer.append(3, [b"d" * 100_000])
        assert content == b"abc"
        assert reader.fileno() is None
