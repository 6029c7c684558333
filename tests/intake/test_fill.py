"""The one loop by which bytes enter a blob."""

import asyncio
import hashlib
import itertools
import os
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.blobs import BlobKey, BlobState
from tailrace.blobs.digest import RunningDigest
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.errors import ClientDisconnected, LengthExceeded, StorageFull
from tailrace.intake.fill import BACKLOG_BYTES, BACKLOG_CHUNKS, fill
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k")
NO_LIMIT = 2**60


class Source:
    """Gives chunks and then does what is said, noting what it gave."""

    def __init__(self, *chunks, then=None):
        self.given = []
        self.has_ended = False
        self._chunks = chunks
        self._then = then

    async def __aiter__(self):
        try:
            for chunk in self._chunks:
                self.given.append(chunk)
                yield chunk
            if self._then is not None:
                await self._then()
        finally:
            self.has_ended = True


async def silence():
    await asyncio.Event().wait()


async def disconnect():
    raise ClientDisconnected("the sender was cut off")


async def content(store):
    async with store.open(KEY) as reader:
        return await reader.read(Span(0, reader.status.length))


async def rounds(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


class GatedWriter:
    """A writer whose appends wait until they are let through; notes what each was given."""

    def __init__(self, writer):
        self._writer = writer
        self.appends = []
        self.gate = asyncio.Event()

    @property
    def length(self):
        return self._writer.length

    async def append(self, offset, chunks):
        self.appends.append(list(chunks))
        await self.gate.wait()
        return await self._writer.append(offset, chunks)


@pytest.fixture
async def store():
    return MemoryBlobs()


@pytest.fixture
async def writer(store):
    writer = await store.create(KEY)
    yield writer
    await writer.release()


@pytest.fixture
def gated(writer):
    return GatedWriter(writer)


# --- all of it ------------------------------------------------------------------------------


async def test_it_returns_the_length_and_does_not_end_the_blob(store, writer):
    assert await fill(writer, Source(b"ab", b"c"), RunningDigest(), limit=NO_LIMIT) == 3
    assert (await store.status(KEY)).state is BlobState.GROWING
    assert await content(store) == b"abc"


async def test_it_works_without_a_digest(store, writer):
    assert await fill(writer, Source(b"ab", b"c"), None, limit=NO_LIMIT) == 3
    assert await content(store) == b"abc"


async def test_an_empty_source_changes_nothing(store, writer):
    assert await fill(writer, Source(), RunningDigest(), limit=0) == 0
    assert await content(store) == b""


async def test_it_goes_on_at_the_end_of_the_blob(store, writer):
    digest = RunningDigest()
    for chunk in (b"ab", b"cd"):
        await fill(writer, Source(chunk), digest, limit=NO_LIMIT)
    assert await content(store) == b"abcd"
    assert digest.covered == 4


# About where digests go to a thread; and more chunks than a backlog takes.
sizes = st.one_of(st.integers(0, 5), st.integers(2**16 - 1, 2**16 + 1))
chunkings = st.one_of(st.lists(sizes, max_size=20), st.just([1] * (2 * BACKLOG_CHUNKS + 1)))


@given(chunkings)
@settings(deadline=None)
def test_content_and_digest_are_the_same_for_any_chunking(chunking):
    chunks = [bytes(size) for size in chunking]

    async def run():
        store = MemoryBlobs()
        writer = await store.create(KEY)
        digest = RunningDigest()
        await fill(writer, Source(*chunks), digest, limit=NO_LIMIT)
        async with store.open(KEY) as reader:
            return await content(store), digest.covered, await digest.complete(reader)

    whole = b"".join(chunks)
    assert asyncio.run(run()) == (whole, len(whole), hashlib.sha256(whole).digest())


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [[b"abcd"], [b"ab", b"cd"], [b"abcd", b""], [b"", b"abcd"]])
async def test_a_source_of_exactly_the_limit_is_taken(store, writer, chunks):
    assert await fill(writer, Source(*chunks), RunningDigest(), limit=4) == 4


@pytest.mark.parametrize("chunks", [[b"abcde"], [b"abcd", b"e"], [b"ab", b"cdefgh"]])
async def test_one_byte_more_than_the_limit_is_refused_and_the_rest_is_kept(
    store, writer, chunks
):
    source = Source(*chunks, b"never asked for")
    with pytest.raises(LengthExceeded) as refusal:
        await fill(writer, source, RunningDigest(), limit=4)
    assert refusal.value.limit == 4
    assert await content(store) == b"abcd"
    assert source.given == chunks


async def test_the_limit_is_that_of_the_blob_and_not_of_the_source(store, writer):
    await writer.append(0, [b"abc"])
    with pytest.raises(LengthExceeded):
        await fill(writer, Source(b"de"), RunningDigest(), limit=4)
    assert await content(store) == b"abcd"


async def test_a_blob_beyond_its_limit_takes_nothing_more(store, writer):
    await writer.append(0, [b"abcdef"])  # the limit was lowered since
    with pytest.raises(LengthExceeded):
        await fill(writer, Source(b"0123456789"), RunningDigest(), limit=4)
    assert await content(store) == b"abcdef"


# --- sources that break off -----------------------------------------------------------------


async def test_what_had_arrived_before_the_source_failed_is_kept(store, writer):
    with pytest.raises(ClientDisconnected):
        await fill(writer, Source(b"ab", b"cd", then=disconnect), RunningDigest(), limit=99)
    assert await content(store) == b"abcd"


async def test_what_had_arrived_before_a_cancellation_is_kept(store, gated):
    filling = asyncio.create_task(
        fill(gated, Source(b"ab", b"cd", then=silence), RunningDigest(), limit=99)
    )
    await rounds()
    filling.cancel()
    await rounds()
    gated.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert await content(store) == b"abcd"


async def test_what_had_arrived_is_kept_also_when_the_source_had_ended_before(store, gated):
    filling = asyncio.create_task(fill(gated, Source(b"ab", b"cd"), RunningDigest(), limit=99))
    await rounds()
    assert gated.appends
    for _ in range(3):
        filling.cancel()
        await rounds()
    gated.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert await content(store) == b"abcd"


async def test_whenever_it_is_cancelled_all_that_was_given_is_kept(
    store, cancelled_at_every_step
):
    chunks = [b"a", b"", b"b" * 70_000, b"c" * BACKLOG_BYTES, *[b"d"] * 1500]
    source, writer = Source(), None

    async def attempt():
        nonlocal source, writer
        source = Source(*chunks)
        await store.remove(KEY)
        writer = await store.create(KEY)
        await fill(writer, source, RunningDigest(), limit=NO_LIMIT)

    async def check():
        if writer is not None:
            assert await content(store) == b"".join(source.given)

    await cancelled_at_every_step(attempt, check)
    assert source.given == chunks


# --- stores that fail -----------------------------------------------------------------------


async def test_a_full_store_stops_a_silent_source_at_once():
    store = MemoryBlobs(limit_bytes=3)
    writer = await store.create(KEY)
    source = Source(b"abcdef", then=silence)
    async with asyncio.timeout(30):
        with pytest.raises(StorageFull):
            await fill(writer, source, RunningDigest(), limit=99)
    assert source.has_ended
    assert await content(store) == b"abc"
    assert asyncio.current_task().cancelling() == 0


async def test_a_full_store_stops_a_source_that_waits_for_room_in_the_backlog():
    store = MemoryBlobs(limit_bytes=3)
    writer = await store.create(KEY)
    source = Source(*[bytes(BACKLOG_BYTES)] * 100)
    with pytest.raises(StorageFull):
        await fill(writer, source, RunningDigest(), limit=NO_LIMIT)
    assert len(source.given) < 5


async def test_when_both_sides_fail_it_is_the_store_that_is_told():
    store = MemoryBlobs(limit_bytes=3)
    writer = await store.create(KEY)
    with pytest.raises(StorageFull):
        await fill(writer, Source(b"abcdef", then=disconnect), RunningDigest(), limit=99)


# --- batching and pace ----------------------------------------------------------------------


async def test_what_arrives_while_an_append_is_under_way_goes_into_the_next_one_together(
    store, gated
):
    steps = asyncio.Event()

    async def source():
        yield b"a"
        await steps.wait()
        for chunk in (b"b", b"c", b"d"):
            yield chunk

    filling = asyncio.create_task(fill(gated, source(), RunningDigest(), limit=99))
    await rounds()
    steps.set()
    await rounds()
    assert gated.appends == [[b"a"]]
    gated.gate.set()
    assert await filling == 4
    assert gated.appends == [[b"a"], [b"b", b"c", b"d"]]


async def test_what_a_slow_source_gives_can_be_read_before_it_gives_more(store, writer):
    async with store.open(KEY) as reader:

        async def source():
            for length in range(5):
                async with asyncio.timeout(30):
                    await reader.wait_beyond(length - 1)
                yield b"x"

        assert await fill(writer, source(), RunningDigest(), limit=99) == 5


@pytest.mark.parametrize("size", [1, 1000, BACKLOG_BYTES // 2, 3 * BACKLOG_BYTES])
async def test_a_source_is_held_back_while_the_store_is_behind(gated, size):
    source = Source(*itertools.repeat(bytes(size), 100_000))
    filling = asyncio.create_task(fill(gated, source, RunningDigest(), limit=NO_LIMIT))
    await rounds(50)
    waiting = source.given[len(gated.appends[0]) :]
    assert len(waiting) <= BACKLOG_CHUNKS
    assert sum(map(len, waiting[:-1])) < BACKLOG_BYTES
    filling.cancel()
    gated.gate.set()
    await asyncio.wait((filling,))


@pytest.mark.parametrize("chunk", [b"x", b""])
async def test_tiny_chunks_without_end_and_without_a_wait_do_not_starve_the_loop(writer, chunk):
    async def source():
        for _ in range(10**6):
            yield chunk
        pytest.fail("nobody else had a turn")

    filling = asyncio.create_task(fill(writer, source(), RunningDigest(), limit=NO_LIMIT))
    await rounds()
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling


async def test_the_source_can_be_any_iterable_and_is_the_callers_to_close(writer):
    async def source():
        yield b"ab"
        yield b"c"

    async with aclosing(source()) as chunks:
        with pytest.raises(LengthExceeded):
            await fill(writer, chunks, RunningDigest(), limit=1)
        assert [chunk async for chunk in chunks] == [b"c"]


# --- sources that bring their bytes into a file by themselves -------------------------------


class Bringing:
    """A source that lands its content in steps, and then does what is said."""

    def __init__(self, *steps, then=None):
        self.length = sum(map(len, steps))
        self._steps = steps
        self._then = then

    def __aiter__(self):
        return aiter(Source(*self._steps))

    async def land(self, descriptor, offset, count, *, on_progress, update):
        landed = 0
        for step in self._steps:
            step = step[: count - landed]
            landed += os.pwrite(descriptor, step, offset + landed)
            on_progress(landed)
            if update is not None:
                update(memoryview(step))
        if self._then is not None:
            await self._then()
        return landed


@pytest.fixture
async def local(tmp_path):
    store = DirectoryBlobs(tmp_path / "blobs")
    yield store
    await store.close()


@pytest.fixture
async def local_writer(local):
    writer = await local.create(KEY)
    yield writer
    await writer.release()


async def test_what_lands_is_in_the_blob_and_in_the_digest(local, local_writer):
    digest = RunningDigest()
    await fill(local_writer, Source(b"<"), digest, limit=NO_LIMIT)
    filled = await fill(local_writer, Bringing(b"ab", b"c"), digest, limit=NO_LIMIT)
    assert filled == local_writer.length == 4
    assert await content(local) == b"<abc"
    assert digest.covered == 4
    async with local.open(KEY) as reader:
        assert await digest.complete(reader) == hashlib.sha256(b"<abc").digest()


async def test_bytes_land_without_a_digest(local, local_writer):
    assert await fill(local_writer, Bringing(b"abc"), None, limit=NO_LIMIT) == 3
    assert await content(local) == b"abc"


async def test_a_digest_that_has_missed_bytes_is_not_extended(local, local_writer):
    digest = RunningDigest()
    await local_writer.append(0, [b"<"])
    await fill(local_writer, Bringing(b"abc"), digest, limit=NO_LIMIT)
    assert digest.covered == 0
    async with local.open(KEY) as reader:
        assert await digest.complete(reader) == hashlib.sha256(b"<abc").digest()


@pytest.mark.parametrize(("limit", "kept"), [(0, b""), (2, b"ab"), (4, b"abcd")])
async def test_of_too_much_that_lands_what_lies_below_the_limit_is_kept(
    local, local_writer, limit, kept
):
    with pytest.raises(LengthExceeded):
        await fill(local_writer, Bringing(b"abc", b"de"), RunningDigest(), limit=limit)
    assert await content(local) == kept


async def test_a_source_that_lands_exactly_the_limit_is_taken(local, local_writer):
    assert await fill(local_writer, Bringing(b"abc"), RunningDigest(), limit=3) == 3


async def test_what_had_landed_before_the_source_failed_is_kept(local, local_writer):
    source = Bringing(b"abc", then=disconnect)
    with pytest.raises(ClientDisconnected):
        await fill(local_writer, source, RunningDigest(), limit=NO_LIMIT)
    assert local_writer.length == 3
    assert await content(local) == b"abc"


async def test_a_store_without_files_takes_such_a_source_chunk_by_chunk(store, writer):
    await fill(writer, Bringing(b"ab", b"c"), RunningDigest(), limit=NO_LIMIT)
    assert await content(store) == b"abc"
