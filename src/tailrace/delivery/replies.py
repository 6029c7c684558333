"""The reply to a request: what goes out, decided from values alone before anything is sent."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from starlette.types import Message, Scope

from tailrace.blobs import BlobState, BlobStatus
from tailrace.delivery.pieces import Piece, pieces_of
from tailrace.delivery.representations import FieldLines, Representation
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

# The conditions of RFC 9110 §13.1, as ASGI has the names of fields.
CONDITIONS = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)

# The fields of a request by which it may get other than the whole.
_CONDITIONING = CONDITIONS | {b"range"}

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

# How many replies are kept for when they are asked for again, some 2 KiB each. They are made
# of values alone, so none is ever out of date.
_KEPT = 512


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, all fields, and the content."""

    status: int
    fields: Sequence[tuple[bytes, bytes]]
    content: Sequence[Piece] | Follow

    def head(self, status_of_whole: int) -> Message:
        """Return the message that begins the response; middleware may change it."""
        return {
            "type": "http.response.start",
            "status": status_of_whole if self.status == 200 else self.status,
            "headers": [*self.fields],
        }


def asks_for_the_whole(scope: Scope) -> bool:
    """Tell whether a request has neither a condition nor a Range."""
    for name, _ in scope["headers"]:  # a set operation would have to make another list first
        if name in _CONDITIONING:
            return False
    return True


@lru_cache(maxsize=_KEPT)
def reply_with_the_whole(
    representation: Representation, status: BlobStatus, further: tuple[tuple[str, str], ...]
) -> Reply:
    """Return the reply to a request with neither a condition nor a Range."""
    return reply("GET", Fields(), representation, status, further)


def reply(
    method: str,
    request: Fields,
    representation: Representation,
    status: BlobStatus,
    further: FieldLines,
) -> Reply:
    """Return the reply to a request for what a blob is now.

    `further` fields take the place of ours of the same name, but for those that say which
    bytes are sent.

    Raises:
        ValueError: a further field cannot be sent.
    """
    fields = Fields.of(*further)
    representation = representation.with_validators_of(fields)
    if status.state is BlobState.GROWING:
        representation = representation.while_growing()
    answer = _decide(method, request, representation, status)
    described = _described(answer, representation, status)
    lines = _merged(answers.fields(answer) + described.fields, fields, described.excluded)
    return Reply(answers.status(answer), lines, described.content)


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
            return _Described([media_type, *describing], [Span(0, complete_length)])
        case Part(span, _):
            return _Described([media_type, *describing], [span])
        case Parts(spans, complete_length):
            framing = MultipartByteranges(
                spans, secrets.token_hex(13), representation.media_type, complete_length
            )
            framed = [
                ("Content-Type", framing.content_type),
                ("Content-Length", str(framing.content_length)),
            ]
            return _Described([*framed, *describing], pieces_of(framing))
        case Follow():
            # A proxy in between must pass on what comes as it comes.
            unbuffered = ("X-Accel-Buffering", "no")
            return _Described([media_type, *describing, unbuffered], answer)
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
    return _Described(fields, [content], _OF_REPRESENTATION)


def _merged(ours: FieldLines, further: Fields, excluded: Set[str]) -> list[tuple[bytes, bytes]]:
    added = [(name, value) for name, value in further.lines if name not in excluded]
    replaced = {name for name, _ in added}
    kept = [(name, value) for name, value in ours if name.lower() not in replaced]
    return Fields.of(*kept, *added).to_raw()
