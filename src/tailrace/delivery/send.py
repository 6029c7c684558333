"""Carrying an answer out: the bytes of its spans, in large chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Send

from tailrace.blobs import BlobReader
from tailrace.delivery.follow import follow
from tailrace.delivery.leaving import UntilDisconnect
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


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of our own, and then a span of the representation."""

    head: bytes
    span: Span


def pieces_of(framing: MultipartByteranges) -> Sequence[Piece]:
    """Return multipart content as pieces."""
    parts = [Piece(head, span) for head, span in framing.parts()]
    return [*parts, Piece(framing.closing, Span(0, 0))]


async def send_pieces(
    reader: BlobReader, pieces: Sequence[Piece], receive: Receive, send: Send
) -> None:
    """Send pieces, and the end of the response.

    Raises:
        ClientDisconnected: the client left before the end.
        StorageUnavailable: bytes that were promised do not exist. The response is not
            ended then: the server that sees the exception cuts the connection.
    """
    content = _content_of(reader, pieces)
    if sum(len(piece.head) + piece.span.length for piece in pieces) <= SMALL_CONTENT:
        await _send_end(send, b"".join([chunk async for chunk in content]))
    else:
        await _send_chunks(content, receive, send)


async def send_following(reader: BlobReader, start: int, receive: Receive, send: Send) -> None:
    """Send what there is from start on and what will come, and the end once it is sealed.

    Raises:
        ClientDisconnected: the client left before the end.
        BlobAbandoned, StorageUnavailable: there will be no whole; as `send_pieces`.
    """
    await _send_chunks(follow(reader, start, _under_way.chunk_length), receive, send)


async def _content_of(reader: BlobReader, pieces: Sequence[Piece]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        if piece.head:
            yield piece.head
        start = piece.span.start
        while start < piece.span.stop:
            stop = min(start + _under_way.chunk_length(), piece.span.stop)
            yield await reader.read(Span(start, stop))
            start = stop


async def _send_chunks(content: AsyncGenerator[bytes], receive: Receive, send: Send) -> None:
    with _under_way:
        async with UntilDisconnect(receive), aclosing(content) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                del chunk  # the next one may be long in coming
    await _send_end(send, b"")


async def _send_end(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": False})
