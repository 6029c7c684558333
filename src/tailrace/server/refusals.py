"""Which requests are refused without asking the application.

Grammar (RFC 9110 §7.2, RFC 3986 §3.2.2):

    Host        = uri-host [ ":" port ]
    uri-host    = IP-literal / IPv4address / reg-name
    IP-literal  = "[" ( IPv6address / IPvFuture ) "]"
    reg-name    = *( unreserved / pct-encoded / sub-delims )

An empty Host is valid: a target without an authority has it (RFC 9112 §3.2).
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tailrace.server.limits import Limits

_UNRESERVED_OR_SUB_DELIM = rb"A-Za-z0-9\-._~!$&'()*+,;="
_HOST = re.compile(
    rb"(?:\[(?:(?P<ipv6>[0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[%b:]+)\]|(?:[%b]|%%[0-9A-Fa-f]{2})*)"
    rb"(?::[0-9]*)?" % (_UNRESERVED_OR_SUB_DELIM, _UNRESERVED_OR_SUB_DELIM)
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the server gives by itself, and closes the connection after it."""

    status: int
    reason: str


MALFORMED: Final = Refusal(400, "The request cannot be read.")
HOST_NOT_ONE: Final = Refusal(400, "A request has exactly one Host field.")
HOST_INVALID: Final = Refusal(400, "The Host field is not a host.")
FRAMED_TWICE: Final = Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
FRAMING_TOO_NEW: Final = Refusal(400, "HTTP/1.0 has no Transfer-Encoding.")
CODING_NOT_LAST: Final = Refusal(400, "The last transfer coding of a request is chunked.")
CODING_UNKNOWN: Final = Refusal(501, "The only transfer coding understood here is chunked.")
CONNECT: Final = Refusal(501, "There are no tunnels here.")
EXPECTATION_UNKNOWN: Final = Refusal(417, "The only expectation met here is 100-continue.")
METHOD_UNKNOWN: Final = Refusal(501, "This method is not understood here.")
TARGET_INVALID: Final = Refusal(400, "The request target is not one for this method.")
VERSION_UNKNOWN: Final = Refusal(505, "The versions of HTTP understood here are 1.0 and 1.1.")
TOO_SLOW: Final = Refusal(408, "The request did not come in time.")
TARGET_TOO_LONG: Final = Refusal(414, "The request target is too long.")
TOO_MANY_REQUESTS: Final = Refusal(429, "Too many requests without waiting for responses.")
HEAD_TOO_LARGE: Final = Refusal(431, "The fields of the request are too large.")
TOO_MANY_FIELDS: Final = Refusal(431, "The request has too many fields.")


def evaluate_head(
    version: str, target: bytes, fields: Sequence[tuple[bytes, bytes]], limits: Limits
) -> Refusal | None:
    """Return why a request is refused by its head, or None where it is not.

    Field names are in lower case. Of the lengths, only that of the target is looked at.
    """
    if not version.startswith("1."):
        return VERSION_UNKNOWN
    if len(target) > limits.target_bytes:
        return TARGET_TOO_LONG
    if len(fields) > limits.field_lines:
        return TOO_MANY_FIELDS
    hosts = []
    codings: list[bytes] = []
    expectations: list[bytes] = []
    has_length = False
    for name, value in fields:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            has_length = True
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"expect":
            expectations.append(value)
    return (
        _evaluate_hosts(version, hosts)
        or (_evaluate_codings(version, _members(codings), has_length) if codings else None)
        or (_evaluate_expectations(_members(expectations)) if expectations else None)
    )


def head_length(target: bytes, fields: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many octets a request's target and fields take, about."""
    lines = sum(len(name) + len(value) + len(b": \r\n") for name, value in fields)
    return len(target) + lines


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


@functools.lru_cache(maxsize=128)
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


def _members(lines: Sequence[bytes]) -> list[bytes]:
    """Return the members of a list of tokens, in lower case, and empty ones as well."""
    return [member.strip(b" \t").lower() for line in lines for member in line.split(b",")]


def _evaluate_expectations(expectations: Sequence[bytes]) -> Refusal | None:
    # RFC 9110 §10.1.1: what else is expected would not be done.
    return None if set(expectations) <= {b"100-continue", b""} else EXPECTATION_UNKNOWN


def _evaluate_codings(
    version: str, codings: Sequence[bytes], has_length: bool
) -> Refusal | None:
    if version == "1.0":  # RFC 9112 §6.1: to be treated as faulty framing
        return FRAMING_TOO_NEW
    if has_length:  # RFC 9112 §6.1: may be an attempt at request smuggling
        return FRAMED_TWICE
    if codings[-1] != b"chunked":  # RFC 9112 §6.3, rule 4
        return CODING_NOT_LAST
    return CODING_UNKNOWN if any(codings[:-1]) else None
