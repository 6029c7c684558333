"""From a request and an open blob to a response: decide, write the head, send the bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.delivery.leaving import noticing_departure
from tailrace.delivery.proxied import Proxy, is_conditional
from tailrace.delivery.replies import (
    Reply,
    asks_for_the_whole,
    reply,
    reply_with_the_whole,
)
from tailrace.delivery.representations import FieldLines, Representation
from tailrace.delivery.send import SMALL_CONTENT, send_following, send_pieces
from tailrace.errors import BlobAbandoned, ClientDisconnected, StorageUnavailable
from tailrace.protocol import digests
from tailrace.protocol.answers import Follow
from tailrace.protocol.fields import Fields

# What a proxy says by itself of the bytes that it sends.
_OF_PROXY = (b"accept-ranges", b"content-length")

_TRAILERS = "http.response.trailers"

SealedDigest = Callable[[], Awaitable[bytes | None]]
"""Returns the digest of a blob that is sealed, or None where it is not known after all."""


async def deliver(
    reader: BlobReader,
    representation: Representation,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    further: FieldLines = (),
    sealed_sha256: SealedDigest | None = None,
    proxy: Proxy | None = None,
    conditional: bool = True,
    status_code: int = 200,
    promised_length: int | None = None,
) -> None:
    """Send what the request asks of a blob: all of it, spans of it, or its growth.

    `further` fields take the place of ours of the same name, but for those that say which
    bytes are sent; a validator among them is the one that conditions are about.
    `sealed_sha256` is asked for the digest of a growing blob once it is sealed, for a trailer
    field (RFC 9530 §3) where the server can send one. A `proxy` in front is left to send
    what is long and sealed. `status_code` is that of the whole. Ranges and conditions are
    looked at only where they speak of what is sent: in a GET or HEAD, with a status code of
    200 (RFC 9110 §13.2.1, §14.2), and where `conditional`. `promised_length` is told of a
    blob that is still growing and sent from its start; whoever writes it is held to it.

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
    if proxy is not None and (path := _path_for_proxy(scope, answer, reader)) is not None:
        whole = reply_with_the_whole(representation, status, tuple(further))
        lines = [line for line in whole.fields if line[0] not in _OF_PROXY]
        lines += Fields.of(proxy.field(path), ("Content-Length", "0")).to_raw()
        answer = Reply(200, lines, [])
    head = answer.head(status_code)
    if promised_length is not None and answer.content == Follow(0, None):
        head["headers"].append((b"content-length", str(promised_length).encode()))
    send = noticing_departure(send)
    if scope["method"] == "HEAD":
        await send_pieces(reader, [], head, scope, receive, send)
    elif isinstance(answer.content, Follow):
        start = answer.content.start
        trailers = None
        if sealed_sha256 is not None and _TRAILERS in (scope.get("extensions") or {}):
            trailers = partial(_digest_fields, sealed_sha256)
            head["headers"].append((b"trailer", b"repr-digest"))
        await send_following(reader, start, head, scope, receive, send, trailers)
    else:
        await send_pieces(reader, answer.content, head, scope, receive, send)


async def deliver_content(
    content: bytes, representation: Representation, send: Send, *, further: FieldLines = ()
) -> None:
    """Send content that is all of a sealed blob, to a GET of the whole; else as `deliver`."""
    status = BlobStatus(BlobState.SEALED, len(content))
    answer = reply_with_the_whole(representation, status, tuple(further))
    await send_at_once(answer, content, send)


async def send_at_once(
    answer: Reply, content: bytes, send: Send, *, status_code: int = 200
) -> None:
    """Send a reply with the whole of what is this content."""
    try:
        await send(answer.head(status_code))
        await send({"type": "http.response.body", "body": content, "more_body": False})
    except OSError as exc:
        raise ClientDisconnected("the client left before the end") from exc


def _path_for_proxy(scope: Scope, answer: Reply, reader: BlobReader) -> str | None:
    """Return where a proxy finds the bytes, if it may send them and is worth the way."""
    status = reader.status
    if status.state is not BlobState.SEALED or status.length <= SMALL_CONTENT:
        return None
    if scope["method"] != "GET" or answer.status not in (200, 206) or is_conditional(scope):
        return None
    return reader.path()


async def _digest_fields(sealed_sha256: SealedDigest) -> list[tuple[bytes, bytes]]:
    sha256 = await sealed_sha256()
    return [] if sha256 is None else [(b"repr-digest", digests.to_field(sha256).encode())]
