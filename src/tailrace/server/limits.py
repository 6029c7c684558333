"""How much of a connection one client may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a request and its response; each breach has an answer of its own."""

    target_bytes: int = 8192
    """Of a request target, else 414. RFC 9110 §4.1 asks for 8000 at least; nginx and Apache
    have 8192."""

    head_bytes: int = 32 * 1024
    """Of a request's target and fields together, else 431. Apache takes 800 KiB, nginx
    32 KiB, Node 16 KiB."""

    field_lines: int = 100
    """In a request's head, else 431. Apache and hyper have 100."""

    pipelined_requests: int = 100
    """That wait for the response before theirs, else 429."""

    head_seconds: float = 30.0
    """From a connection's beginning, or a later request's first byte, to the end of the head,
    else 408. nginx has 60, Apache 20 to 40."""

    content_stall_seconds: float = 60.0
    """Without one byte of a request's content while the application could have it, else 408.
    nginx has 60."""

    sending_stall_seconds: float = 60.0
    """Without one byte of a response acknowledged by the client's machine, else the
    connection is cut. nginx has 60."""

    half_closed_seconds: float = 1.0
    """For an application to go on with the response to a client that has shut down its side,
    after all that was sent has arrived; at most twice this. Such a client may have left."""

    closing_seconds: float = 5.0
    """For what a client still sends when its connection is being closed: RFC 9112 §9.6.
    nginx has 5."""
