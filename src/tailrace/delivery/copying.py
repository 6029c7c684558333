"""Sending content through the application, in large chunks: the way on any server.

A failure is raised, and the response is not ended: the server that sees the error cuts the
connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import NoReturn

from starlette.types import Receive, Send

from tailrace.blobs import BlobReader
from tailrace.delivery.leaving import UntilDisconnect
from tailrace.delivery.pieces import Pieces
from tailrace.errors import ClientDisconnected
from tailrace.spans import Span

# A large chunk costs the fewest calls per byte, but each reader that is slow holds one. So
# the deliveries under way share a budget: a megabyte each for a few, and as much as a server
# buffers anyhow for each of hundreds.
LARGEST_CHUNK = 1024 * 1024
SMALLEST_CHUNK = 16 * 1024
BUDGET_BYTES = 4 * 1024 * 1024


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


async def send_copies(reader: BlobReader, pieces: Pieces, receive: Receive, send: Send) -> None:
    """Send content without its end, and notice when the client leaves.

    Raises:
        ClientDisconnected: the client left before the end.
    """
    try:
        with _under_way:
            async with UntilDisconnect(receive), aclosing(chunks_of(reader, pieces)) as chunks:
                # GZipMiddleware and granian hold the head until some content comes, which
                # may take as long as a file takes to grow.
                await _send_chunk(send, b"")
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


async def chunks_of(reader: BlobReader, pieces: Pieces) -> AsyncGenerator[bytes]:
    """Read pieces, each chunk as long as the budget allows by then."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            start = piece.start
            while start < piece.stop:
                stop = min(start + _under_way.chunk_length(), piece.stop)
                yield await reader.read(Span(start, stop))
                start = stop


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


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
