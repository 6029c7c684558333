"""Byte ranges: what a Range field asks for, what it selects, what Content-Range names.

Grammar (RFC 9110 §14.1.1 and §14.4, with the bytes unit of §14.1.2):

    ranges-specifier  = range-unit "=" 1#( int-range / suffix-range )
    int-range         = first-pos "-" [ last-pos ]
    suffix-range      = "-" suffix-length

    Content-Range     = range-unit SP ( range-resp / unsatisfied-range )
    range-resp        = first-pos "-" last-pos "/" ( complete-length / "*" )
    unsatisfied-range = "*/" complete-length

Positions on the wire are inclusive; everywhere else in tailrace a span of bytes is
half-open, [start, stop).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tailrace.protocol.grammar import split_list
from tailrace.spans import Span

# More ranges than this are a known way to burn a server's time (RFC 9110 §17.15).
# Precedents: Kynos 8, Starlette 100, Apache 200. What is left after coalescing never
# repeats a byte, so a part costs one read and one part head: the limit can be generous.
MAX_RANGES = 100

# int() may be set to refuse longer numerals, but never ones of up to this many digits
# (sys.int_info.str_digits_check_threshold).
_MAX_DIGITS = 640
_BEYOND_ANY_FILE = 10**_MAX_DIGITS - 1

_RANGE_SPEC = re.compile(r"(?P<first>[0-9]*)-(?P<last>[0-9]*)")
_CONTENT_RANGE = re.compile(r"(?:([0-9]+)-([0-9]+)|\*)/(?:([0-9]+)|\*)")


class Ignored(enum.Enum):
    """Why a Range field was set aside; each one means: send the whole."""

    MALFORMED = "malformed"
    UNKNOWN_UNIT = "unknown unit"
    TOO_MANY = "too many ranges"


@dataclass(frozen=True, slots=True)
class IntRange:
    """From `first` to `last` inclusive, or to the end where `last` is None."""

    first: int
    last: int | None

    def resolve(self, complete_length: int) -> Span | None:
        """Return the span selected, or None where this is unsatisfiable.

        A last position past the end is cut to the end.
        """
        stop = complete_length if self.last is None else min(self.last + 1, complete_length)
        return Span(self.first, stop) if self.first < stop else None


@dataclass(frozen=True, slots=True)
class SuffixRange:
    """The last `length` bytes."""

    length: int

    def resolve(self, complete_length: int) -> Span | None:
        """Return the span selected, or None where this is unsatisfiable.

        A suffix longer than the representation selects all of it: of an empty one the
        empty span, for that counts as satisfied (RFC 9110 §14.1.2).
        """
        if self.length == 0:
            return None
        return Span(max(complete_length - self.length, 0), complete_length)


RangeSpec = IntRange | SuffixRange


def parse(field_value: str) -> tuple[RangeSpec, ...] | Ignored:
    """Read a Range field value.

    A value we may not act on is a result, not an error: the request is still good and is
    answered as if the field were absent (RFC 9110 §14.2).
    """
    unit, equals, range_set = field_value.partition("=")
    if not equals:
        return Ignored.MALFORMED
    if unit.lower() != "bytes":
        return Ignored.UNKNOWN_UNIT
    items = split_list(range_set)
    if len(items) > MAX_RANGES:
        return Ignored.TOO_MANY
    specs = []
    for item in items:
        spec = _parse_spec(item)
        if spec is None:  # one invalid range-spec spoils the field (§14.1.1)
            return Ignored.MALFORMED
        specs.append(spec)
    return tuple(specs) or Ignored.MALFORMED


def select(specs: Iterable[RangeSpec], complete_length: int) -> tuple[Span, ...]:
    """Return the spans of the satisfiable specs, in the order asked.

    None at all means that the field is unsatisfiable (RFC 9110 §14.1.1). A span is empty
    only where the representation is.
    """
    resolved = (spec.resolve(complete_length) for spec in specs)
    return tuple(span for span in resolved if span is not None)


def coalesce(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return disjoint spans of the same bytes, overlapping and touching ones as one.

    A span stands where the first of those it was made of stood, as clients may ask for
    what they need first (RFC 9110 §15.3.7.2).
    """
    merged: list[tuple[int, Span]] = []
    for rank, span in sorted(enumerate(spans), key=lambda ranked: ranked[1]):
        if merged and span.start <= merged[-1][1].stop:
            first_rank, before = merged.pop()
            rank = min(rank, first_rank)
            span = Span(before.start, max(before.stop, span.stop))
        merged.append((rank, span))
    return tuple(span for _, span in sorted(merged))


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes are enclosed, of how many: the value of a Content-Range field.

    `span` is None in a 416, where none are; `complete_length` is None where the sender
    does not know it.

    Raises:
        ValueError: for what the grammar cannot say: neither of the two, an empty span, a
            span that ends past the complete length.
    """

    span: Span | None
    complete_length: int | None

    def __post_init__(self) -> None:
        if self.span is None:
            sayable = self.complete_length is not None and self.complete_length >= 0
        else:
            sayable = self.span.length > 0 and (
                self.complete_length is None or self.span.stop <= self.complete_length
            )
        if not sayable:
            raise ValueError(f"no Content-Range of {self.span} in {self.complete_length}")

    @classmethod
    def unsatisfied(cls, complete_length: int) -> ContentRange:
        return cls(None, complete_length)

    @classmethod
    def from_field(cls, field_value: str) -> ContentRange | None:
        """Read a Content-Range field value; None where it is malformed or invalid.

        None must not be recombined with bytes already held (RFC 9110 §14.4).
        """
        unit, _, rest = field_value.partition(" ")
        match = _CONTENT_RANGE.fullmatch(rest)
        if unit.lower() != "bytes" or match is None:
            return None
        first, last, complete = match.groups()
        try:
            span = None if first is None else Span(_numeral(first), _numeral(last) + 1)
            return cls(span, None if complete is None else _numeral(complete))
        except ValueError:  # last before first, or not before the complete length
            return None

    def to_field(self) -> str:
        span = "*" if self.span is None else f"{self.span.start}-{self.span.stop - 1}"
        complete_length = "*" if self.complete_length is None else self.complete_length
        return f"bytes {span}/{complete_length}"


def _parse_spec(item: str) -> RangeSpec | None:
    match = _RANGE_SPEC.fullmatch(item)
    if match is None or item == "-":
        return None
    if not match["first"]:
        return SuffixRange(_numeral(match["last"]))
    first = _numeral(match["first"])
    last = _numeral(match["last"]) if match["last"] else None
    if last is not None and last < first:
        return None
    return IntRange(first, last)


def _numeral(digits: str) -> int:
    # Exact far beyond any file, for a very large last position is to be answered as it
    # was asked (RFC 8673 §4); then it saturates, for int() refuses numerals of thousands
    # of digits (RFC 9110 §14.1.2: anticipate large numerals).
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else _BEYOND_ANY_FILE
