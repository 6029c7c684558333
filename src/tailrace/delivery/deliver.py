"""From a request and an open blob to a response: decide, write the head, send the bytes."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.delivery.leaving import noticing_departure
from tailrace.delivery.replies import asks_for_the_whole, reply, reply_with_the_whole
from tailrace.delivery.representations import FieldLines, Representation
from tailrace.delivery.send import send_following, send_pieces
from tailrace.errors import BlobAbandoned, ClientDisconnected, StorageUnavailable
from tailrace.protocol.answers import Follow
from tailrace.protocol.fields import Fields


async def deliver(
    reader: BlobReader,
    representation: Representation,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    further: FieldLines = (),
    conditional: bool = True,
    status_code: int = 200,
    promised_length: int | None = None,
) -> None:
    """Send what the request asks of a blob: all of it, spans of it, or its growth.

    `further` fields take the place of ours of the same name, but for those that say which
    bytes are sent; a validator among them is the one that conditions are about.
    `status_code` is that of the whole. Ranges and conditions are looked at only where they
    speak of what is sent: in a GET or HEAD, with a status code of 200 (RFC 9110 §13.2.1,
    §14.2), and where `conditional`. `promised_length` is told of a blob that is still
    growing and sent from its start; whoever writes it is held to it.

    Raises:
        ClientDisconnected: the client left before the end.
        StorageError: before or after the head was sent. The response is not ended; if it
            was begun, the server must cut the connection.
        ValueError: a further field cannot be sent; nothing was sent.
    """
    status = reader.status
    if status.state is BlobState.ABANDONED:
        raise BlobAbandoned(f"the writer gave up at offset {status.length}")
    if status.state is BlobState.SEALED and representation.length not in (None, status.length):
        raise StorageUnavailable(
            f"{status.length} bytes are there of the {representation.length} that were sealed"
        )
    is_read = scope["method"] in ("GET", "HEAD")
    if asks_for_the_whole(scope) or not (conditional and is_read and status_code == 200):
        answer = reply_with_the_whole(representation, status, tuple(further))
    else:
        request = Fields.from_raw(scope["headers"])
        answer = reply(scope["method"], request, representation, status, further)
    head = answer.head(status_code)
    if promised_length is not None and answer.content == Follow(0, None):
        head["headers"].append((b"content-length", str(promised_length).encode()))
    send = noticing_departure(send)
    if scope["method"] == "HEAD":
        await send_pieces(reader, [], head, scope, receive, send)
    elif isinstance(answer.content, Follow):
        await send_following(reader, answer.content.start, head, scope, receive, send)
    else:
        await send_pieces(reader, answer.content, head, scope, receive, send)


async def deliver_content(
    content: bytes,
    representation: Representation,
    send: Send,
    *,
    further: FieldLines = (),
    status_code: int = 200,
) -> None:
    """Send content that is all there is, to a GET of the whole; else as `deliver`."""
    status = BlobStatus(BlobState.SEALED, len(content))
    head = reply_with_the_whole(representation, status, tuple(further)).head(status_code)
    try:
        await send(head)
        await send({"type": "http.response.body", "body": content, "more_body": False})
    except OSError as exc:
        raise ClientDisconnected("the client left before the end") from exc
