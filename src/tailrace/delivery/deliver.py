"""From a request and an open blob to a response: decide, write the head, send the bytes."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import assert_never

from starlette.types import Receive, Scope, Send

from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.delivery.leaving import noticing_departure
from tailrace.delivery.representations import FieldLines, Representation
from tailrace.delivery.send import Piece, pieces_of, send_following, send_pieces
from tailrace.errors import BlobAbandoned, StorageUnavailable
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
    fields = Fields.of(*further)
    representation = representation.with_validators_of(fields)
    if status.state is BlobState.GROWING:
        representation = representation.while_growing()

    is_read = scope["method"] in ("GET", "HEAD")
    if conditional and is_read and status_code == 200:
        request = Fields.from_raw(scope["headers"])
        answer = _decide(scope["method"], request, representation, status)
    else:
        answer = _decide("GET", Fields(), representation, status)
    reply = _reply(answer, representation, status, promised_length)
    code = answers.status(answer)

    head = {
        "type": "http.response.start",
        "status": status_code if code == 200 else code,
        "headers": _merged(answers.fields(answer) + reply.fields, fields, reply.excluded),
    }
    send = noticing_departure(send)
    if scope["method"] == "HEAD":
        await send_pieces(reader, [], head, receive, send)
    elif isinstance(reply.content, Follow):
        await send_following(reader, reply.content.start, head, receive, send)
    else:
        await send_pieces(reader, reply.content, head, receive, send)


@dataclass(frozen=True, slots=True)
class _Reply:
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


def _reply(
    answer: Answer,
    representation: Representation,
    status: BlobStatus,
    promised_length: int | None,
) -> _Reply:
    media_type = ("Content-Type", representation.media_type)
    describing = representation.describing_fields()
    match answer:
        case Whole(complete_length):
            return _Reply([media_type, *describing], [Piece(b"", Span(0, complete_length))])
        case Part(span, _):
            return _Reply([media_type, *describing], [Piece(b"", span)])
        case Parts(spans, complete_length):
            framing = MultipartByteranges(
                spans, secrets.token_hex(16), representation.media_type, complete_length
            )
            framed = [
                ("Content-Type", framing.content_type),
                ("Content-Length", str(framing.content_length)),
            ]
            return _Reply([*framed, *describing], pieces_of(framing))
        case Follow(start):
            if promised_length is not None and start == 0:
                describing = [("Content-Length", str(promised_length)), *describing]
            return _Reply([media_type, *describing], answer)
        case NotModified():
            return _Reply([*representation.validating_fields()], [], _OF_CONTENT)
        case PreconditionFailed():
            return _refusal(problems.PRECONDITION_FAILED)
        case RangeNotSatisfiable(known_length):
            return _refusal(problems.range_not_satisfiable(status.length, known_length))
        case _:
            assert_never(answer)


def _refusal(problem: Problem) -> _Reply:
    content = problem.to_json()
    fields = [
        ("Content-Type", problems.MEDIA_TYPE),
        ("Content-Length", str(len(content))),
    ]
    return _Reply(fields, [Piece(content)], _OF_REPRESENTATION)


def _merged(ours: FieldLines, further: Fields, excluded: Set[str]) -> list[tuple[bytes, bytes]]:
    added = [(name, value) for name, value in further.lines if name not in excluded]
    replaced = {name for name, _ in added}
    kept = [(name, value) for name, value in ours if name.lower() not in replaced]
    return Fields.of(*kept, *added).to_raw()
