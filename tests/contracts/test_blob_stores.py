"""What every blob store promises: `tailrace.blobs.contract`, run for each store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tailrace.blobs import BlobKey, BlobReader, BlobState, BlobStatus, BlobStore, BlobWriter
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    BlobMissing,
    BlobSealed,
    OffsetMismatch,
    StorageUnavailable,
)
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[BlobStore]:
    yield MemoryBlobs()


@asynccontextmanager
async def directory(path: Path) -> AsyncIterator[BlobStore]:
    store = DirectoryBlobs(path / "blobs")
    yield store
    await store.close()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[BlobStore]]] = {
    "memory": memory,
    "directory": directory,
}


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    async with request.param(tmp_path) as store:
        yield store


async def sealed(store: BlobStore, content: bytes, key: BlobKey = KEY) -> None:
    writer = await store.create(key)
    await writer.append(0, [content])
    await writer.seal()


async def begin_wait(reader: BlobReader, length: int) -> asyncio.Task[BlobStatus]:
    task = asyncio.create_task(reader.wait_beyond(length))
    await settle()
    assert not task.done()
    return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# --- creating -------------------------------------------------------------------------------


async def test_a_new_blob_is_growing_and_empty(store: BlobStore) -> None:
    writer = await store.create(KEY)
    assert writer.length == 0
    assert await store.status(KEY) == BlobStatus(GROWING, 0)
    await writer.release()


@pytest.mark.parametrize("end", ["none", "release", "seal"])
async def test_a_key_in_use_cannot_be_created_again(store: BlobStore, end: str) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"kept"])
    if end != "none":
        await getattr(writer, end)()
    with pytest.raises(BlobBusy):
        await store.create(KEY)
    assert (await store.status(KEY)).length == 4
    await writer.release()


@pytest.mark.parametrize(
    "key", ["", "a" * 65, "A", "a/b", "..", "../a", "a.b", "a_b", "a\n", "a\0", "é", "٣", "ａ"]
)
async def test_a_key_of_another_form_is_refused_everywhere(store: BlobStore, key: str) -> None:
    for use in (store.create, store.resume, store.status, store.remove):
        with pytest.raises(ValueError, match="not a blob key"):
            await use(BlobKey(key))
    with pytest.raises(ValueError, match="not a blob key"):
        async with store.open(BlobKey(key)):
            pass
    with pytest.raises(ValueError, match="not a blob key"):
        store.read_at_once(BlobKey(key), 1)


@pytest.mark.parametrize("key", ["a", "0", "ab", "a" * 64, "con", "9z"])
async def test_every_key_of_the_form_is_taken(store: BlobStore, key: str) -> None:
    await sealed(store, b"abc", BlobKey(key))
    assert [key async for key in store.keys()] == [key]
    assert await store.status(BlobKey(key)) == BlobStatus(SEALED, 3)


# --- appending ------------------------------------------------------------------------------


async def test_append_returns_the_new_length(store: BlobStore) -> None:
    writer = await store.create(KEY)
    assert await writer.append(0, [b"abc", b"", b"de"]) == 5
    assert await writer.append(5, [b"f"]) == 6
    assert writer.length == 6
    assert await store.status(KEY) == BlobStatus(GROWING, 6)
    await writer.release()


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
async def test_appending_nothing_changes_nothing(store: BlobStore, chunks: list[bytes]) -> None:
    writer = await store.create(KEY)
    assert await writer.append(0, chunks) == 0
    assert await store.status(KEY) == BlobStatus(GROWING, 0)
    await writer.release()


@pytest.mark.parametrize("offset", [0, 2, 4, 2**62])
async def test_append_elsewhere_than_at_the_end_is_refused(
    store: BlobStore, offset: int
) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    with pytest.raises(OffsetMismatch) as refusal:
        await writer.append(offset, [b"xyz"])
    assert (refusal.value.expected, refusal.value.received) == (3, offset)
    assert await store.status(KEY) == BlobStatus(GROWING, 3)
    await writer.release()


async def test_thousands_of_chunks_arrive_whole_and_in_order(store: BlobStore) -> None:
    chunks = [b"%d," % n * (n % 3) for n in range(5000)]
    writer = await store.create(KEY)
    await writer.append(0, [b"<"])
    assert await writer.append(1, chunks) == writer.length
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, writer.length)) == b"<" + b"".join(chunks)
    await writer.release()


async def test_after_a_cancelled_append_the_length_tells_what_is_there(
    store: BlobStore,
) -> None:
    writer = await store.create(KEY)
    content = bytes(range(256)) * 4096
    task = asyncio.create_task(writer.append(0, [content]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.open(KEY) as reader:
        assert reader.status == BlobStatus(GROWING, writer.length)
        assert await reader.read(Span(0, writer.length)) == content[: writer.length]
    assert await writer.append(writer.length, [b"on"]) == writer.length
    await writer.release()


async def test_sync_returns_the_length(store: BlobStore) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    assert await writer.sync() == 3
    await writer.release()


# --- appending from another blob ------------------------------------------------------------

OTHER = BlobKey("other")


@pytest.mark.parametrize("end", ["release", "seal"])
async def test_a_span_of_another_blob_can_be_appended(store: BlobStore, end: str) -> None:
    source = await store.create(OTHER)
    await source.append(0, [b"0123456789"])
    await getattr(source, end)()
    writer = await store.create(KEY)
    await writer.append(0, [b"ab"])
    async with store.open(OTHER) as reader:
        assert await writer.append_from(2, reader, Span(3, 7)) == 6
        assert await writer.append_from(6, reader, Span(3, 3)) == 6
        assert await writer.append_from(6, reader, Span(0, 10)) == 16
    await writer.seal()
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, 16)) == b"ab34560123456789"
    async with store.open(OTHER) as reader:
        assert await reader.read(Span(0, 10)) == b"0123456789"


async def test_who_follows_a_blob_is_told_of_what_is_appended_from_another(
    store: BlobStore,
) -> None:
    await sealed(store, b"abc", OTHER)
    writer = await store.create(KEY)
    async with store.open(KEY) as following, store.open(OTHER) as reader:
        waiting = await begin_wait(following, 0)
        await writer.append_from(0, reader, Span(0, 3))
        assert await waiting == BlobStatus(GROWING, 3)
    await writer.release()


async def test_nothing_is_appended_from_another_blob_at_another_offset(
    store: BlobStore,
) -> None:
    await sealed(store, b"abc", OTHER)
    writer = await store.create(KEY)
    async with store.open(OTHER) as reader:
        with pytest.raises(OffsetMismatch):
            await writer.append_from(1, reader, Span(0, 3))
        await writer.release()
        with pytest.raises(ValueError, match="spent"):
            await writer.append_from(0, reader, Span(0, 3))
    assert (await store.status(KEY)).length == 0


async def test_more_of_another_blob_than_there_is_cannot_be_appended(store: BlobStore) -> None:
    await sealed(store, b"abc", OTHER)
    writer = await store.create(KEY)
    async with store.open(OTHER) as reader:
        with pytest.raises(StorageUnavailable):
            await writer.append_from(0, reader, Span(0, 4))
    await writer.release()


# --- one writer, and its three ends ---------------------------------------------------------


async def test_a_sealed_blob_is_whole(store: BlobStore) -> None:
    await sealed(store, b"abc")
    assert await store.status(KEY) == BlobStatus(SEALED, 3)


async def test_an_empty_blob_can_be_sealed(store: BlobStore) -> None:
    await sealed(store, b"")
    async with store.open(KEY) as reader:
        assert reader.status == BlobStatus(SEALED, 0)
        assert await reader.read(Span(0, 0)) == b""


async def test_an_abandoned_blob_is_missing(store: BlobStore) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await writer.abandon()
    assert [key async for key in store.keys()] == []
    for use in (store.status, store.resume):
        with pytest.raises(BlobMissing):
            await use(KEY)
    with pytest.raises(BlobMissing):
        async with store.open(KEY):
            pass


async def test_a_released_blob_is_resumed_at_its_length(store: BlobStore) -> None:
    first = await store.create(KEY)
    await first.append(0, [b"abc"])
    await first.release()
    assert await store.status(KEY) == BlobStatus(GROWING, 3)
    second = await store.resume(KEY)
    assert second.length == 3
    await second.append(3, [b"def"])
    await second.seal()
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, 6)) == b"abcdef"


async def test_a_living_writer_is_the_only_one(store: BlobStore) -> None:
    writer = await store.create(KEY)
    with pytest.raises(BlobBusy):
        await store.resume(KEY)
    await writer.release()
    writer = await store.resume(KEY)
    with pytest.raises(BlobBusy):
        await store.resume(KEY)
    assert await writer.append(0, [b"abc"]) == 3
    await writer.release()


async def test_a_sealed_blob_cannot_be_resumed(store: BlobStore) -> None:
    await sealed(store, b"abc")
    with pytest.raises(BlobSealed):
        await store.resume(KEY)


async def test_what_never_was_is_missing(store: BlobStore) -> None:
    for use in (store.status, store.resume):
        with pytest.raises(BlobMissing):
            await use(KEY)
    with pytest.raises(BlobMissing):
        async with store.open(KEY):
            pass


@pytest.mark.parametrize("end", ["seal", "abandon", "release"])
async def test_a_writer_that_ended_is_spent(store: BlobStore, end: str) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await getattr(writer, end)()
    with pytest.raises(ValueError, match="spent"):
        await writer.append(3, [b"def"])
    with pytest.raises(ValueError, match="spent"):
        await writer.sync()


@pytest.mark.parametrize("first", ["seal", "release"])
@pytest.mark.parametrize("second", ["seal", "abandon", "release"])
async def test_a_second_end_does_nothing(store: BlobStore, first: str, second: str) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await getattr(writer, first)()
    await getattr(writer, second)()
    state = SEALED if first == "seal" else GROWING
    assert await store.status(KEY) == BlobStatus(state, 3)


async def test_a_spent_writer_does_not_touch_the_next_one(store: BlobStore) -> None:
    first = await store.create(KEY)
    await first.release()
    second = await store.resume(KEY)
    await first.abandon()
    await first.release()
    assert await second.append(0, [b"abc"]) == 3
    with pytest.raises(BlobBusy):
        await store.resume(KEY)
    await second.release()


# --- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sealed", [True, False])
async def test_every_span_below_the_length_can_be_read(
    store: BlobStore, is_sealed: bool
) -> None:
    content = bytes(range(251)) * 1000
    writer = await store.create(KEY)
    await writer.append(0, [content])
    if is_sealed:
        await writer.seal()
    async with store.open(KEY) as reader:
        for start, stop in [(0, 0), (0, 1), (5, 70_000), (70_001, 251_000), (0, 251_000)]:
            assert await reader.read(Span(start, stop)) == content[start:stop]
    await writer.release()


@pytest.mark.parametrize("span", [Span(2, 4), Span(3, 4), Span(2**40, 2**40 + 1)])
async def test_a_read_that_cannot_be_whole_fails_loudly(store: BlobStore, span: Span) -> None:
    await sealed(store, b"abc")
    async with store.open(KEY) as reader:
        with pytest.raises(StorageUnavailable):
            await reader.read(span)


async def test_a_small_sealed_blob_is_read_at_once_or_not_at_all(store: BlobStore) -> None:
    await sealed(store, b"0123456789")
    assert store.read_at_once(KEY, 10) in (b"0123456789", None)
    assert store.read_at_once(KEY, 9) is None


async def test_an_empty_blob_is_read_at_once_or_not_at_all(store: BlobStore) -> None:
    await sealed(store, b"")
    assert store.read_at_once(KEY, 0) in (b"", None)


@pytest.mark.parametrize("end", ["release", "abandon"])
async def test_what_is_not_sealed_is_never_read_at_once(store: BlobStore, end: str) -> None:
    assert store.read_at_once(KEY, 100) is None
    writer = await store.create(KEY)
    assert store.read_at_once(KEY, 100) is None
    await writer.append(0, [b"0123456789"])
    assert store.read_at_once(KEY, 100) is None
    await getattr(writer, end)()
    assert store.read_at_once(KEY, 100) is None


async def test_a_removed_blob_is_not_read_at_once(store: BlobStore) -> None:
    await sealed(store, b"0123456789")
    await store.remove(KEY)
    assert store.read_at_once(KEY, 100) is None


async def test_reads_may_run_at_once(store: BlobStore) -> None:
    content = bytes(range(256)) * 1024
    await sealed(store, content)
    spans = [Span(n * 1000, n * 1000 + 100_000) for n in range(100)]
    async with store.open(KEY) as reader:
        parts = await asyncio.gather(*map(reader.read, spans))
    assert parts == [content[span.start : span.stop] for span in spans]


async def test_a_reader_sees_what_is_appended_after_it_opened(store: BlobStore) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        assert reader.status == BlobStatus(GROWING, 0)
        await writer.append(0, [b"abc"])
        assert await reader.wait_beyond(0) == BlobStatus(GROWING, 3)
        assert await reader.read(Span(0, 3)) == b"abc"
        await writer.seal()
        assert await reader.wait_beyond(3) == BlobStatus(SEALED, 3)
        assert reader.status == BlobStatus(SEALED, 3)


async def test_a_sealed_blob_that_is_removed_is_read_on_to_its_end(store: BlobStore) -> None:
    await sealed(store, b"abc")
    async with store.open(KEY) as reader:
        await store.remove(KEY)
        assert await reader.wait_beyond(0) == BlobStatus(SEALED, 3)
        assert await reader.read(Span(0, 3)) == b"abc"
    with pytest.raises(BlobMissing):
        await store.status(KEY)


async def test_readers_of_an_abandoned_blob_keep_what_was_there(store: BlobStore) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    async with store.open(KEY) as reader:
        await writer.abandon()
        assert await reader.wait_beyond(3) == BlobStatus(ABANDONED, 3)
        assert await reader.read(Span(0, 3)) == b"abc"


async def test_a_reader_that_left_reads_no_more(store: BlobStore) -> None:
    await sealed(store, b"abc")
    async with store.open(KEY) as reader:
        pass
    with pytest.raises(ValueError, match="closed"):
        await reader.read(Span(0, 3))
    with pytest.raises(ValueError, match="closed"):
        await reader.wait_beyond(0)


# --- waiting --------------------------------------------------------------------------------


async def test_no_wait_for_what_is_there(store: BlobStore) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    async with store.open(KEY) as reader:
        assert await reader.wait_beyond(2) == BlobStatus(GROWING, 3)
        await writer.seal()
        assert await reader.wait_beyond(3) == BlobStatus(SEALED, 3)
        assert await reader.wait_beyond(2**62) == BlobStatus(SEALED, 3)


async def test_an_append_wakes_only_those_it_passes(store: BlobStore) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        near, far = await begin_wait(reader, 0), await begin_wait(reader, 3)
        await writer.append(0, [b"abc"])
        assert await near == BlobStatus(GROWING, 3)
        await settle()
        assert not far.done()
        await writer.append(3, [b"d"])
        assert await far == BlobStatus(GROWING, 4)
    await writer.release()


async def ending_by_seal(store: BlobStore, writer: BlobWriter) -> None:
    await writer.seal()


async def ending_by_abandon(store: BlobStore, writer: BlobWriter) -> None:
    await writer.abandon()


async def ending_by_remove(store: BlobStore, writer: BlobWriter) -> None:
    await store.remove(KEY)
    await writer.release()


async def ending_by_remove_without_writer(store: BlobStore, writer: BlobWriter) -> None:
    await writer.release()
    await store.remove(KEY)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (ending_by_seal, SEALED),
        (ending_by_abandon, ABANDONED),
        (ending_by_remove, ABANDONED),
        (ending_by_remove_without_writer, ABANDONED),
    ],
)
async def test_every_end_wakes_all_who_wait(store: BlobStore, end, state: BlobState) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    async with store.open(KEY) as one, store.open(KEY) as other:
        waits = [
            await begin_wait(one, 3),
            await begin_wait(one, 99),
            await begin_wait(other, 3),
        ]
        await end(store, writer)
        assert await asyncio.gather(*waits) == [BlobStatus(state, 3)] * 3


async def test_a_wait_outlasts_a_change_of_writers(store: BlobStore) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        wait = await begin_wait(reader, 0)
        await writer.release()
        await settle()
        assert not wait.done()
        writer = await store.resume(KEY)
        await settle()
        assert not wait.done()
        await writer.append(0, [b"abc"])
        assert await wait == BlobStatus(GROWING, 3)
    await writer.release()


async def test_a_cancelled_wait_disturbs_nobody(store: BlobStore) -> None:
    writer = await store.create(KEY)
    async with store.open(KEY) as reader:
        leaving, staying = await begin_wait(reader, 0), await begin_wait(reader, 0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await writer.append(0, [b"abc"])
        assert await staying == BlobStatus(GROWING, 3)
    await writer.release()


async def test_hundreds_follow_one_blob_to_its_end(store: BlobStore) -> None:
    async def follow(reader: BlobReader) -> bytes:
        content = b""
        while (status := await reader.wait_beyond(len(content))).state is GROWING:
            content += await reader.read(Span(len(content), status.length))
        return content + await reader.read(Span(len(content), status.length))

    writer = await store.create(KEY)
    async with store.open(KEY) as one, store.open(KEY) as other:
        followers = [asyncio.create_task(follow(reader)) for reader in [one, other] * 200]
        for n in range(20):
            await writer.append(n * 3, [b"%03d" % n])
        await writer.seal()
        expected = b"".join(b"%03d" % n for n in range(20))
        assert await asyncio.gather(*followers) == [expected] * 400


# --- removing and listing -------------------------------------------------------------------


async def test_removing_what_is_missing_does_nothing(store: BlobStore) -> None:
    await store.remove(KEY)
    await sealed(store, b"abc")
    await store.remove(KEY)
    await store.remove(KEY)
    assert [key async for key in store.keys()] == []


async def test_a_writer_whose_blob_was_removed_learns_it(store: BlobStore) -> None:
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await store.remove(KEY)
    for use in (writer.append(3, [b"def"]), writer.sync(), writer.seal()):
        with pytest.raises(BlobAbandoned):
            await use
    await writer.abandon()
    with pytest.raises(ValueError, match="spent"):
        await writer.append(3, [b"def"])
    with pytest.raises(BlobMissing):
        await store.status(KEY)


async def test_keys_are_those_of_growing_and_sealed_blobs(store: BlobStore) -> None:
    assert [key async for key in store.keys()] == []
    await sealed(store, b"", BlobKey("ab1"))
    await sealed(store, b"", BlobKey("ab2"))
    growing = await store.create(BlobKey("zz"))
    gone = await store.create(BlobKey("zy"))
    await gone.abandon()
    await store.remove(BlobKey("ab2"))
    assert sorted([key async for key in store.keys()]) == ["ab1", "zz"]
    await growing.release()


async def test_what_is_removed_while_keys_are_listed_does_no_harm(store: BlobStore) -> None:
    keys = {BlobKey(f"{shard}{n}") for shard in "abc" for n in range(3)}
    for key in keys:
        await sealed(store, b"", key)
    listed = set()
    async for key in store.keys():
        listed.add(key)
        await store.remove(key)
    assert listed == keys
    assert [key async for key in store.keys()] == []
