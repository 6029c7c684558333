"""Handing content to a server that reads the file itself, as `tailrace.server` does.

All of it is one message, `http.response.pathsend` with `pieces`, which middleware passes on
untouched. So the bytes never come here, and nobody watches for the client but the server. Of
the standard's message, with a path alone, other servers make the same for whole blobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from starlette.types import Scope, Send

from tailrace.blobs import BlobReader, BlobState
from tailrace.delivery.copying import chunks_of
from tailrace.delivery.pieces import Piece, Pieces
from tailrace.errors import ClientDisconnected
from tailrace.spans import Span

_PATH_SEND = "http.response.pathsend"

# Nothing can be there. Whoever looks for the content at this path, and not in the pieces, is to
# fail: an end that comes too early must not be a polite one.
_NOWHERE = "/dev/null/pieces"


# From one task to the next it takes a millisecond; with a thousand others in between, more.
_SECONDS_IN_A_QUEUE = 0.5


def takes_pieces(scope: Scope) -> bool:
    """Tell whether the server reads pieces by itself."""
    path_send = (scope.get("extensions") or {}).get(_PATH_SEND)
    return bool(path_send and path_send.get("pieces"))


def takes_path(scope: Scope) -> bool:
    """Tell whether the server opens paths, and knows no more than the standard."""
    path_send = (scope.get("extensions") or {}).get(_PATH_SEND)
    return path_send is not None and not path_send.get("pieces")


def path_of(reader: BlobReader, pieces: Sequence[Piece]) -> str | None:
    """Return where a server finds just this content, or None.

    granian opens the path after `send` has returned. So it must not be that of a descriptor,
    nor one where another file may be by then; and whoever counts what was delivered does not
    learn it.
    """
    status = reader.status
    is_whole = list(pieces) == [Span(0, status.length)]
    return reader.path() if is_whole and status.state is BlobState.SEALED else None


async def hand_over(reader: BlobReader, pieces: Pieces, send: Send) -> bool:
    """Have the server send content and the end of it.

    Returns False, and has touched nothing, if the message came to nobody who knows it: there
    is middleware that throws away what it does not know.

    Raises:
        ClientDisconnected: the client left before the end.
    """
    handed = _Handed(reader, pieces)
    await send(
        {"type": _PATH_SEND, "path": _NOWHERE, "file": reader, "pieces": handed.pieces()}
    )
    return await handed.ended()


class _Handed:
    """Pieces in the form of the message, and how far they came.

    That `send` has returned tells little. It returns also when the client has left, and
    behind middleware with a queue before anything was taken.
    """

    def __init__(self, reader: BlobReader, pieces: Pieces) -> None:
        self._reader = reader
        self._pieces = pieces
        self._is_withdrawn = False
        self._is_at_end = False
        self._error: Exception | None = None
        self._has_begun = asyncio.Event()
        self._has_ended = asyncio.Event()

    async def pieces(self) -> AsyncGenerator[bytes | tuple[int, int]]:
        if self._is_withdrawn:
            raise RuntimeError("the content was taken too late, it is sent in another way")
        self._has_begun.set()
        try:
            if self._reader.fileno() is None:
                async with aclosing(chunks_of(self._reader, self._pieces)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            else:
                async with aclosing(self._pieces) as pieces:
                    async for piece in pieces:
                        yield piece if isinstance(piece, bytes) else (piece.start, piece.length)
            self._is_at_end = True
        except Exception as exc:
            self._error = exc
            raise
        finally:
            self._has_ended.set()

    async def ended(self) -> bool:
        """Return once the pieces have come to their end; False if nobody takes them."""
        if not self._has_begun.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_IN_A_QUEUE):
                    await self._has_begun.wait()
        if not self._has_begun.is_set():
            self._is_withdrawn = True
            return False
        await self._has_ended.wait()
        if self._error is not None:
            raise self._error
        if not self._is_at_end:
            raise ClientDisconnected("the client left before the end")
        return True
