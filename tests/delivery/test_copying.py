import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from tailrace.blobs.memory import MemoryBlobs, MemoryReader
from tailrace.delivery.copying import (
    BUDGET_BYTES,
    LARGEST_CHUNK,
    SMALLEST_CHUNK,
    send_copies,
)
from tailrace.delivery.follow import follow
from tailrace.delivery.pieces import in_turn
from tailrace.errors import BlobAbandoned, ClientDisconnected, StorageUnavailable
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

HEAD = {"type": "http.response.start", "status": 200, "headers": []}


def copying(reader, pieces):
    async def app(scope, receive, send):
        await send(HEAD)
        await send_copies(reader, pieces, receive, send)
        await send({"type": "http.response.body", "body": b""})

    return app


def sending(reader, *pieces):
    return copying(reader, in_turn(pieces))


def following(reader, start=0):
    return copying(reader, follow(reader, start))


class Failing(MemoryReader):
    """A blob whose bytes are gone from some offset on."""

    def __init__(self, offset):
        self._offset = offset

    async def read(self, span):
        if span.stop > self._offset:
            raise StorageUnavailable("gone")
        return bytes(span.length)


# --- large content ------------------------------------------------------------------------


async def test_large_content_goes_in_large_chunks_and_then_an_end(exchange, sealed, bytes_of):
    length = 2 * LARGEST_CHUNK + 5
    async with sealed(length) as reader:
        answered = await exchange().whole(sending(reader, Span(0, length)))
    assert [len(chunk) for chunk in answered.chunks] == [LARGEST_CHUNK, LARGEST_CHUNK, 5]
    assert answered.content == bytes_of(length)


async def test_large_content_of_several_pieces_goes_in_order(exchange, sealed, bytes_of):
    pieces = [b"<", Span(70_000, 140_000), b"|", Span(0, 9), b">"]
    async with sealed(140_000) as reader:
        answered = await exchange().whole(sending(reader, *pieces))
    content = bytes_of(140_000)
    assert answered.content == b"<" + content[70_000:] + b"|" + content[:9] + b">"


async def test_the_client_of_large_content_is_watched(exchange, sealed):
    async with sealed(70_000) as reader:
        answered = await exchange().whole(sending(reader, Span(0, 70_000)))
    assert answered.received > 0


async def test_large_content_that_is_missing_does_not_end(exchange):
    asked = exchange()
    with pytest.raises(StorageUnavailable):
        await asked.of(sending(Failing(LARGEST_CHUNK), Span(0, 2 * LARGEST_CHUNK)))
    assert len(asked.content) == LARGEST_CHUNK
    assert not asked.is_ended


async def test_a_chunk_is_not_held_while_the_next_one_is_waited_for(store, writer):
    held = set()

    class Chunk(bytes):
        def __init__(self, _):
            held.add(id(self))

        def __del__(self):
            held.discard(id(self))

    class Counting:
        def __init__(self, reader):
            self._reader = reader

        def __getattr__(self, name):
            return getattr(self._reader, name)

        async def read(self, span):
            return Chunk(await self._reader.read(span))

    is_sent = asyncio.Event()

    async def send(message):
        if message["type"] == "http.response.body":
            is_sent.set()

    async def receive():
        await asyncio.Event().wait()

    await writer.append(0, [b"a long silence follows"])
    async with store.open("blob") as reader:
        task = asyncio.create_task(
            send_copies(Counting(reader), follow(reader, 0), receive, send)
        )
        await is_sent.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert held == set()
        await writer.seal()
        await task


# --- the client leaves --------------------------------------------------------------------


@pytest.mark.parametrize("tells", [True, False])
async def test_nothing_is_read_for_a_client_that_has_left(exchange, sealed, tells):
    length = 20 * LARGEST_CHUNK
    async with sealed(length) as reader:
        read = []

        class Counting:
            async def read(self, span):
                read.append(span)
                return await reader.read(span)

        asked = exchange(leaves_at=3 * LARGEST_CHUNK, tells=tells)
        with pytest.raises((ClientDisconnected, OSError)):
            await asked.of(sending(Counting(), Span(0, length)))
    assert len(read) in (3, 4)  # what was being read when it left
    assert not asked.is_ended


async def test_a_client_that_leaves_is_noticed_while_there_is_nothing_to_send(
    exchange, store, writer
):
    asked = exchange()
    await writer.append(0, [b"part"])
    async with store.open("blob") as reader:
        task = asyncio.create_task(asked.of(following(reader)))
        await asked.has(4)
        asked.leave()
        with pytest.raises(ClientDisconnected):
            await task
    assert not asked.is_ended
    await writer.abandon()


async def test_a_client_that_leaves_is_noticed_while_it_takes_nothing(exchange, sealed):
    asked = exchange()
    async with sealed(3 * LARGEST_CHUNK) as reader:
        app = sending(reader, Span(0, 3 * LARGEST_CHUNK))
        task = asyncio.create_task(asked.of(app))
        await asked.has(LARGEST_CHUNK)
        asked.stall()
        asked.leave()
        with pytest.raises(ClientDisconnected):
            await task


async def test_a_server_that_never_waits_keeps_nobody_from_running(exchange):
    # Neither this blob nor this server ever waits for anything.
    store = MemoryBlobs()
    writer = await store.create("blob")
    await writer.append(0, [bytes(4 * LARGEST_CHUNK)])
    await writer.seal()
    rounds = 0
    is_over = False

    async def someone_else():
        nonlocal rounds
        while not is_over:
            rounds += 1
            await asyncio.sleep(0)

    async with store.open("blob") as reader:
        other = asyncio.create_task(someone_else())
        await exchange().whole(sending(reader, Span(0, 4 * LARGEST_CHUNK)))
    is_over = True
    await other
    assert rounds >= 4


# --- the budget ---------------------------------------------------------------------------


async def chunk_length(exchange):
    """The length of the first chunk that a delivery gets just now."""
    asked = exchange()
    with suppress(StorageUnavailable):
        await asked.of(sending(Failing(LARGEST_CHUNK), Span(0, 2 * LARGEST_CHUNK)))
    return len(asked.chunks[0])


@asynccontextmanager
async def under_way(exchange, store, count):
    """So many deliveries of a growing blob, all with nothing to do."""
    asked = [exchange() for _ in range(count)]
    async with store.open("blob") as reader:
        tasks = [
            asyncio.create_task(following(reader)(each.scope, each.receive, each.send))
            for each in asked
        ]
        for each in asked:
            await each.has(1)
        yield asked, tasks


@pytest.mark.parametrize(
    ("count", "length"),
    [
        (0, LARGEST_CHUNK),
        (3, LARGEST_CHUNK),
        (7, BUDGET_BYTES // 8),
        (63, BUDGET_BYTES // 64),
        (400, SMALLEST_CHUNK),
    ],
)
async def test_the_deliveries_under_way_share_a_budget(exchange, count, length):
    store = MemoryBlobs()
    writer = await store.create("blob")
    await writer.append(0, [b"."])
    async with under_way(exchange, store, count) as (_, tasks):
        assert await chunk_length(exchange) == length
        await writer.seal()
        await asyncio.gather(*tasks)
    assert await chunk_length(exchange) == LARGEST_CHUNK


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("sealed", None),
        ("abandoned", BlobAbandoned),
        ("left", ClientDisconnected),
        ("cancelled", asyncio.CancelledError),
        ("refused", AssertionError),
    ],
)
async def test_the_budget_is_given_back_however_a_delivery_ends(exchange, end, expected):
    store = MemoryBlobs()
    writer = await store.create("blob")
    await writer.append(0, [b"."])
    async with under_way(exchange, store, 15) as (asked, tasks):
        assert await chunk_length(exchange) == BUDGET_BYTES // 16
        match end:
            case "sealed":
                await writer.seal()
            case "abandoned":
                await writer.abandon()
            case "left":
                for each in asked:
                    each.leave()
            case "cancelled":
                for task in tasks:
                    task.cancel()
            case "refused":
                for each in asked:
                    each.is_ended = True  # and now it gets more
                await writer.append(1, [b"."])
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {error and type(error) for error in ends} == {expected}
    assert await chunk_length(exchange) == LARGEST_CHUNK


async def test_a_server_that_fails_gives_the_budget_back(exchange):
    async def send(message):
        raise RuntimeError

    piece = Span(0, LARGEST_CHUNK)
    for _ in range(8):
        with pytest.raises(RuntimeError):
            await send_copies(
                Failing(LARGEST_CHUNK), in_turn([piece]), exchange().receive, send
            )
    assert await chunk_length(exchange) == LARGEST_CHUNK
