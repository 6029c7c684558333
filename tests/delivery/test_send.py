import asyncio

import pytest

from tailrace.blobs.memory import MemoryReader
from tailrace.delivery.pieces import pieces_of
from tailrace.delivery.send import SMALL_CONTENT, send_following, send_pieces
from tailrace.errors import BlobAbandoned, StorageUnavailable
from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

HEAD = {"type": "http.response.start", "status": 200, "headers": []}


def sending(reader, *pieces):
    async def app(scope, receive, send):
        await send_pieces(reader, pieces, HEAD, scope, receive, send)

    return app


def following(reader, start=0):
    async def app(scope, receive, send):
        await send_following(reader, start, HEAD, scope, receive, send)

    return app


class Unread(MemoryReader):
    """A blob that counts on not being read."""

    def __init__(self):
        pass

    async def read(self, span):
        raise AssertionError("there was nothing to read")


class Failing(MemoryReader):
    """A blob whose bytes are gone from some offset on."""

    def __init__(self, offset):
        self._offset = offset

    async def read(self, span):
        if span.stop > self._offset:
            raise StorageUnavailable("gone")
        return bytes(span.length)


# --- small content ------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 10, SMALL_CONTENT])
async def test_small_content_is_one_message_and_nobody_watches(
    exchange, sealed, length, bytes_of
):
    async with sealed(length) as reader:
        answered = await exchange().whole(sending(reader, Span(0, length)))
    assert answered.chunks == [bytes_of(length)]
    assert answered.received == 0


async def test_no_content_is_one_message_and_nothing_is_read(exchange):
    answered = await exchange().whole(sending(Unread(), b"", b""))
    assert answered.chunks == []
    assert answered.received == 0


async def test_small_content_of_several_pieces_is_one_message(exchange, sealed):
    pieces = [b"<", Span(0, 3), b"|", Span(7, 9), b">"]
    async with sealed(10) as reader:
        answered = await exchange().whole(sending(reader, *pieces))
    assert answered.chunks == [b"<\0\1\2|\7\x08>"]


async def test_small_content_that_is_missing_is_known_before_the_head(exchange):
    asked = exchange()
    with pytest.raises(StorageUnavailable):
        await asked.of(sending(Failing(9), Span(0, 10)))
    assert asked.status is None


# --- long content -------------------------------------------------------------------------


async def test_multipart_content_is_as_long_as_its_framing_says(exchange, sealed):
    framing = MultipartByteranges(
        (Span(0, 5), Span(60_000, 130_000)), "separator", "text/plain", 140_000
    )
    async with sealed(140_000) as reader:
        answered = await exchange().whole(sending(reader, *pieces_of(framing)))
    assert len(answered.content) == framing.content_length
    assert answered.content.endswith(framing.closing)


# --- following ----------------------------------------------------------------------------


async def test_the_head_goes_before_the_first_byte_is_there(exchange, store, writer):
    asked = exchange()
    async with store.open("blob") as reader:
        task = asyncio.create_task(asked.of(following(reader)))
        await asked.begins()
        await writer.append(0, [b"first"])
        await asked.has(5)
        await writer.append(5, [b"second"])
        await writer.seal()
        await task
    assert asked.content == b"firstsecond"
    assert asked.is_ended


async def test_what_is_abandoned_does_not_end(exchange, store, writer):
    asked = exchange()
    await writer.append(0, [b"part"])
    async with store.open("blob") as reader:
        task = asyncio.create_task(asked.of(following(reader)))
        await asked.has(4)
        await writer.abandon()
        with pytest.raises(BlobAbandoned):
            await task
    assert not asked.is_ended
