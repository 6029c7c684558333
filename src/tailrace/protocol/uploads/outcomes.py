"""What came of a command, before any dialect tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tailrace.protocol.fields import FieldLines


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
    expires_at: datetime | None = None
    """When it is given up, if nothing more comes; None where it is not."""
    notes: FieldLines = ()
    """Those of the command that began it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The file is there, and so is its link, before any content; both are URI references."""

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
class Created(Begun):
    """The same, and the content of the request that began it has been kept."""


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


Outcome = Begun | Created | Appended | OffsetRetrieved | Inspected | Cancelled
