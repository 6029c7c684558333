"""From a request and an open blob to a response: decide, write the head, send the bytes."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from typing import TypeAlias, assert_never

from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState
from tailrace.delivery.representations import Representation
from tailrace.delivery.send import Piece, pieces_of, send_following, send_pieces
from tailrace.protocol import answers, problems
from tailrace.protocol.answers import (
    Answer,
    Follow,
    NotModified,
    Part,
    Parts,
    PreconditionFailed,
    RangeNotSatisfiable,
    Selected,
    Whole,
)
from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.protocol.fields import Fields
from tailrace.protocol.validators import Validators
from tailrace.spans import Span

FieldLines: TypeAlias = Sequence[tuple[str, str]]

_DECIDED_HERE = frozenset({"content-length", "content-range", "content-type"})


async def deliver(
    reader: BlobReader,
    representation: Representation,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    further: FieldLines = (),
    conditional: bool = True,
    status_code: int | None = None,
) -> None:
    """Send what the request asks of a blob: all of it, spans of it, or its growth.

    `further` fields take the place of ours of the same name, but for those that say which
    bytes are sent. Unless `conditional`, ranges and conditions of the request are not
    looked at: they speak of another resource.
    `status_code` takes the place of 200.

    Raises:
        ClientDisconnected: the client left before the end.
        StorageError: after the head was sent, the bytes promised turned out not to exist.
            The response is not ended; the server must cut the connection.
    """
    status = reader.status
    is_complete = status.state is BlobState.SEALED
    if not is_complete:
        representation = _unfinished(representation)
    request = Fields.from_raw(scope["headers"]) if conditional else Fields()
    method = scope["method"] if conditional else "GET"
    selected = Selected(representation.validators, status.length, is_complete)
    answer = answers.answer(method, request, selected)
    framing = _framing(answer, representation)

    code = answers.status(answer)
    if status_code is not None and code == 200:
        code = status_code
    lines = _head(answer, representation, framing)
    problem = _problem(answer, status.length)
    if problem is not None:
        lines += [
            ("Content-Type", problems.MEDIA_TYPE),
            ("Content-Length", str(len(problem.to_json()))),
        ]
    await send(
        {
            "type": "http.response.start",
            "status": code,
            "headers": _merged(lines, further, describes_content=200 <= code < 300),
        }
    )
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body", "body": b""})
    elif problem is not None:
        await send({"type": "http.response.body", "body": problem.to_json()})
    else:
        await _send_content(answer, framing, reader, receive, send)


async def _send_content(
    answer: Answer,
    framing: MultipartByteranges | None,
    reader: BlobReader,
    receive: Receive,
    send: Send,
) -> None:
    match answer:
        case Whole(length):
            await send_pieces(reader, [Piece(b"", Span(0, length))], receive, send)
        case Part(span, _):
            await send_pieces(reader, [Piece(b"", span)], receive, send)
        case Parts():
            assert framing is not None
            await send_pieces(reader, pieces_of(framing), receive, send)
        case Follow(start, _):
            await send_following(reader, start, receive, send)
        case NotModified() | PreconditionFailed() | RangeNotSatisfiable():
            await send_pieces(reader, [], receive, send)
        case _:
            assert_never(answer)


def _unfinished(representation: Representation) -> Representation:
    """Return what can be said while the bytes are still being written.

    The entity tag is that of the finished representation: whoever reads to the end has the
    same bytes (docs/decisions/0001). The date and the digest are not known yet, and what
    is not whole yet is not to be kept by a cache.
    """
    return dataclasses.replace(
        representation,
        validators=Validators(representation.validators.entity_tag, None),
        sha256=None,
        cache_control="no-store",
        is_growing=True,
    )


def _framing(answer: Answer, representation: Representation) -> MultipartByteranges | None:
    if not isinstance(answer, Parts):
        return None
    return MultipartByteranges(
        answer.spans,
        secrets.token_hex(16),
        representation.media_type,
        answer.complete_length,
    )


def _head(
    answer: Answer, representation: Representation, framing: MultipartByteranges | None
) -> list[tuple[str, str]]:
    lines = answers.fields(answer)
    match answer:
        case Whole() | Part() | Follow():
            lines += [("Content-Type", representation.media_type)]
            lines += representation.describing_fields()
        case Parts():
            assert framing is not None
            lines += [
                ("Content-Type", framing.content_type),
                ("Content-Length", str(framing.content_length)),
            ]
            lines += representation.describing_fields()
        case NotModified():
            lines += representation.validating_fields()
        case PreconditionFailed() | RangeNotSatisfiable():
            pass
        case _:
            assert_never(answer)
    return lines


def _problem(answer: Answer, length: int) -> problems.Problem | None:
    match answer:
        case PreconditionFailed():
            return problems.PRECONDITION_FAILED
        case RangeNotSatisfiable(complete_length):
            return problems.range_not_satisfiable(length, complete_length)
        case _:
            return None


def _merged(
    lines: FieldLines, further: FieldLines, *, describes_content: bool
) -> list[tuple[bytes, bytes]]:
    added = [
        (name, value)
        for name, value in further
        if name.lower() not in _DECIDED_HERE
        and (describes_content or not name.lower().startswith("content-"))
    ]
    replaced = {name.lower() for name, _ in added}
    kept = [(name, value) for name, value in lines if name.lower() not in replaced]
    return Fields((*kept, *added)).to_raw()
