"""What an upload dialect is: a translation, and the language it translates into.

    request head ──parse──► command ──carried out by intake──► outcome ──answer──► response head

An upload is a remote writer at an offset. The dialects differ in how a client says what it
wants and how it is told what came of it; what can be wanted is the same in all of them, and
stands here. A dialect is a module with the functions of `Dialect`. It looks at heads only,
never at content, and keeps nothing from one request to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from tailrace.errors import TailraceError
from tailrace.protocol.digests import Digests
from tailrace.protocol.fields import Fields
from tailrace.protocol.problems import Problem

FieldLines = tuple[tuple[str, str], ...]

# The largest Integer of a structured field (RFC 9651 §3.3.1), so that every length that is
# taken in can also be told, in any field. It is a petabyte.
GREATEST_LENGTH = 999_999_999_999_999


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What is known of a request before its content.

    `method` is the one meant, after any X-HTTP-Method-Override. `name` is what the target
    says of the file's name: the last segment of the path of a PUT, or `?name=`, decoded.
    """

    method: str
    fields: Fields
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and fields that a dialect asks for; content and its fields are the caller's."""

    status: int
    fields: FieldLines


# --- commands: what a client wants ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a file, and append the content of this request to it, if it has any.

    With `is_complete` that content is the whole file; otherwise more is to come by Append.
    """

    name: str
    """Safe to store and to give back, never empty."""
    media_type: str | None
    """None where the client did not say; guess it then from the name."""
    complete_length: int | None
    is_complete: bool
    content_length: int | None
    """None where only the end of the content will tell."""
    digests: Digests
    """What the whole file must have; may be empty."""


@dataclass(frozen=True, slots=True)
class Append:
    """Append the content of this request at an offset.

    With `is_complete` the file is whole when all of the content is kept. A client that
    never saw the answer may repeat such a request without content, at the end of a file
    that is complete already: that does nothing, and is answered as it was the first time.
    """

    offset: int
    complete_length: int | None
    """As this request says it; it must not contradict what was said before."""
    is_complete: bool
    content_length: int | None


@dataclass(frozen=True, slots=True)
class RetrieveOffset:
    """Say how much is kept."""


@dataclass(frozen=True, slots=True)
class Inspect:
    """Say how much is kept, and describe the file in the content."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give the upload up."""


Command = Create | Append | RetrieveOffset | Inspect | Cancel


# --- outcomes: what came of it --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client must keep to; None is no limit."""

    length: int | None
    """The longest file taken."""
    lifetime: timedelta | None
    """How long the upload is kept from now on, if nothing more comes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is. The bytes below `offset` need not be sent again."""

    offset: int
    is_complete: bool
    complete_length: int | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Created:
    """The file is there, and so is its link; both are URI references."""

    location: str
    """The upload resource, where the client goes on."""
    link: str
    """Where the file can be read, from now on."""
    progress: Progress

    @property
    def fields(self) -> FieldLines:
        """What every dialect tells of a new file (RFC 9110 §10.2.2, RFC 8288 §3)."""
        return (("Location", self.location), ("Link", f'<{self.link}>; rel="alternate"'))


@dataclass(frozen=True, slots=True)
class Appended:
    progress: Progress


@dataclass(frozen=True, slots=True)
class OffsetRetrieved:
    progress: Progress


@dataclass(frozen=True, slots=True)
class Inspected:
    progress: Progress


@dataclass(frozen=True, slots=True)
class Cancelled:
    pass


Outcome = Created | Appended | OffsetRetrieved | Inspected | Cancelled


# --- the contract ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a dialect wants an error told.

    `problem` is None where the table of `tailrace.protocol.problems` says it well.
    """

    problem: Problem | None = None
    fields: FieldLines = ()


class Dialect(Protocol):
    """The functions of a dialect. None of them does anything but translate."""

    def recognizes(self, head: RequestHead) -> bool:
        """Tell whether the request is in this dialect. Never raises."""

    def parse(self, head: RequestHead) -> Command:
        """Return what a request that is in this dialect wants.

        Raises:
            ProtocolError: it breaks a rule that its head alone shows.
        """

    def answer(self, outcome: Outcome) -> ResponseHead:
        """Return the head that tells the client of it."""

    def refuse(self, error: TailraceError, limits: Limits) -> Refusal:
        """Return how the error is told to a client of this dialect."""

    def announce(self, limits: Limits) -> FieldLines:
        """Return what a response to OPTIONS says of this dialect."""
