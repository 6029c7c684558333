"""Carrying an answer out: its head, and the bytes of its spans in large chunks.

What can fail before the head is sent is done before: content that is small is read first. A
failure after that is raised, and the response is not ended: the server that sees the error
cuts the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NoReturn

from starlette.types import Message, Receive, Send

from tailrace.blobs import BlobReader
from tailrace.delivery.follow import follow
from tailrace.delivery.leaving import UntilDisconnect
from tailrace.errors import ClientDisconnected
from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.spans import Span

# A large chunk costs the fewest calls per byte, but each reader that is slow holds one. So
# the deliveries under way share a budget: a megabyte each for a few, and as much as a server
# buffers anyhow for each of hundreds.
LARGEST_CHUNK = 1024 * 1024
SMALLEST_CHUNK = 16 * 1024
BUDGET_BYTES = 4 * 1024 * 1024

# Content up to this length is read at once and sent in one message: no time for the client
# to leave, so nothing watches for it.
SMALL_CONTENT = 64 * 1024


class _UnderWay:
    """Counts the deliveries of this process, for the budget that they share."""

    def __init__(self) -> None:
        self._count = 0

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1

    def chunk_length(self) -> int:
        share = BUDGET_BYTES // max(self._count, 1)
        return min(max(share, SMALLEST_CHUNK), LARGEST_CHUNK)


_under_way = _UnderWay()

_NO_BYTES = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of our own, and then a span of the representation."""

    head: bytes
    span: Span = _NO_BYTES


def pieces_of(framing: MultipartByteranges) -> Sequence[Piece]:
    """Return multipart content as pieces."""
    parts = [Piece(head, span) for head, span in framing.parts()]
    return [*parts, Piece(framing.closing)]


async def send_pieces(
    reader: BlobReader, pieces: Sequence[Piece], head: Message, receive: Receive, send: Send
) -> None:
    """Send the head, then pieces, then the end of the response.

    Raises:
        ClientDisconnected: the client left before the end.
        StorageUnavailable: bytes that were promised do not exist.
    """
    if sum(len(piece.head) + piece.span.length for piece in pieces) <= SMALL_CONTENT:
        content = b"".join([await _whole(reader, piece) for piece in pieces])
        await send(head)
        await _send_end(send, content)
    else:
        await send(head)
        await _send_chunks(_chunks_of(reader, pieces), receive, send)


async def send_following(
    reader: BlobReader, start: int, head: Message, receive: Receive, send: Send
) -> None:
    """Send the head, what there is from start on and what will come, and, when sealed, the end.

    Raises:
        ClientDisconnected: the client left before the end.
        BlobAbandoned, StorageUnavailable: there will be no whole.
    """
    await send(head)
    await _send_chunks(follow(reader, start, _under_way.chunk_length), receive, send)


async def _whole(reader: BlobReader, piece: Piece) -> bytes:
    if not piece.span.length:
        return piece.head
    return piece.head + await reader.read(piece.span)


async def _chunks_of(reader: BlobReader, pieces: Sequence[Piece]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        if piece.head:
            yield piece.head
        start = piece.span.start
        while start < piece.span.stop:
            stop = min(start + _under_way.chunk_length(), piece.span.stop)
            yield await reader.read(Span(start, stop))
            start = stop


async def _send_chunks(content: AsyncGenerator[bytes], receive: Receive, send: Send) -> None:
    try:
        with _under_way:
            async with UntilDisconnect(receive), aclosing(content) as chunks:
                async for chunk in chunks:
                    await _send_chunk(send, chunk)
                    del chunk  # the next one may be long in coming
                    # Neither a read out of memory nor a server with room in its buffers
                    # ever waits; then nobody else would run, nor the watch for the client.
                    await asyncio.sleep(0)
    except ClientDisconnected:
        raise
    except Exception as exc:
        await _send_failure(send, exc)
        raise
    await _send_end(send, b"")


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _send_end(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": False})


async def _send_failure(send: Send, error: Exception) -> None:
    """See to it that nobody above takes the error that follows for the end.

    Starlette's BaseHTTPMiddleware ends the response politely when the application below it
    raises, and raises the error only then. So the error goes the way of the content as well,
    where it stops whoever takes it for bytes; and once more in a message that has no place
    here, for GZipMiddleware passes that on and keeps the former to itself.
    """
    unavailable = _Unavailable(error)
    for kind in ("http.response.body", "http.response.early_hint"):
        with suppress(Exception):  # this error, or that the message is none
            await send({"type": kind, "body": unavailable, "more_body": True})


class _Unavailable:
    """Content that cannot be had: whoever takes a look at it gets the error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __len__(self) -> NoReturn:
        raise self._error

    def __repr__(self) -> NoReturn:
        raise self._error
