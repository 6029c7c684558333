"""tus 1.0.0, the server's side (https://tus.io/protocols/resumable-upload).

A creation, an append, and what a client asks in between when its connection was cut:

    POST /uploads                              201 Created
    Upload-Length: 100                         Location: /uploads/KEY
    Upload-Metadata: filename YS50eHQ=         Link: </l/TOKEN>; rel="alternate"
    Content-Length: 0                          Upload-Offset: 0
                                               Upload-Expires: Wed, 25 Jun 2014 16:00:00 GMT

    HEAD /uploads/KEY                          200 OK
                                               Upload-Offset: 40
                                               Upload-Length: 100
                                               Upload-Metadata: filename YS50eHQ=
                                               Cache-Control: no-store

    PATCH /uploads/KEY                         204 No Content
    Content-Type: application/offset+octet-stream
    Upload-Offset: 40                          Upload-Offset: 100
    Content-Length: 60

`Tus-Resumable: 1.0.0` is in every request and response, and marks the dialect. An upload is
whole as soon as its offset is its length; no field says so. Names in quotation marks are
headings of the specification, which has no numbers.

Of the extensions all are spoken but two: "checksum-trailer" needs trailers of requests, which
ASGI does not hand over, and "concatenation-unfinished" would promise a file whose parts may
never come.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from tailrace.errors import (
    ContentDigestMismatch,
    LengthExceeded,
    MalformedField,
    OffsetMismatch,
    TailraceError,
    UnsupportedContent,
    UnsupportedDialect,
    UploadComplete,
)
from tailrace.protocol.dates import format_date
from tailrace.protocol.disposition import safe_name
from tailrace.protocol.fields import FieldLines, Fields
from tailrace.protocol.media_types import essence_of, parse_media_type
from tailrace.protocol.problems import Problem, problem_for
from tailrace.protocol.uploads.commands import (
    Append,
    Cancel,
    Command,
    Concatenate,
    ContentDigest,
    Create,
    Inspect,
    RetrieveOffset,
)
from tailrace.protocol.uploads.dialect import Refusal, RequestHead, ResponseHead
from tailrace.protocol.uploads.metadata import (
    DEFAULT_NAME,
    parse_length,
    read_content_length,
    read_digests,
    read_name,
)
from tailrace.protocol.uploads.outcomes import (
    Appended,
    Begun,
    Cancelled,
    Created,
    Inspected,
    Limits,
    OffsetRetrieved,
    Outcome,
    Progress,
)
from tailrace.protocol.uploads.tus_values import (
    CHECKSUM_ALGORITHMS,
    PARTIAL,
    Final,
    parse_checksum,
    parse_concat,
    parse_metadata,
)

VERSION = "1.0.0"

EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "checksum",
    "expiration",
    "concatenation",
    "termination",
)

OFFSET_OCTET_STREAM = "application/offset+octet-stream"
"""The media type of every content that is to be kept ("PATCH")."""

# By habit of the clients; the specification leaves keys to them.
_NAMES = ("filename", "name")
_MEDIA_TYPES = ("filetype", "type", "contentType")

_METHODS = ("POST", "PATCH", "HEAD", "GET", "DELETE")
_RESUMABLE = ("Tus-Resumable", VERSION)
_VERSIONS = ("Tus-Version", VERSION)
_NO_STORE = ("Cache-Control", "no-store")


def recognizes(head: RequestHead) -> bool:
    return head.method in _METHODS and "Tus-Resumable" in head.fields


def parse(head: RequestHead) -> Command:
    if head.fields.get("Tus-Resumable") != VERSION:
        raise UnsupportedDialect(f"of tus only version {VERSION} is spoken here")
    match head.method:
        case "POST":
            return _creation(head)
        case "PATCH":
            return _append(head.fields)
        case "HEAD":
            return RetrieveOffset(ends_at_length=True)
        case "GET":
            return Inspect()
        case _:  # "Termination", of completed and unfinished uploads
            return Cancel(ends_file=True)


def answer(outcome: Outcome) -> ResponseHead:
    match outcome:
        case Created(progress=progress):
            return _head(201, *outcome.fields, *_offset(progress), *_expiry(progress))
        case Appended(progress):
            return _head(204, *_offset(progress), *_expiry(progress))
        case OffsetRetrieved(progress) | Inspected(progress):
            return _head(
                200,
                *_offset(progress),
                *_length(progress),
                *progress.notes,
                *_expiry(progress),
                _NO_STORE,
            )
        case Cancelled():
            return _head(204)
        case Begun():
            raise ValueError("tus has no interim responses")
        case _:
            assert_never(outcome)


def refuse(error: TailraceError, limits: Limits) -> Refusal:
    match error:
        case UnsupportedDialect():  # "Tus-Resumable"
            return Refusal(_problem(error, 412), (_RESUMABLE, _VERSIONS))
        case ContentDigestMismatch():  # "Checksum"
            return Refusal(_problem(error, 460), (_RESUMABLE,))
        case UploadComplete():  # "Concatenation": what is whole takes no PATCH
            return Refusal(_problem(error, 403), (_RESUMABLE,))
        case OffsetMismatch():
            return Refusal(fields=(_RESUMABLE, ("Upload-Offset", str(error.expected))))
        case LengthExceeded():
            return Refusal(fields=(_RESUMABLE, *_greatest(limits)))
        case UnsupportedContent() if OFFSET_OCTET_STREAM in error.accepted:  # RFC 5789 §2.2
            return Refusal(fields=(_RESUMABLE, ("Accept-Patch", OFFSET_OCTET_STREAM)))
        case _:
            return Refusal(fields=(_RESUMABLE,))


def announce(limits: Limits) -> FieldLines:
    return (
        _RESUMABLE,
        _VERSIONS,
        ("Tus-Extension", ",".join(EXTENSIONS)),
        ("Tus-Checksum-Algorithm", CHECKSUM_ALGORITHMS),
        *_greatest(limits),
    )


def _creation(head: RequestHead) -> Create | Concatenate:
    described = _Description.of(head)
    concat = head.fields.get("Upload-Concat")
    kind = None if concat is None else parse_concat(concat)
    if isinstance(kind, Final):
        if "Upload-Length" in head.fields:  # "Concatenation"
            raise MalformedField(
                "Upload-Length",
                head.fields.get("Upload-Length") or "",
                "none: its parts have it",
            )
        return Concatenate(
            name=described.name,
            media_type=described.media_type,
            digests=read_digests(head.fields, is_whole=False),
            parts=kind.keys,
            notes=described.notes,
        )
    complete_length = _promised_length(head.fields)
    content_length = _creation_content_length(head.fields)
    if complete_length is not None and (content_length or 0) > complete_length:
        raise LengthExceeded(complete_length, content_length)
    return Create(
        name=described.name,
        media_type=described.media_type,
        complete_length=complete_length,
        is_complete=False,
        content_length=content_length,
        digests=read_digests(head.fields, is_whole=False),
        content_digests=_content_digests(head.fields),
        ends_at_length=kind is None,
        is_partial=kind == PARTIAL,
        notes=described.notes,
    )


def _append(fields: Fields) -> Append:
    if not _is_offset_octet_stream(fields):
        raise UnsupportedContent(fields.get("Content-Type") or "", [OFFSET_OCTET_STREAM])
    length = fields.get("Upload-Length")
    return Append(
        offset=parse_length("Upload-Offset", fields.get("Upload-Offset") or ""),
        complete_length=None if length is None else parse_length("Upload-Length", length),
        is_complete=False,
        content_length=read_content_length(fields),
        content_digests=_content_digests(fields),
        ends_at_length=True,
    )


def _promised_length(fields: Fields) -> int | None:
    """Return Upload-Length, or None where it is put off to an append ("POST")."""
    length, deferred = fields.get("Upload-Length"), fields.get("Upload-Defer-Length")
    if deferred not in (None, "1"):
        raise MalformedField("Upload-Defer-Length", deferred or "", "1, or no such field")
    if (length is None) == (deferred is None):
        raise MalformedField(
            "Upload-Length", length or "", "either this field or Upload-Defer-Length: 1"
        )
    return None if length is None else parse_length("Upload-Length", length)


def _creation_content_length(fields: Fields) -> int | None:
    length = read_content_length(fields)
    if _is_offset_octet_stream(fields):
        return length
    # Some clients give every request a media type; without content it means nothing.
    if length or "Transfer-Encoding" in fields:
        raise UnsupportedContent(fields.get("Content-Type") or "", [OFFSET_OCTET_STREAM])
    return 0


def _content_digests(fields: Fields) -> tuple[ContentDigest, ...]:
    value = fields.get("Upload-Checksum")
    return () if value is None else (parse_checksum(value),)


def _is_offset_octet_stream(fields: Fields) -> bool:
    return essence_of(fields) == OFFSET_OCTET_STREAM


@dataclass(frozen=True, slots=True)
class _Description:
    """What a creation says of the file, and what of it the client wants to be told again."""

    name: str
    media_type: str | None
    notes: FieldLines

    @classmethod
    def of(cls, head: RequestHead) -> _Description:
        value = head.fields.get("Upload-Metadata")
        metadata = parse_metadata(value) if value else {}
        name = _first(metadata, _NAMES)
        return cls(
            name=safe_name(name, DEFAULT_NAME) if name else read_name(head),
            media_type=_media_type(_first(metadata, _MEDIA_TYPES)),
            notes=tuple(
                (name, value)
                for name in ("Upload-Metadata", "Upload-Concat")
                if (value := head.fields.get(name))
            ),
        )


def _first(metadata: Mapping[str, bytes], keys: Sequence[str]) -> str:
    values = (metadata[key].decode("utf-8", "replace") for key in keys if key in metadata)
    return next(values, "")


def _media_type(text: str) -> str | None:
    # A browser that knows none says "", and a client of JavaScript may send "null".
    try:
        return parse_media_type(text).to_field()
    except (MalformedField, ValueError):  # ValueError: what no field can hold
        return None


def _offset(progress: Progress) -> FieldLines:
    return (("Upload-Offset", str(progress.offset)),)


def _length(progress: Progress) -> FieldLines:
    if progress.complete_length is None:
        return (("Upload-Defer-Length", "1"),)
    return (("Upload-Length", str(progress.complete_length)),)


def _expiry(progress: Progress) -> FieldLines:
    if progress.expires_at is None:
        return ()
    return (("Upload-Expires", format_date(progress.expires_at)),)


def _greatest(limits: Limits) -> FieldLines:
    return () if limits.length is None else (("Tus-Max-Size", str(limits.length)),)


def _head(status: int, *fields: tuple[str, str]) -> ResponseHead:
    return ResponseHead(status, (_RESUMABLE, *fields))


def _problem(error: TailraceError, status: int) -> Problem:
    return dataclasses.replace(problem_for(error), status=status)
