"""Request targets: what a request is about, in the form that applications know.

Grammar (RFC 9112 §3.2):

    request-target = origin-form / absolute-form / authority-form / asterisk-form
    origin-form    = absolute-path [ "?" query ]
    absolute-form  = absolute-URI      sent to proxies, and taken by every server
    authority-form = uri-host ":" port   CONNECT only
    asterisk-form  = "*"                 OPTIONS only

A target has no fragment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailrace.server.refusals import is_host

_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?]+)(?P<path>[^?]*)(?P<query>\?.*)?", re.I)


@dataclass(frozen=True, slots=True)
class Target:
    """A target that is an origin form or an asterisk.

    `authority` is that of an absolute form. It counts in place of Host (§3.2.2).
    """

    octets: bytes
    authority: bytes | None = None


def is_origin_form(octets: bytes) -> bool:
    return octets.startswith(b"/") and b"#" not in octets


def parse(method: bytes, octets: bytes) -> Target | None:
    """Read a target of any form but that of CONNECT; None where it is none."""
    if is_origin_form(octets) or (octets == b"*" and method == b"OPTIONS"):
        return Target(octets)
    absolute = _ABSOLUTE.fullmatch(octets)
    if absolute is None or b"#" in octets or not is_host(absolute["authority"]):
        return None
    path, query = absolute["path"], absolute["query"]
    if not path and query is None and method == b"OPTIONS":  # §3.2.4
        return Target(b"*", absolute["authority"])
    return Target((path or b"/") + (query or b""), absolute["authority"])
