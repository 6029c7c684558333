"""What a request head says of the file it begins, read alike for every dialect (RFC 9110 §8).

Content-Length        how many bytes come with this request
Content-Disposition   the file's name (RFC 6266); else the target's, else a default
Content-Type          its media type
Repr-Digest           what the whole will hash to (RFC 9530)
Content-Digest        the same, where this content is the whole
"""

from __future__ import annotations

import re

from tailrace.errors import (
    DigestMismatch,
    LengthExceeded,
    MalformedField,
    UnsupportedContent,
    UnsupportedDialect,
)
from tailrace.protocol import digests
from tailrace.protocol.digests import Algorithm, Digests
from tailrace.protocol.disposition import ContentDisposition, safe_name
from tailrace.protocol.fields import Fields
from tailrace.protocol.media_types import parse_media_type
from tailrace.protocol.uploads.commands import Create
from tailrace.protocol.uploads.dialect import GREATEST_LENGTH, RequestHead

DEFAULT_NAME = "upload"

# What curl --data-binary and wget --post-file claim of any file: not to be believed.
_FORM = "application/x-www-form-urlencoded"

_DIGITS = re.compile(r"[0-9]+")


def read_creation(
    head: RequestHead,
    *,
    is_complete: bool,
    complete_length: int | None,
    content_length: int | None,
) -> Create:
    """Return the command of a request that begins a file.

    Raises:
        MalformedField: one of the fields cannot be read.
        UnsupportedContent: the content is coded; we could not say so to readers.
        UnsupportedDialect: the content is a part from the middle.
        DigestMismatch: two digests of the same bytes differ.
    """
    _refuse_coding(head.fields)
    _refuse_part(head.fields)
    return Create(
        name=read_name(head),
        media_type=_media_type(head.fields),
        complete_length=complete_length,
        is_complete=is_complete,
        content_length=content_length,
        digests=read_digests(head.fields, is_whole=is_complete),
    )


def read_content_length(fields: Fields) -> int | None:
    """Return how many bytes the content has, or None where only its end will tell.

    Raises:
        MalformedField: the value is no number, there are several, or a Transfer-Encoding
            contradicts it: a way to smuggle a request past a proxy (RFC 9112 §6.1).
        LengthExceeded: no file can be so long.
    """
    value = fields.get("Content-Length")
    if value is None:
        return None
    if "Transfer-Encoding" in fields:
        raise MalformedField("Content-Length", value, "none beside Transfer-Encoding")
    return parse_length("Content-Length", value)


def parse_length(field_name: str, value: str) -> int:
    """Return the number of bytes that a field value says in decimal digits.

    Raises:
        MalformedField: it is no number, or there are several.
        LengthExceeded: no file can be so long.
    """
    if _DIGITS.fullmatch(value) is None:  # int() would take "+5", "5_0" and " 5" as well
        raise MalformedField(field_name, value, "one number, in decimal digits")
    significant = value.lstrip("0")
    # Large numerals are to be expected (RFC 9110 §8.6), and int() refuses very large ones.
    if len(significant) > len(str(GREATEST_LENGTH)):
        raise LengthExceeded(GREATEST_LENGTH)
    return int(significant or "0")


def read_digests(fields: Fields, *, is_whole: bool) -> Digests:
    """Return what the whole file must hash to; with `is_whole` the content is all of it.

    Raises:
        MalformedField: a digest cannot be read.
        DigestMismatch: two digests of the same bytes differ.
    """
    promised: dict[Algorithm, bytes] = {}
    for name in ("Repr-Digest", "Content-Digest") if is_whole else ("Repr-Digest",):
        for algorithm, digest in digests.parse(fields.get(name) or "", name).items():
            if promised.setdefault(algorithm, digest) != digest:
                raise DigestMismatch(algorithm, promised[algorithm].hex(), digest.hex())
    return promised


def read_name(head: RequestHead) -> str:
    """Return the name that Content-Disposition or the target gives, made safe."""
    value = head.fields.get("Content-Disposition")
    if not value:
        return safe_name(head.name or "", DEFAULT_NAME)
    disposition = ContentDisposition.from_field(value)
    if disposition is None:
        raise MalformedField("Content-Disposition", value, 'such as inline; filename="a.txt"')
    return safe_name(disposition.filename or head.name or "", DEFAULT_NAME)


def _refuse_coding(fields: Fields) -> None:
    coding = fields.get("Content-Encoding")
    if coding and coding.lower() != "identity":
        raise UnsupportedContent(f"Content-Encoding: {coding}", ["the file as it is"])


def _refuse_part(fields: Fields) -> None:
    # `curl -C - -T` sends the rest of a file so. Taken for the whole it would be a broken
    # file that looks sound (RFC 9110 §14.5).
    part = fields.get("Content-Range")
    if part is not None:
        raise UnsupportedDialect(
            f"a file cannot be continued with Content-Range ({part}); send it whole, or"
            " begin a resumable upload"
        )


def _media_type(fields: Fields) -> str | None:
    value = fields.get("Content-Type")
    if not value:
        return None
    media_type = parse_media_type(value)
    return None if media_type.essence == _FORM else media_type.to_field()
