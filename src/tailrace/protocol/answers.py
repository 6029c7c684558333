"""Answers: what a request for a representation gets, decided before a byte is sent.

The order is that of RFC 9110 §13.2.2 and §14.2: the preconditions, then If-Range, then
Range. Range counts for GET only, the one method it is defined for (§14.2). RFC 8673 §2.1
also sends it with HEAD, to learn how long a live representation is by now; of the two we
keep to the former, so that HEAD answers as a GET without Range would.

A representation that is still growing has no complete length yet. What must never happen
is a polite end before its end: a response, or a 416, that makes a client take the bytes it
has for the whole. So it is answered by RFC 8673:

    Range              answer                              why
    -----------------  ----------------------------------  --------------------------------
    none, bytes=0-     200, follows to the end             media players always ask bytes=0-
                                                           and Range may be ignored
    bytes=N-           206 N-9007199254740991/*, follows   resuming means: all the rest
    bytes=N-M, M very  206 N-M/*, follows                  RFC 8673 §2.2: the same M tells
    large                                                  that we follow
    bytes=N-M, N below 206 N-last/*, what there is of it   asked for a piece, and told which
    the present length                                     piece this is, of something longer
    bytes=N-M, beyond  416 without Content-Range           `*/length` would say that the
                                                           length is known
    suffix, several    200, follows to the end             there is no end to count from, and
                                                           no framing without a length
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from tailrace.protocol import ranges
from tailrace.protocol.fields import Fields
from tailrace.protocol.preconditions import Outcome, evaluate, range_applies
from tailrace.protocol.ranges import ContentRange, Ignored, IntRange, RangeSpec
from tailrace.protocol.validators import Validators
from tailrace.spans import Span

_ACCEPT_RANGES = ("Accept-Ranges", "bytes")

# The last position of a range that is to go on for as long as there are bytes: 2**53-1,
# which RFC 8673 §4 recommends, as the largest that JavaScript counts exactly. curl -C -
# does not count it and ends with the bytes. wget -c takes it for a length: it misses bytes
# at the end, asks for them, and learns from the 416 that it has them all (seen in curl
# 7.88, wget 1.21).
INDEFINITE_LAST = 2**53 - 1

# From here on a last position asked for is very large, not meant as a position: the
# smallest that RFC 8673 shows (§2.2), a byte short of a terabyte.
VERY_LARGE_LAST = 999_999_999_999


@dataclass(frozen=True, slots=True)
class Selected:
    """What is known of the selected representation at the moment of the request.

    `length` is its complete length where it is complete, and else how many bytes it has
    so far. While it grows it has the strong entity tag it will have when complete, for
    the bytes there are never change and every answer that ends has the same content; it
    has no modification date yet.
    """

    validators: Validators
    length: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """200: all bytes of a complete representation."""

    complete_length: int


@dataclass(frozen=True, slots=True)
class Part:
    """206: the bytes of one span.

    `complete_length` is None where the representation still grows.
    """

    span: Span
    complete_length: int | None


@dataclass(frozen=True, slots=True)
class Parts:
    """206: the bytes of two or more disjoint spans, as multipart/byteranges, in this order."""

    spans: tuple[Span, ...]
    complete_length: int


@dataclass(frozen=True, slots=True)
class Follow:
    """200 or 206: a growing representation from `start` to its end, whenever that comes.

    The length of the content is not known, so only its orderly end tells that it is
    complete. `start` may lie beyond the bytes there are by now: wait for them. If the
    representation is completed or given up below `start`, cut the connection.

    `last` is the last position to be named in Content-Range, which makes it a 206; with
    None it is a 200.

    Raises:
        ValueError: a 200 that would not start at 0, or a last position before the first.
    """

    start: int
    last: int | None

    def __post_init__(self) -> None:
        if self.start > (0 if self.last is None else self.last):
            raise ValueError(f"nothing follows from {self.start} to {self.last}")


@dataclass(frozen=True, slots=True)
class NotModified:
    """304, without content.

    Of the fields of a 200 it carries Content-Location, Date, ETag, Vary, Cache-Control
    and Expires, and no other that describes the representation (RFC 9110 §15.4.5).
    """


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """412; its content is the problem, not the representation."""


@dataclass(frozen=True, slots=True)
class RangeNotSatisfiable:
    """416; its content is the problem, not the representation.

    `complete_length` is None where the representation still grows: then no Content-Range
    can be written, and the client may ask again.
    """

    complete_length: int | None


Answer = Whole | Part | Parts | Follow | NotModified | PreconditionFailed | RangeNotSatisfiable


def answer(method: str, fields: Fields, selected: Selected) -> Answer:
    """Decide what a request for the selected representation gets.

    For a HEAD the answer is that of the GET; its content is not sent.
    """
    match evaluate(method, fields, selected.validators):
        case Outcome.FAILED:
            return PreconditionFailed()
        case Outcome.NOT_MODIFIED:
            return NotModified()
        case Outcome.PROCEED:
            pass
    specs = _applicable_range(method, fields, selected.validators)
    if selected.is_complete:
        return _complete(specs, selected.length)
    return _growing(specs, selected.length)


def status(answer: Answer) -> int:
    """Return the status code."""
    match answer:
        case Whole() | Follow(last=None):
            return 200
        case Part() | Parts() | Follow():
            return 206
        case NotModified():
            return 304
        case PreconditionFailed():
            return 412
        case RangeNotSatisfiable():
            return 416
        case _:
            assert_never(answer)


def fields(answer: Answer) -> list[tuple[str, str]]:
    """Return the fields that say which bytes the content has.

    Those of the representation itself (ETag, Content-Type, ...) are the sender's. So are
    Content-Type and Content-Length of `Parts`, which follow from its framing, and of the
    problem in a 412 or 416.
    """
    match answer:
        case Whole(complete_length):
            return [("Content-Length", str(complete_length)), _ACCEPT_RANGES]
        case Part(span, complete_length):
            content_range = ContentRange(span, complete_length)
            return [
                ("Content-Range", content_range.to_field()),
                ("Content-Length", str(span.length)),
                _ACCEPT_RANGES,
            ]
        case Follow(start, int(last)):
            content_range = ContentRange(Span(start, last + 1), None)
            return [("Content-Range", content_range.to_field()), _ACCEPT_RANGES]
        case Parts() | Follow():
            return [_ACCEPT_RANGES]
        case RangeNotSatisfiable(int(complete_length)):
            content_range = ContentRange.unsatisfied(complete_length)
            return [("Content-Range", content_range.to_field()), _ACCEPT_RANGES]
        case RangeNotSatisfiable():
            return [_ACCEPT_RANGES]
        case NotModified() | PreconditionFailed():
            return []
        case _:
            assert_never(answer)


def _applicable_range(
    method: str, fields: Fields, validators: Validators
) -> tuple[RangeSpec, ...]:
    """Return the range specs to act on; none where Range is absent or set aside."""
    field_value = fields.get("Range")
    if method != "GET" or field_value is None or not range_applies(fields, validators):
        return ()
    specs = ranges.parse(field_value)
    return () if isinstance(specs, Ignored) else specs


def _complete(specs: tuple[RangeSpec, ...], length: int) -> Answer:
    if not specs:
        return Whole(length)
    match ranges.coalesce(ranges.select(specs, length)):
        case ():
            return RangeNotSatisfiable(length)
        case _ if length == 0:
            # A suffix of nothing is satisfied (§14.1.2), but no Content-Range can name no
            # bytes; of an empty representation Range may be ignored (§14.2).
            return Whole(length)
        case (span,):
            return Part(span, length)
        case spans:
            return Parts(spans, length)


def _growing(specs: tuple[RangeSpec, ...], length: int) -> Answer:
    match specs:
        case (IntRange(0, None),):
            return Follow(0, None)
        case (IntRange(first, None),) if first <= INDEFINITE_LAST:
            return Follow(first, INDEFINITE_LAST)
        case (IntRange(first, int(last)),) if last >= VERY_LARGE_LAST:
            return Follow(first, last)
        case (IntRange() as piece,):
            span = piece.resolve(length)
            return RangeNotSatisfiable(None) if span is None else Part(span, None)
        case _:
            return Follow(0, None)
