"""Server-Sent Events as they are written (HTML Living Standard §9.2.5).

    event  = [ "event: " name LF ] [ "id: " id LF ] *( "data: " line LF ) LF
    comment = ":" LF LF

An id is what a client sends back, as Last-Event-ID, when it reconnects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MEDIA_TYPE = "text/event-stream"

HEARTBEAT = b":\n\n"
"""A comment, which keeps a silent connection from being taken for a dead one."""

_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. What its data has of lines stays lines.

    Raises:
        ValueError: the name or the id has a line end, or the id a NUL, which would make a
            client ignore it.
    """

    data: str
    name: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        for value in (self.name, self.id):
            if value is not None and (_LINE_END.search(value) or "\0" in value):
                raise ValueError(f"no event can have {value!r} as its name or id")

    def encode(self) -> bytes:
        lines = []
        if self.name is not None:
            lines.append(f"event: {self.name}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        lines += [f"data: {line}" for line in _LINE_END.split(self.data)]
        return "\n".join((*lines, "", "")).encode()
