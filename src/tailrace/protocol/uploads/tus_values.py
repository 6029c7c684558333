"""The values of tus's own fields.

    Upload-Metadata: filename d29ybGQucGRm,is_confidential     "Upload-Metadata"
    Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=         "Upload-Checksum"
    Upload-Concat: partial
    Upload-Concat: final;/uploads/KEY /uploads/KEY             "Upload-Concat"

Names in quotation marks are headings of the specification, which has no numbers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from urllib.parse import unquote, urlsplit

from tailrace.errors import MalformedField
from tailrace.protocol.grammar import OWS
from tailrace.protocol.uploads.commands import ContentDigest

PARTIAL: Literal["partial"] = "partial"

_FINAL = "final;"

_Algorithm = Literal["md5", "sha-1", "sha-256", "sha-512"]

# Every server must take sha1. The rest have no names of tus; these are what clients send.
_ALGORITHMS: Mapping[str, tuple[_Algorithm, int]] = MappingProxyType(
    {
        "sha1": ("sha-1", 20),
        "sha256": ("sha-256", 32),
        "sha-256": ("sha-256", 32),
        "sha512": ("sha-512", 64),
        "sha-512": ("sha-512", 64),
        "md5": ("md5", 16),
    }
)

CHECKSUM_ALGORITHMS = ",".join(name for name in _ALGORITHMS if "-" not in name)


@dataclass(frozen=True, slots=True)
class Final:
    """An upload that is the content of others."""

    keys: tuple[str, ...]
    """The last segments of their URLs, decoded, in order; never empty."""


def parse_metadata(value: str) -> Mapping[str, bytes]:
    """Read an Upload-Metadata field value.

    Raises:
        MalformedField: a key is empty, not ASCII or there twice, or a value is not Base64.
    """
    metadata: dict[str, bytes] = {}
    # Several lines are joined by a comma and a space (RFC 9110 §5.3), hence the strip.
    for pair in value.split(","):
        key, _, encoded = pair.strip(OWS).partition(" ")
        decoded = _decode(encoded)
        if not key or not key.isascii() or key in metadata or decoded is None:
            raise MalformedField(
                "Upload-Metadata", value, "keys, each once, with values in Base64"
            )
        metadata[key] = decoded
    return metadata


def parse_checksum(value: str) -> ContentDigest:
    """Read an Upload-Checksum field value.

    Raises:
        MalformedField: the algorithm is unknown, or the digest has not its length.
    """
    name, _, encoded = value.partition(" ")
    algorithm, length = _ALGORITHMS.get(name, (None, 0))
    digest = _decode(encoded)
    if algorithm is None or digest is None or len(digest) != length:
        raise MalformedField(
            "Upload-Checksum", value, f"one of {CHECKSUM_ALGORITHMS} and a digest in Base64"
        )
    return ContentDigest(algorithm, digest)


def parse_concat(value: str) -> Literal["partial"] | Final:
    """Read an Upload-Concat field value.

    Raises:
        MalformedField: it is neither "partial" nor "final;" and URLs.
    """
    if value == PARTIAL:
        return PARTIAL
    keys = tuple(map(_key, value.removeprefix(_FINAL).split()))
    if not value.startswith(_FINAL) or not keys or not all(keys):
        raise MalformedField("Upload-Concat", value, f"{PARTIAL}, or {_FINAL} and URLs")
    return Final(keys)


def _key(url: str) -> str:
    # A key is the right to its upload, whatever host or path a proxy has made of its URL.
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return unquote(path.rpartition("/")[2])


def _decode(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: a character that is not ASCII
        return None
