"""Carrying an answer out: its head, and its content by the best way that the server has.

    small content       one message                        any server
    pieces and growth   handed over, sent by the server    tailrace.server
    a whole blob        by its path, sent by the server    others with pathsend (granian)
    everything else     copied in chunks                   any other

What can fail before the head is sent is done before: content that is small is read first. A
failure after that is raised, and the response is not ended: the server that sees the error
cuts the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.types import Message, Receive, Scope, Send

from tailrace.blobs import BlobReader
from tailrace.delivery.copying import send_copies
from tailrace.delivery.follow import follow
from tailrace.delivery.handing import hand_over, path_of, takes_path, takes_pieces
from tailrace.delivery.pieces import Piece, Pieces, in_turn, length_of

# Content up to this length is read at once and sent in one message: no time for the client
# to leave, so nothing watches for it.
SMALL_CONTENT = 64 * 1024

Trailers = Callable[[], Awaitable[list[tuple[bytes, bytes]]]]
"""Makes trailer fields, at the end of the content."""


async def send_pieces(
    reader: BlobReader,
    pieces: Sequence[Piece],
    head: Message,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Send the head, then pieces, then the end of the response.

    Raises:
        ClientDisconnected: the client left before the end.
        StorageUnavailable: bytes that were promised do not exist.
    """
    if length_of(pieces) <= SMALL_CONTENT:
        content = b"".join([await _whole(reader, piece) for piece in pieces])
        await send(head)
        await _send_end(send, content)
        return
    if takes_path(scope) and (path := path_of(reader, pieces)) is not None:
        await send(head)
        await send({"type": "http.response.pathsend", "path": path})
        return
    await _send(reader, in_turn(pieces), head, scope, receive, send)


async def send_following(
    reader: BlobReader,
    start: int,
    head: Message,
    scope: Scope,
    receive: Receive,
    send: Send,
    trailers: Trailers | None = None,
) -> None:
    """Send the head, what there is from start on and what will come, and, when sealed, the end.

    `trailers` is asked for trailer fields once the blob is sealed.

    Raises:
        ClientDisconnected: the client left before the end.
        BlobAbandoned, StorageUnavailable: there will be no whole.
    """
    if trailers is None:
        await _send(reader, follow(reader, start), head, scope, receive, send)
        return
    await _send(reader, follow(reader, start), {**head, "trailers": True}, scope, receive, send)
    await send({"type": "http.response.trailers", "headers": await trailers()})


async def _send(
    reader: BlobReader,
    pieces: Pieces,
    head: Message,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    await send(head)
    if takes_pieces(scope) and await hand_over(reader, pieces, send):
        return
    await send_copies(reader, pieces, receive, send)
    await _send_end(send, b"")


async def _whole(reader: BlobReader, piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    return await reader.read(piece) if piece.length else b""


async def _send_end(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": False})
