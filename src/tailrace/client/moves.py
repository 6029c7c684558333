"""What a download plan is told, what it answers, and the values both are made of."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.errors import TailraceError
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

Digests = Mapping[str, bytes]
"""Digests by the algorithm names of RFC 9530: sha-256, sha-512."""


class Framing(enum.Enum):
    """What marks the end of a content (RFC 9112 §6.3)."""

    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "the close of the connection"
    """Which a cut looks like: such an end proves nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download puts up with trouble."""

    tries: int = 6
    """How often in a row without one new byte, the first included."""
    first_pause_seconds: float = 0.5
    """Doubled from pause to pause."""
    longest_pause_seconds: float = 120.0
    """A server that asks for more (Retry-After) is not waited for."""


@dataclass(frozen=True, slots=True)
class Representation:
    """What is known of the one whose bytes are held."""

    entity_tag: EntityTag | None
    complete_length: int | None
    digests: Digests


@dataclass(frozen=True, slots=True)
class Held:
    """What an earlier run has left: `landed` spans of one representation."""

    representation: Representation
    landed: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a response says."""

    status: int
    reason: str
    framing: Framing
    content_length: int | None
    content_range: ContentRange | None
    """None where there is none, or none that can be read."""
    entity_tag: EntityTag | None
    digests: Digests
    """Repr-Digest, as far as the algorithms are known here."""
    content_coding: str | None
    retry_after_seconds: float | None
    problem: Mapping[str, object] | None


# --- events: what happened ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    pass


@dataclass(frozen=True, slots=True)
class HeadReceived:
    head: Head


@dataclass(frozen=True, slots=True)
class Landed:
    """Bytes of the content are in the file."""

    span: Span


@dataclass(frozen=True, slots=True)
class ContentEnded:
    """As far as its framing tells, in order."""


@dataclass(frozen=True, slots=True)
class ContentMalformed:
    """The framing is broken, so what came before cannot be trusted either."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """No connection could be made, or it was cut or stalled before the orderly end."""

    reason: str
    was_connected: bool


@dataclass(frozen=True, slots=True)
class PauseEnded:
    pass


@dataclass(frozen=True, slots=True)
class Measured:
    """What the file on disk really is: the answer to Verify."""

    length: int
    digests: Digests


Event = (
    Started
    | HeadReceived
    | Landed
    | ContentEnded
    | ContentMalformed
    | Disconnected
    | PauseEnded
    | Measured
)


# --- actions: what to do ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Leave any open response and request the bytes from `start` on.

    From 0 this is a request without Range. With `entity_tag` it has an If-Range.
    """

    start: int
    entity_tag: EntityTag | None


@dataclass(frozen=True, slots=True)
class Discard:
    """Empty the partial file."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is held, and what lands from now on, are bytes of this; a record says so."""

    representation: Representation


@dataclass(frozen=True, slots=True)
class Land:
    """Write the content at `start` and on."""

    start: int


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Verify:
    """Measure what has landed: its length, and its digests by these algorithms."""

    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Finish:
    """Give the file its final name."""

    length: int
    digests: Digests


@dataclass(frozen=True, slots=True)
class Fail:
    """Raise the error. Unless `keep`, what has landed is proved wrong: delete it."""

    error: TailraceError
    keep: bool


Action = Ask | Discard | Record | Land | Pause | Verify | Finish | Fail
