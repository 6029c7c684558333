"""What a request may look like: the limits, and which request is refused without asking the
application.

Grammar (RFC 9110 §7.2, RFC 3986 §3.2.2):

    Host        = uri-host [ ":" port ]
    uri-host    = IP-literal / IPv4address / reg-name
    IP-literal  = "[" ( IPv6address / IPvFuture ) "]"
    reg-name    = *( unreserved / pct-encoded / sub-delims )

An empty Host is valid: a target without an authority has it (RFC 9112 §3.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_UNRESERVED_OR_SUB_DELIM = rb"A-Za-z0-9\-._~!$&'()*+,;="
_HOST = re.compile(
    rb"(?:\[(?:(?P<ipv6>[0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[%b:]+)\]|(?:[%b]|%%[0-9A-Fa-f]{2})*)"
    rb"(?::[0-9]*)?" % (_UNRESERVED_OR_SUB_DELIM, _UNRESERVED_OR_SUB_DELIM)
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a connection one client may take."""

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

    closing_seconds: float = 5.0
    """For what a client still sends when its connection is being closed: RFC 9112 §9.6.
    nginx has 5."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the server gives by itself, and closes the connection after it."""

    status: int
    reason: str


MALFORMED: Final = Refusal(400, "The request cannot be read.")
HOST_NOT_ONE: Final = Refusal(400, "A request has exactly one Host field.")
HOST_INVALID: Final = Refusal(400, "The Host field is not a host.")
FRAMED_TWICE: Final = Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
UPGRADE_WITH_CONTENT: Final = Refusal(501, "This upgrade is not done here.")
FRAMING_TOO_NEW: Final = Refusal(400, "HTTP/1.0 has no Transfer-Encoding.")
CODING_NOT_LAST: Final = Refusal(400, "The last transfer coding of a request is chunked.")
CODING_UNKNOWN: Final = Refusal(501, "The only transfer coding understood here is chunked.")
TOO_SLOW: Final = Refusal(408, "The request did not come in time.")
TARGET_TOO_LONG: Final = Refusal(414, "The request target is too long.")
TOO_MANY_REQUESTS: Final = Refusal(429, "Too many requests without waiting for responses.")
HEAD_TOO_LARGE: Final = Refusal(431, "The fields of the request are too large.")
TOO_MANY_FIELDS: Final = Refusal(431, "The request has too many fields.")


def evaluate_head(
    version: str,
    target: bytes,
    fields: Sequence[tuple[bytes, bytes]],
    limits: Limits,
) -> Refusal | None:
    """Return why a request is refused by its head, or None where it is not.

    Field names are in lower case.
    """
    if len(target) > limits.target_bytes:
        return TARGET_TOO_LONG
    if len(fields) > limits.field_lines:
        return TOO_MANY_FIELDS
    length = len(target)
    hosts = []
    codings = []
    has_length = False
    for name, value in fields:
        length += len(name) + len(value) + len(b": \r\n")
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            codings += [coding.strip(b" \t").lower() for coding in value.split(b",")]
        elif name == b"content-length":
            has_length = True
    if length > limits.head_bytes:
        return HEAD_TOO_LARGE
    return _evaluate_hosts(version, hosts) or (
        _evaluate_codings(version, codings, has_length) if codings else None
    )


def has_content(fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request has content (RFC 9112 §6)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 \t"))
        for name, value in fields
    )


def _evaluate_hosts(version: str, hosts: Sequence[bytes]) -> Refusal | None:
    # RFC 9112 §3.2: the field is required since HTTP/1.1; a wrong one is wrong in any version.
    if len(hosts) != 1:
        return None if version == "1.0" and not hosts else HOST_NOT_ONE
    return None if is_host(hosts[0].strip(b" \t")) else HOST_INVALID


def is_host(value: bytes) -> bool:
    """Tell whether value follows the grammar of Host."""
    match = _HOST.fullmatch(value)
    if match is None:
        return False
    if match["ipv6"] is None:
        return True
    try:
        ipaddress.IPv6Address(match["ipv6"].decode("ascii"))
    except ValueError:
        return False
    return True


def _evaluate_codings(
    version: str, codings: Sequence[bytes], has_length: bool
) -> Refusal | None:
    if version == "1.0":  # RFC 9112 §6.1: to be treated as faulty framing
        return FRAMING_TOO_NEW
    if has_length:  # RFC 9112 §6.1: may be an attempt at request smuggling
        return FRAMED_TWICE
    if codings[-1] != b"chunked":  # RFC 9112 §6.3, rule 4
        return CODING_NOT_LAST
    return CODING_UNKNOWN if len(codings) > 1 else None
