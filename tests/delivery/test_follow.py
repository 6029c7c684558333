import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.delivery.follow import follow
from tailrace.errors import BlobAbandoned
from tailrace.spans import Span

pytestmark = pytest.mark.anyio


@pytest.fixture
async def reader(store, writer):
    async with store.open("blob") as reader:
        yield reader


async def all_from(reader, start=0):
    """What is read span by span."""
    content = b""
    async for span in follow(reader, start):
        assert span.start == start + len(content)
        assert span.length
        content += await reader.read(span)
    return content


async def goes_on(task):
    """Let a task go about as far as it can; it must not have ended."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()


# --- where it joins -----------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 3, 10])
async def test_a_sealed_blob_is_read_from_where_one_joins(writer, reader, start):
    await writer.append(0, [b"0123456789"])
    await writer.seal()
    assert await all_from(reader, start) == b"0123456789"[start:]


@pytest.mark.parametrize("start", [0, 3, 10, 12])
async def test_a_growing_blob_is_followed_from_where_one_joins(writer, reader, start):
    await writer.append(0, [b"0123456789"])
    reading = asyncio.create_task(all_from(reader, start))
    assert await goes_on(reading)
    await writer.append(10, [b"abc"])
    assert await goes_on(reading)
    await writer.append(13, [b"def"])
    await writer.seal()
    assert await reading == b"0123456789abcdef"[start:]


async def test_all_that_is_new_comes_at_once(writer, reader):
    await writer.append(0, [b"0123456789"])
    async with aclosing(follow(reader, 0)) as spans:
        assert await anext(spans) == Span(0, 10)
        await writer.append(10, [b"abc"])
        await writer.append(13, [b"def"])
        assert await anext(spans) == Span(10, 16)
    await writer.abandon()


async def test_of_a_growing_blob_no_span_is_so_long_that_its_end_is_noticed_late(
    writer, reader
):
    longest = 8 * 1024 * 1024
    await writer.append(0, [bytes(3 * longest)])
    async with aclosing(follow(reader, 5)) as spans:
        assert await anext(spans) == Span(5, 5 + longest)
        await writer.seal()
        assert await anext(spans) == Span(5 + longest, 3 * longest)


# --- how it ends --------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"whole"])
async def test_the_end_is_the_seal_and_not_the_last_byte(writer, reader, content):
    await writer.append(0, [content])
    reading = asyncio.create_task(all_from(reader))
    assert await goes_on(reading)
    await writer.seal()
    assert await reading == content


async def test_a_blob_without_a_writer_is_waited_for(store, writer, reader):
    await writer.append(0, [b"one"])
    reading = asyncio.create_task(all_from(reader))
    await writer.release()
    assert await goes_on(reading)
    writer = await store.resume("blob")
    await writer.append(3, [b"two"])
    await writer.seal()
    assert await reading == b"onetwo"


async def test_an_abandoned_blob_does_not_end_politely(writer, reader):
    await writer.append(0, [b"part"])
    reading = asyncio.create_task(all_from(reader))
    assert await goes_on(reading)
    await writer.abandon()
    with pytest.raises(BlobAbandoned, match="offset 4"):
        await reading


async def test_bytes_of_an_abandoned_blob_are_not_sent_to_its_end(writer, reader):
    await writer.append(0, [bytes(10_000_000)])
    async with aclosing(follow(reader, 0)) as spans:
        await anext(spans)
        await writer.abandon()
        with pytest.raises(BlobAbandoned):
            await anext(spans)


async def test_a_blob_sealed_before_one_joined_does_not_end_politely(writer, reader):
    await writer.append(0, [b"0123456789"])
    reading = asyncio.create_task(all_from(reader, 11))
    assert await goes_on(reading)
    await writer.seal()
    with pytest.raises(BlobAbandoned, match="offset 10, before 11"):
        await reading


async def test_who_leaves_while_waiting_leaves_nothing_behind(writer, reader):
    before = asyncio.all_tasks()
    reading = asyncio.create_task(all_from(reader))
    assert await goes_on(reading)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert asyncio.all_tasks() == before
    await writer.append(0, [b"nobody is there"])
    await writer.abandon()


# --- whatever happens ---------------------------------------------------------------------

stories = st.tuples(
    st.lists(st.binary(max_size=30), max_size=8),
    st.integers(0, 8),
    st.floats(0, 1),
)


async def all_of(store, start):
    async with store.open("blob") as reader:
        return await all_from(reader, start)


async def a_follower_gets_exactly_the_bytes(store, story):
    chunks, joined_after, where = story
    whole = b"".join(chunks)
    start = round(len(whole) * where)
    writer = await store.create("blob")
    reading = None
    for count, chunk in enumerate([*chunks, b""]):
        if count == min(joined_after, len(chunks)):
            reading = asyncio.create_task(all_of(store, start))
        await writer.append(writer.length, [chunk])
    await writer.seal()
    assert await reading == whole[start:]


@given(stories)
async def test_whatever_is_appended_a_follower_gets_exactly_the_bytes(story):
    await a_follower_gets_exactly_the_bytes(MemoryBlobs(), story)


@settings(max_examples=40, deadline=None)
@given(stories)
async def test_whatever_is_appended_to_a_file_a_follower_gets_exactly_the_bytes(story):
    with tempfile.TemporaryDirectory() as root:
        store = DirectoryBlobs(Path(root), threads=2)
        await a_follower_gets_exactly_the_bytes(store, story)
        await store.close()


@settings(max_examples=30, deadline=None)
@given(stories)
async def test_whoever_writes_in_another_process_a_follower_gets_exactly_the_bytes(story):
    chunks, _, where = story
    whole = b"".join(chunks)
    start = round(len(whole) * where)
    with tempfile.TemporaryDirectory() as root:
        # A second store on one directory knows no more of the first than a process would.
        store = DirectoryBlobs(Path(root), threads=2)
        other = DirectoryBlobs(Path(root), threads=2, poll_seconds=0.001)
        writer = await store.create("blob")
        reading = asyncio.create_task(all_of(other, start))
        for chunk in chunks:
            await writer.append(writer.length, [chunk])
        await writer.seal()
        assert await reading == whole[start:]
        await store.close()
        await other.close()
