"""Resumable Uploads for HTTP, the server's side (draft-ietf-httpbis-resumable-upload).

A careful creation, an append that completes it, and what a client asks in between when its
connection was cut:

    POST /uploads                              201 Created
    Content-Disposition: inline; filename="a"  Location: /uploads/KEY
    Upload-Complete: ?0                        Link: </l/TOKEN>; rel="alternate"
    Upload-Length: 100                         Upload-Complete: ?0
    Content-Length: 0                          Upload-Offset: 0
                                               Upload-Limit: max-size=1000, max-age=86400

    HEAD /uploads/KEY                          204 No Content
                                               Upload-Complete: ?0
                                               Upload-Offset: 40
                                               Upload-Limit: max-size=1000, max-age=86400
                                               Upload-Length: 100
                                               Cache-Control: no-store

    PATCH /uploads/KEY                         200 OK
    Content-Type: application/partial-upload   Upload-Complete: ?1
    Upload-Complete: ?1                        Upload-Offset: 100
    Upload-Offset: 40                          Upload-Limit: max-size=1000, max-age=86400
    Content-Length: 60

A PATCH with `Upload-Complete: ?0` is answered 204, DELETE too; GET is HEAD with content.
A wrong offset is answered 409, with the right one in Upload-Offset. Fields with values of
another type than theirs are as good as absent (§4.1).

Sections are those of version 12. Of what came later: version 13 (interop version 10) lets
a HEAD go without Upload-Complete and Upload-Length, which we keep on sending. Of what came
before: until interop version 5 appends had no media type, and until version 11 there was a
problem type for an upload that is complete, which still says it best.

To a client of our interop version, and no other, an interim response can tell the place of the
upload before its content has come, so that it can go on also if all came in the creation:

    104 Upload Resumption Supported
    Location: /uploads/KEY
    Upload-Limit: max-size=1000, max-age=86400
    Upload-Draft-Interop-Version: 10
"""

from __future__ import annotations

import dataclasses
from typing import assert_never

from tailrace.errors import (
    ContentDigestMismatch,
    DigestMismatch,
    LengthExceeded,
    LengthMismatch,
    MalformedField,
    OffsetMismatch,
    TailraceError,
    UnsupportedContent,
    UploadComplete,
)
from tailrace.protocol import digests, structured
from tailrace.protocol.fields import FieldLines, Fields
from tailrace.protocol.media_types import essence_of
from tailrace.protocol.problems import Problem, problem_for
from tailrace.protocol.uploads.commands import (
    Append,
    Cancel,
    Command,
    ContentDigest,
    Create,
    Inspect,
    RetrieveOffset,
)
from tailrace.protocol.uploads.dialect import (
    GREATEST_LENGTH,
    Refusal,
    RequestHead,
    ResponseHead,
)
from tailrace.protocol.uploads.metadata import (
    read_content_length,
    read_creation,
    read_digests,
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

INTEROP_VERSION = 10
"""What a client puts in `Upload-Draft-Interop-Version`, until the draft is an RFC."""

PARTIAL_UPLOAD = "application/partial-upload"
"""The media type of what is appended (§6)."""

_FIRST_WITH_MEDIA_TYPE = 6
_LAST_OF_TUS_JS_CLIENT = 6

_PROBLEM_TYPE = "https://iana.org/assignments/http-problem-types#"
_NO_STORE = ("Cache-Control", "no-store")


def recognizes(head: RequestHead) -> bool:
    # What is asked of an upload resource needs no mark: HEAD and DELETE have none. A POST
    # with the mark of an append is ours to refuse; elsewhere it would pass for a whole.
    return (
        head.method in ("HEAD", "GET", "PATCH", "DELETE")
        or _boolean(head.fields, "Upload-Complete") is not None
        or _integer(head.fields, "Upload-Offset") is not None
        or _is_partial_upload(head.fields)
    )


def parse(head: RequestHead) -> Command:
    match head.method:
        case "HEAD":
            return RetrieveOffset(ends_at_length=_ends_at_length(head.fields))
        case "GET":
            return Inspect()
        case "PATCH":
            return _append(head.fields)
        case "DELETE":
            return Cancel()
        case _:  # any other method can begin an upload (§4.2.1)
            return _creation(head)


def answer(outcome: Outcome) -> ResponseHead:
    match outcome:
        case Created(progress=progress):
            return ResponseHead(201, (*outcome.fields, *_state(progress)))
        case Begun(progress=progress):  # §5; its version, until the draft is an RFC
            version = ("Upload-Draft-Interop-Version", str(INTEROP_VERSION))
            return ResponseHead(104, (*outcome.fields, *announce(progress.limits), version))
        case Appended(progress):
            return ResponseHead(200 if progress.is_complete else 204, _state(progress))
        case OffsetRetrieved(progress):
            return ResponseHead(204, (*_state(progress), *_length(progress), _NO_STORE))
        case Inspected(progress):
            return ResponseHead(200, (*_state(progress), *_length(progress), _NO_STORE))
        case Cancelled():
            return ResponseHead(204, ())
        case _:
            assert_never(outcome)


def refuse(error: TailraceError, limits: Limits) -> Refusal:
    """As `Dialect.refuse`. `Upload-Complete: ?0` says: this is about the upload only (§4.1.2).

    `?1` says that the file itself was judged, and that there is nothing to resume.
    """
    incomplete = ("Upload-Complete", "?0")
    match error:
        case OffsetMismatch():  # §4.4.2, §7.1
            problem = _problem(
                error,
                "mismatching-upload-offset",
                "Mismatching Upload Offset",
                {"expected-offset": error.expected, "provided-offset": error.received},
            )
            return Refusal(problem, (incomplete, ("Upload-Offset", str(error.expected))))
        case LengthMismatch():  # §4.1.3, §7.2
            problem = _problem(
                error, "inconsistent-upload-length", "Inconsistent Upload Length Values", {}
            )
            return Refusal(problem, (incomplete,))
        case LengthExceeded():  # §4.1.4
            return Refusal(fields=(incomplete, *announce(limits)))
        case UnsupportedContent() if PARTIAL_UPLOAD in error.accepted:  # RFC 5789 §2.2
            return Refusal(fields=(incomplete, ("Accept-Patch", PARTIAL_UPLOAD)))
        case UploadComplete():  # version 11, §7.2
            problem = _problem(error, "completed-upload", "Upload Is Completed", {})
            return Refusal(dataclasses.replace(problem, status=400), (incomplete,))
        case ContentDigestMismatch():
            return Refusal(fields=(incomplete,))
        case DigestMismatch():
            return Refusal(fields=(("Upload-Complete", "?1"),))
        case _:
            return Refusal(fields=(incomplete,))


def announce(limits: Limits) -> FieldLines:
    # §4.1.4: where there are no limits, one that says nothing stands for them.
    members = {}
    if limits.length is not None:
        members["max-size"] = min(limits.length, GREATEST_LENGTH)
    if limits.lifetime is not None:
        members["max-age"] = max(int(limits.lifetime.total_seconds()), 0)
    items = {key: structured.Item(value) for key, value in (members or {"min-size": 0}).items()}
    return (("Upload-Limit", structured.serialize_dictionary(items)),)


def _creation(head: RequestHead) -> Create:
    is_complete = _required_completeness(head.fields)
    content_length = read_content_length(head.fields)
    creation = read_creation(
        head,
        is_complete=is_complete,
        complete_length=_complete_length(head.fields, 0, content_length, is_complete),
        content_length=content_length,
    )
    if _is_partial_upload(head.fields):  # the type of this content, not of the file
        creation = dataclasses.replace(creation, media_type=None)
    # Of an empty creation the final answer comes as soon.
    takes_interim = _interop_version(head.fields) == INTEROP_VERSION and content_length != 0
    return dataclasses.replace(
        creation,
        # Where it is complete, its digest is that of the whole, and judged with it.
        content_digests=() if is_complete else _content_digests(head.fields),
        ends_at_length=_ends_at_length(head.fields),
        takes_interim=takes_interim,
    )


def _append(fields: Fields) -> Append:
    if not _is_partial_upload(fields) and not _predates_media_type(fields):
        raise UnsupportedContent(fields.get("Content-Type") or "", [PARTIAL_UPLOAD])
    offset = _integer(fields, "Upload-Offset")
    if offset is None:
        raise MalformedField(
            "Upload-Offset", fields.get("Upload-Offset") or "", "a number of bytes"
        )
    is_complete = _required_completeness(fields)
    content_length = read_content_length(fields)
    return Append(
        offset=offset,
        complete_length=_complete_length(fields, offset, content_length, is_complete),
        is_complete=is_complete,
        content_length=content_length,
        digests=read_digests(fields, is_whole=False),
        content_digests=_content_digests(fields),
        ends_at_length=_ends_at_length(fields),
    )


def _content_digests(fields: Fields) -> tuple[ContentDigest, ...]:  # §10.2
    given = digests.parse(fields.get("Content-Digest") or "", "Content-Digest")
    return tuple(ContentDigest(algorithm, digest) for algorithm, digest in given.items())


def _complete_length(
    fields: Fields, offset: int, content_length: int | None, is_complete: bool
) -> int | None:
    """Return the length of the whole file, as far as the request tells it (§4.1.3)."""
    upload_length = _integer(fields, "Upload-Length")
    if content_length is None:
        return upload_length
    stop = offset + content_length
    if upload_length is None:
        return stop if is_complete else None
    if stop > upload_length or (is_complete and stop != upload_length):
        raise LengthMismatch(upload_length, stop)
    return upload_length


def _required_completeness(fields: Fields) -> bool:
    is_complete = _boolean(fields, "Upload-Complete")
    if is_complete is None:
        raise MalformedField(
            "Upload-Complete",
            fields.get("Upload-Complete") or "",
            "?1 where this content is the rest of the file, or ?0 where more is to come",
        )
    return is_complete


def _is_partial_upload(fields: Fields) -> bool:
    return essence_of(fields) == PARTIAL_UPLOAD


def _predates_media_type(fields: Fields) -> bool:
    version = _interop_version(fields)
    return version is not None and version < _FIRST_WITH_MEDIA_TYPE


def _ends_at_length(fields: Fields) -> bool:
    # tus-js-client up to 4.3 says "?0" with the last chunk of a file as well, and takes an
    # offset at the length for the end.
    version = _interop_version(fields)
    return version is not None and version <= _LAST_OF_TUS_JS_CLIENT


def _interop_version(fields: Fields) -> int | None:
    return _integer(fields, "Upload-Draft-Interop-Version")


def _boolean(fields: Fields, name: str) -> bool | None:
    value = _item(fields, name)
    return value if isinstance(value, bool) else None


def _integer(fields: Fields, name: str) -> int | None:
    value = _item(fields, name)
    # Not isinstance: a Boolean is an int in Python, but no Integer.
    return value if type(value) is int and value >= 0 else None


def _item(fields: Fields, name: str) -> structured.BareItem | None:
    try:
        return structured.parse_item(fields.get(name) or "").value
    except structured.Malformed:
        return None


def _state(progress: Progress) -> FieldLines:
    return (
        ("Upload-Complete", "?1" if progress.is_complete else "?0"),
        ("Upload-Offset", str(progress.offset)),
        *announce(progress.limits),
    )


def _length(progress: Progress) -> FieldLines:
    if progress.complete_length is None:
        return ()
    return (("Upload-Length", str(progress.complete_length)),)


def _problem(
    error: TailraceError, name: str, title: str, extensions: dict[str, object]
) -> Problem:
    return dataclasses.replace(
        problem_for(error), type=_PROBLEM_TYPE + name, title=title, extensions=extensions
    )
