"""What a download plan is told, what it answers, and the values both are made of.

Named tuples, where the rest of tailrace has frozen dataclasses: twenty of those take 6 ms
to make, a tenth of what a whole small download may take. Never compare two of them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tailrace.errors import Refused, TailraceError
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
    """How long a transfer puts up with trouble."""

    tries: int = 6
    """How often in a row without one new byte, the first included."""
    first_pause_seconds: float = 0.5
    """Doubled from pause to pause."""
    longest_pause_seconds: float = 120.0
    """A server that asks for more (Retry-After) is not waited for."""

    def pause_seconds(self, failures: int, asked_seconds: float | None = None) -> float | None:
        """Return how long to wait after so many failures in a row; None is: give up."""
        seconds = asked_seconds
        if seconds is None:
            seconds = self.first_pause_seconds * 2.0 ** (failures - 1)
        if failures >= self.tries or seconds > self.longest_pause_seconds:
            return None
        return seconds


class Representation(NamedTuple):
    """What is known of the one whose bytes are held."""

    entity_tag: EntityTag | None
    complete_length: int | None
    digests: Digests


class Held(NamedTuple):
    """What an earlier run has left: `landed` spans of one representation."""

    representation: Representation
    landed: tuple[Span, ...]


class Head(NamedTuple):
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

    def refusal(self, standing: str = "") -> Refused:
        """Return the error that a status of no use is; `standing` ends its sentence."""
        message = f"the server answered {self.status} {self.reason}".rstrip()
        problem = self.problem or {}
        detail = problem.get("detail") or problem.get("title")
        if isinstance(detail, str):
            message += f": {detail}"
        if self.retry_after_seconds is not None:
            message += f", to be asked again in {self.retry_after_seconds:.0f} s"
        return Refused(message + standing, self.status, self.problem)


class State(enum.Enum):
    READY = "ready"
    """Nothing is asked yet."""
    ASKING = "asking"
    """A request is out; its head is awaited."""
    LANDING = "landing"
    """Content is written as it comes."""
    PAUSED = "paused"
    """Waits before it asks again."""
    WAITING = "waiting"
    """What is missing is on its way to helpers."""
    VERIFYING = "verifying"
    """All is there; it is being measured."""
    FINISHED = "finished"
    FAILED = "failed"


# --- events: what happened ----------------------------------------------------------------


class Started:
    """The download begins."""


class HeadReceived(NamedTuple):
    head: Head


class Landed(NamedTuple):
    """Bytes of the content are in the file."""

    span: Span


class ContentEnded:
    """As far as its framing tells, in order."""


class ContentMalformed(NamedTuple):
    """The framing is broken, so what came before cannot be trusted either."""

    reason: str


class Disconnected(NamedTuple):
    """No connection could be made, or it was cut or stalled before the orderly end."""

    reason: str
    was_connected: bool


class Relieved:
    """What would come next is here already, or on its way to a helper."""


class HelpEnded:
    """No helper fetches anything any more."""


class PauseEnded:
    """It is time to ask again."""


class Measured(NamedTuple):
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
    | Relieved
    | HelpEnded
    | PauseEnded
    | Measured
)


# --- actions: what to do ------------------------------------------------------------------


class Ask(NamedTuple):
    """Leave any open response and request the bytes from `start` on, or up to `stop`.

    From 0 to the end this is a request without Range. With `entity_tag` it has an If-Range.
    """

    start: int
    entity_tag: EntityTag | None
    stop: int | None = None

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The fields of such a request."""
        fields = []
        if self.start > 0 or self.stop is not None:
            last = "" if self.stop is None else self.stop - 1
            fields.append(("Range", f"bytes={self.start}-{last}"))
        if self.entity_tag is not None:
            fields.append(("If-Range", self.entity_tag.to_field()))
        return tuple(fields)


class Discard:
    """Empty the partial file."""


class Record(NamedTuple):
    """What is held, and what lands from now on, are bytes of this; a record says so."""

    representation: Representation


class Land(NamedTuple):
    """Write the content at `start` and on."""

    start: int


class Pause(NamedTuple):
    seconds: float


class Wait:
    """Wait for the helpers."""


class Verify(NamedTuple):
    """Measure what has landed: its length, and its digests by these algorithms."""

    algorithms: frozenset[str]


class Finish(NamedTuple):
    """Give the file its final name."""

    length: int
    digests: Digests


class Fail(NamedTuple):
    """Raise the error. Unless `keep`, what has landed is proved wrong: delete it."""

    error: TailraceError
    keep: bool


Action = Ask | Discard | Record | Land | Pause | Wait | Verify | Finish | Fail
