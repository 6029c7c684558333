"""Digest fields (RFC 9530): what bytes a message promises to carry.

    Content-Digest, Repr-Digest             sha-256=:<base64>:, ...    §2, §3
    Want-Content-Digest, Want-Repr-Digest   sha-256=10, sha-512=3      §4

Content-Digest speaks of the content of this message, Repr-Digest of the whole selected
representation; their values have one form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeGuard

from tailrace.errors import MalformedField
from tailrace.protocol import structured

Algorithm = Literal["sha-256", "sha-512"]

Digests = Mapping[Algorithm, bytes]
"""A digest by each algorithm that was given, of those we know."""

# The algorithms registered as active (§7.2), ours first: with sha-256 each file is kept.
_LENGTHS: Mapping[Algorithm, int] = {"sha-256": 32, "sha-512": 64}
_NOT_ACCEPTABLE = 0
_MOST_PREFERRED = 10


def parse(value: str, field_name: str) -> Digests:
    """Read a Repr-Digest or Content-Digest field value.

    Unknown algorithms are left out, so there may be no digest at all.

    Raises:
        MalformedField: it cannot be read, or a digest has not the length of its algorithm.
    """
    try:
        members = structured.parse_dictionary(value)
    except structured.Malformed as exc:
        raise _malformed(field_name, value) from exc
    digests: dict[Algorithm, bytes] = {}
    for algorithm, length in _LENGTHS.items():
        if algorithm in members:
            digest = _bare_item(members[algorithm])
            if not isinstance(digest, bytes) or len(digest) != length:
                raise _malformed(field_name, value)
            digests[algorithm] = digest
    return digests


def to_field(sha256: bytes) -> str:
    """Write a Repr-Digest or Content-Digest field value."""
    return structured.serialize_dictionary({"sha-256": structured.Item(sha256)})


def wanted(value: str) -> Algorithm | None:
    """Return the algorithm that a Want-Repr-Digest or Want-Content-Digest prefers.

    None where it accepts none that we know, and where it cannot be read: the field is only
    a hint (§4). Of two preferred alike it is sha-256.
    """
    try:
        members = structured.parse_dictionary(value)
    except structured.Malformed:
        return None
    best: Algorithm | None = None
    most = _NOT_ACCEPTABLE
    for algorithm in _LENGTHS:
        if algorithm in members:
            preference = _bare_item(members[algorithm])
            if not _is_preference(preference):
                return None  # a broken constraint spoils the field (RFC 9651 §2.2)
            if preference > most:
                best, most = algorithm, preference
    return best


def _is_preference(value: structured.BareItem | None) -> TypeGuard[int]:
    # Not isinstance: a Boolean is an int in Python, but no Integer.
    return type(value) is int and _NOT_ACCEPTABLE <= value <= _MOST_PREFERRED


def _bare_item(member: structured.Member) -> structured.BareItem | None:
    return member.value if isinstance(member, structured.Item) else None


def _malformed(field_name: str, value: str) -> MalformedField:
    return MalformedField(field_name, value, "digests, such as sha-256=:<base64>:")
