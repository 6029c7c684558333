"""Upload dialects: how a client says what it uploads, and how it is told what came of it.

A new dialect is one more file like `tus`, and its name in `_DIALECTS`.
"""

from __future__ import annotations

from tailrace.errors import UnsupportedDialect
from tailrace.protocol.fields import FieldLines
from tailrace.protocol.uploads import plain, rufh, tus
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
from tailrace.protocol.uploads.dialect import Dialect, Refusal, RequestHead, ResponseHead
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
from tailrace.protocol.uploads.upload import UploadState, require_expecting

__all__ = [
    "Append",
    "Appended",
    "Begun",
    "Cancel",
    "Cancelled",
    "Command",
    "Concatenate",
    "ContentDigest",
    "Create",
    "Created",
    "Dialect",
    "FieldLines",
    "Inspect",
    "Inspected",
    "Limits",
    "OffsetRetrieved",
    "Outcome",
    "Progress",
    "Refusal",
    "RequestHead",
    "ResponseHead",
    "RetrieveOffset",
    "UploadState",
    "announce",
    "dialect_of",
    "require_expecting",
]

# Asked in this order; what nobody recognizes before is plain.
_DIALECTS: tuple[Dialect, ...] = (tus, rufh, plain)


def dialect_of(head: RequestHead) -> Dialect:
    """Return the dialect of a request to create an upload, or to one that was created.

    Raises:
        UnsupportedDialect: it is one that is not spoken here.
    """
    for dialect in _DIALECTS:
        if dialect.recognizes(head):
            return dialect
    raise UnsupportedDialect(f"no upload protocol spoken here has a {head.method} request")


def announce(limits: Limits) -> ResponseHead:
    """Return the answer to OPTIONS on the resource that creates uploads."""
    fields = [line for dialect in _DIALECTS for line in dialect.announce(limits)]
    return ResponseHead(204, tuple(fields))
