"""What an upload dialect is: a translation between heads and commands, outcomes and heads.

    request head ──parse──► command ──carried out by intake──► outcome ──answer──► response head

An upload is a remote writer at an offset. The dialects differ in how a client says what it
wants and how it is told what came of it; what can be wanted is the same in all of them. A
dialect is a module with the functions of `Dialect`. It looks at heads only, never at content,
and keeps nothing from one request to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tailrace.errors import TailraceError
from tailrace.protocol.fields import FieldLines, Fields
from tailrace.protocol.problems import Problem
from tailrace.protocol.uploads.commands import Command
from tailrace.protocol.uploads.outcomes import Limits, Outcome

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
