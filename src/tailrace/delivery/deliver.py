"""From a request and an open blob to a response: decide, write the head, send the bytes."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from starlette.types import Message, Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.delivery.leaving import noticing_departure
from tailrace.delivery.representations import FieldLines, Representation
from tailrace.delivery.send import Piece, pieces_of, send_following, send_pieces
from tailrace.errors import BlobAbandoned, ClientDisconnected, StorageUnavailable
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
from tailrace.protocol.problems import Problem
from tailrace.protocol.validators import Validators
from tailrace.spans import Span

# Further fields that have no place: they say which bytes are sent, which is decided here; they
# describe content, which a 304 has none of; they describe a representation other than the
# problem that is sent in its place.
_DECIDED_HERE = frozenset({"content-length", "content-range", "content-type"})
_OF_CONTENT = _DECIDED_HERE | {
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "repr-digest",
}
_OF_REPRESENTATION = _OF_CONTENT | {
    "cache-control",
    "content-location",
    "etag",
    "expires",
    "last-modified",
}

# Those of a request that may have it answered by other than the whole.
_CONDITIONING = frozenset(
    {
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
    }
)

# How many replies are kept for when they are asked for again, some 2 KiB each. They are made
# of values alone, so none is ever out of date.
_REPLIES = 512


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
) -> None:
    """Send what the request asks of a blob: all of it, spans of it, or its growth.

    `further` fields take the place of ours of the same name, but for those that say which
    bytes are sent; a validator among them is the one that conditions are about.
    `status_code` is that of the whole. Ranges and conditions are looked at only where they
    speak of what is sent: in a GET or HEAD, with a status code of 200 (RFC 9110 §13.2.1,
    §14.2), and where `conditional`.

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
    if not conditional or not is_read or status_code != 200 or not _asks_for_less(scope):
        reply = _usual_reply(representation, status, tuple(further))
    else:
        request = Fields.from_raw(scope["headers"])
        reply = _reply(scope["method"], request, representation, status, further)
    head = reply.head(status_code)
    send = noticing_departure(send)
    if scope["method"] == "HEAD":
        await send_pieces(reader, (), head, receive, send)
    elif isinstance(reply.content, Follow):
        await send_following(reader, reply.content.start, head, receive, send)
    else:
        await send_pieces(reader, reply.content, head, receive, send)


def asks_for_the_whole(scope: Scope) -> bool:
    """Tell whether a request is a GET with neither a condition nor a Range."""
    return scope["method"] == "GET" and not _asks_for_less(scope)


async def deliver_content(
    content: bytes,
    representation: Representation,
    send: Send,
    *,
    further: FieldLines = (),
    status_code: int = 200,
) -> None:
    """Send content that is all there is, to one who asks for the whole; else as `deliver`."""
    status = BlobStatus(BlobState.SEALED, len(content))
    head = _usual_reply(representation, status, tuple(further)).head(status_code)
    try:
        await send(head)
        await send({"type": "http.response.body", "body": content, "more_body": False})
    except OSError as exc:
        raise ClientDisconnected("the client left before the end") from exc


@dataclass(frozen=True, slots=True)
class _Reply:
    """What goes out: a status, all fields, and content."""

    status: int
    fields: Sequence[tuple[bytes, bytes]]
    content: Sequence[Piece] | Follow

    def head(self, status_code: int) -> Message:
        return {
            "type": "http.response.start",
            "status": status_code if self.status == 200 else self.status,
            "headers": [*self.fields],  # a copy: middleware adds to it
        }


def _asks_for_less(scope: Scope) -> bool:
    for name, _ in scope["headers"]:  # in lower case, as ASGI has it
        if name in _CONDITIONING:
            return True
    return False


def _reply(
    method: str,
    request: Fields,
    representation: Representation,
    status: BlobStatus,
    further: FieldLines,
) -> _Reply:
    fields = Fields.of(*further)
    representation = representation.with_validators_of(fields)
    if status.state is BlobState.GROWING:
        representation = representation.while_growing()
    answer = _decide(method, request, representation, status)
    described = _described(answer, representation, status)
    lines = _merged(answers.fields(answer) + described.fields, fields, described.excluded)
    return _Reply(answers.status(answer), lines, described.content)


@lru_cache(maxsize=_REPLIES)
def _usual_reply(
    representation: Representation, status: BlobStatus, further: FieldLines
) -> _Reply:
    """Return the reply to a request without conditions."""
    return _reply("GET", Fields(), representation, status, further)


@dataclass(frozen=True, slots=True)
class _Described:
    """What goes out with an answer: fields beyond its own, and content.

    `excluded` names the further fields that would be wrong there.
    """

    fields: list[tuple[str, str]]
    content: Sequence[Piece] | Follow
    excluded: Set[str] = _DECIDED_HERE


def _decide(
    method: str, request: Fields, representation: Representation, status: BlobStatus
) -> Answer:
    is_complete = status.state is BlobState.SEALED
    selected = Selected(representation.validators, status.length, is_complete)
    answer = answers.answer(method, request, selected)
    if not representation.has_weak_date or isinstance(answer, NotModified | PreconditionFailed):
        return answer
    # The conditions have let it pass. What is left is If-Range, for which no date counts.
    undated = Validators(representation.validators.entity_tag, None)
    return answers.answer(method, request, dataclasses.replace(selected, validators=undated))


def _described(
    answer: Answer, representation: Representation, status: BlobStatus
) -> _Described:
    media_type = ("Content-Type", representation.media_type)
    describing = representation.describing_fields()
    match answer:
        case Whole(complete_length):
            return _Described([media_type, *describing], [Piece(b"", Span(0, complete_length))])
        case Part(span, _):
            return _Described([media_type, *describing], [Piece(b"", span)])
        case Parts(spans, complete_length):
            framing = MultipartByteranges(
                spans, secrets.token_hex(16), representation.media_type, complete_length
            )
            framed = [
                ("Content-Type", framing.content_type),
                ("Content-Length", str(framing.content_length)),
            ]
            return _Described([*framed, *describing], pieces_of(framing))
        case Follow():
            return _Described([media_type, *describing], answer)
        case NotModified():
            return _Described([*representation.validating_fields()], [], _OF_CONTENT)
        case PreconditionFailed():
            return _refusal(problems.PRECONDITION_FAILED)
        case RangeNotSatisfiable(known_length):
            return _refusal(problems.range_not_satisfiable(status.length, known_length))
        case _:
            assert_never(answer)


def _refusal(problem: Problem) -> _Described:
    content = problem.to_json()
    fields = [
        ("Content-Type", problems.MEDIA_TYPE),
        ("Content-Length", str(len(content))),
    ]
    return _Described(fields, [Piece(content)], _OF_REPRESENTATION)


def _merged(ours: FieldLines, further: Fields, excluded: Set[str]) -> list[tuple[bytes, bytes]]:
    added = [(name, value) for name, value in further.lines if name not in excluded]
    replaced = {name for name, _ in added}
    kept = [(name, value) for name, value in ours if name.lower() not in replaced]
    return Fields.of(*kept, *added).to_raw()
