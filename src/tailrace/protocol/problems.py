"""Problem details (RFC 9457), and the one table from errors to them.

    {"type": "urn:tailrace:offset-mismatch", "title": ..., "status": 409, "detail": ...,
     "expected": 100, "received": 0}

Type and status of a problem are part of our interface and never change; title and detail
are for people. What an error knows becomes an extension member (§3.2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tailrace import errors
from tailrace.errors import TailraceError

MEDIA_TYPE = "application/problem+json"

_URN = "urn:tailrace:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem details object (§3). `status` is that of the response."""

    status: int
    type: str
    title: str
    detail: str
    extensions: Mapping[str, object] = field(default_factory=dict, hash=False)

    def to_json(self) -> bytes:
        members = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
        }
        text = json.dumps(members, ensure_ascii=False, default=_json_value)
        # A lone surrogate, from a name that somebody sent, is no reason to fail twice.
        return text.encode("utf-8", "replace")


PRECONDITION_FAILED = Problem(
    412,
    _URN + "precondition-failed",
    "A precondition is false",
    "The file is not in the state that the request requires.",
)


def problem_for(error: TailraceError) -> Problem:
    """Return the problem of an error: that of its class, or of the nearest class above."""
    row = next(_TABLE[ancestor] for ancestor in type(error).__mro__ if ancestor in _TABLE)
    facts = {member: getattr(error, name) for member, name in row.facts.items()}
    return Problem(
        row.status,
        _URN + row.slug,
        row.title,
        row.detail or str(error) or f"{row.title}.",
        {member: fact for member, fact in facts.items() if fact is not None},
    )


def method_not_allowed(method: str, allowed: Sequence[str]) -> Problem:
    """Return the problem of a 405, whose response needs an Allow field as well (§15.5.6 of
    RFC 9110)."""
    return Problem(
        405,
        _URN + "method-not-allowed",
        "The method is not allowed here",
        f"{method} is not allowed here; use {' or '.join(allowed)}.",
        {"allowed": list(allowed)},
    )


def range_not_satisfiable(length: int, complete_length: int | None) -> Problem:
    """Return the problem of a 416 for a file that now has length bytes.

    `complete_length` is None where it is not yet known.
    """
    extensions = {"length": length}
    if complete_length is not None:
        extensions["complete_length"] = complete_length
    return Problem(
        416,
        _URN + "range-not-satisfiable",
        "No byte of the range exists",
        f"The file has {length} bytes; the range asked for lies beyond them.",
        extensions,
    )


def _json_value(value: object) -> object:
    # Errors carry a Mapping or a Sequence of any make; json knows dict, list and tuple.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{value!r} cannot be a member of a problem")


@dataclass(frozen=True, slots=True)
class _Row:
    """`facts` maps extension members to attributes of the error. `detail` stands in for the
    message of the error where that speaks to us and not to the client."""

    status: int
    slug: str
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    detail: str | None = None


_TABLE: Mapping[type, _Row] = {
    errors.ProtocolError: _Row(400, "bad-request", "The request breaks a rule"),
    errors.MalformedField: _Row(
        400,
        "malformed-field",
        "A header field cannot be read",
        {"field": "name", "expected": "expected"},
    ),
    errors.MalformedContent: _Row(400, "malformed-content", "The content cannot be read"),
    errors.InvalidArguments: _Row(
        422, "invalid-arguments", "Arguments have wrong values", {"errors": "errors"}
    ),
    errors.UnsupportedContent: _Row(
        415,
        "unsupported-content",
        "The media type is not taken here",
        {"media_type": "media_type", "accepted": "accepted"},
    ),
    errors.UnsupportedDialect: _Row(
        400, "unsupported-dialect", "The upload protocol is not spoken here"
    ),
    errors.OffsetMismatch: _Row(
        409,
        "offset-mismatch",
        "The bytes do not go on where the upload ends",
        {"expected": "expected", "received": "received"},
    ),
    errors.LengthMismatch: _Row(
        400,
        "length-mismatch",
        "Lengths contradict each other",
        {"expected": "expected", "received": "received"},
    ),
    errors.LengthExceeded: _Row(
        413,
        "limit-exceeded",
        "More bytes than are taken here",
        {"limit": "limit", "received": "received"},
    ),
    errors.DigestMismatch: _Row(
        400,
        "digest-mismatch",
        "The content is not what its digest says",
        {"algorithm": "algorithm", "expected": "expected", "actual": "actual"},
    ),
    # draft-ietf-httpapi-idempotency-key-header §2.7
    errors.KeyReused: _Row(422, "key-reused", "The idempotency key stands for another request"),
    errors.AccessDenied: _Row(401, "access-denied", "A credential is missing or wrong"),
    errors.ForeignRequest: _Row(403, "foreign-request", "The request is not for this service"),
    errors.ServiceBusy: _Row(
        503,
        "busy-service",
        "The service has too much to do",
        {"retry_after_seconds": "retry_after_seconds"},
    ),
    errors.NotFound: _Row(404, "not-found", "Nothing is known by this name"),
    errors.ProducerNotKnown: _Row(
        404,
        "producer-not-known",
        "There is no such producer",
        {"producer": "name", "known": "known"},
    ),
    errors.Gone: _Row(410, "gone", "It was here and has ended"),
    errors.BlobMissing: _Row(
        404, "bytes-missing", "The bytes are not here", detail="There are no such bytes."
    ),
    errors.BlobSealed: _Row(
        409, "sealed", "The file is finished", detail="The file takes no more bytes."
    ),
    errors.BlobAbandoned: _Row(
        410,
        "abandoned",
        "The file was given up",
        detail="Its writer gave up; what there was of the file is not the whole.",
    ),
    errors.BlobBusy: _Row(
        423,
        "busy",
        "Somebody else is writing",
        detail="Another request is writing this file; try again when it has ended.",
    ),
    errors.StorageFull: _Row(
        507,
        "storage-full",
        "There is no room",
        detail="There is no room for more bytes; what was acknowledged is kept.",
    ),
    errors.StorageUnavailable: _Row(
        503,
        "storage-unavailable",
        "The store does not answer",
        detail="The store did not do its work; try again later.",
    ),
    errors.ProducerError: _Row(
        500,
        "producer-failed",
        "The producer failed",
        detail="The producer failed before the file was whole.",
    ),
    errors.CommandFailed: _Row(500, "command-failed", "The command failed"),
    errors.TimeLimitExceeded: _Row(
        500, "time-limit-exceeded", "The run took too long", {"limit_seconds": "limit_seconds"}
    ),
    # Never sent, for nobody is there to read it; some log it.
    errors.ClientDisconnected: _Row(400, "client-disconnected", "The client left"),
    TailraceError: _Row(
        500,
        "internal-error",
        "Something failed on our side",
        detail="Something failed on our side; the request itself may be right.",
    ),
}
