"""Everything tailrace raises, under one root.

    TailraceError
    ├── ProtocolError            the other side broke a rule
    │   ├── MalformedField       a header field that cannot be read
    │   ├── MalformedContent     content that cannot be read (broken multipart, bad JSON)
    │   ├── InvalidArguments     readable arguments with wrong values
    │   ├── UnsupportedContent   a media type we do not take here
    │   ├── UnsupportedDialect   an upload protocol, or a version of one, we do not speak
    │   ├── OffsetMismatch       an append elsewhere than at the end
    │   ├── LengthMismatch       lengths that contradict each other or the content
    │   ├── LengthExceeded       more bytes than the limit
    │   ├── DigestMismatch       bytes that are not what their digest says
    │   │   └── ContentDigestMismatch   those of one request; none of them was kept
    │   ├── PartNotReady         a part of a concatenation that cannot be joined (yet)
    │   ├── KeyReused            an idempotency key that stands for another request
    │   └── AccessDenied         a missing or wrong credential
    │       └── ForeignRequest   sent by a page, or for a host, of somebody else
    ├── NotFound                 no such thing is known here
    │   ├── FileNotKnown · LinkNotKnown · UploadNotKnown · ProducerNotKnown
    ├── Gone                     it was here, and its end is known
    │   ├── FileEnded · LinkExpired · LinkRevoked
    │   └── UploadEnded          an upload that takes no more bytes
    │       └── UploadComplete   because it has them all
    ├── StorageError             our side could not keep or give bytes
    │   ├── BlobMissing · BlobSealed · BlobAbandoned · BlobBusy
    │   └── StorageFull · StorageUnavailable
    ├── ServiceBusy              more work than is taken on at once
    ├── JobKnown                 a run was asked for before, by the same key
    ├── ProducerError            a producer raised; its error is the cause
    │   ├── CommandFailed        a command ended badly
    │   └── TimeLimitExceeded    a run took longer than it may
    ├── ClientDisconnected       the other side left; not a fault of ours or theirs
    ├── TransferError            (client) a transfer failed
    │   ├── RepresentationChanged · Refused · ConnectionLost · UnsafeTarget
    └── ConfigurationError       a setting that cannot work; also a ValueError

Errors carry facts as attributes. What they mean in HTTP is the business of one table,
`tailrace.protocol.problems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class TailraceError(Exception):
    """The root of all errors that tailrace raises on purpose."""


# --- the other side broke a rule ---------------------------------------------------------


class ProtocolError(TailraceError):
    """The other side broke a rule."""


class MalformedField(ProtocolError):
    """A header field whose value cannot be read."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(
            f"the field {name}: {value[:200]!r} cannot be read; expected {expected}"
        )
        self.name = name
        self.value = value
        self.expected = expected


class MalformedContent(ProtocolError):
    """Content that cannot be read as what it claims to be."""


class InvalidArguments(ProtocolError):
    """Arguments that can be read but are wrong.

    `errors` has one mapping for each, with "field" and "detail".
    """

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['detail']}" for error in errors))
        self.errors = errors


class UnsupportedContent(ProtocolError):
    """A media type that is not taken here."""

    def __init__(self, media_type: str, accepted: Sequence[str]) -> None:
        super().__init__(f"{media_type!r} is not taken here; send {' or '.join(accepted)}")
        self.media_type = media_type
        self.accepted = accepted


class UnsupportedDialect(ProtocolError):
    """An upload protocol, or a version of one, that we do not speak."""


class OffsetMismatch(ProtocolError):
    """An append at another offset than the durable length."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(f"bytes were sent for offset {received}, but the next is {expected}")
        self.expected = expected
        self.received = received


class LengthMismatch(ProtocolError):
    """A length that contradicts another, or the content itself."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(f"{expected} bytes were promised, {received} came")
        self.expected = expected
        self.received = received


class LengthExceeded(ProtocolError):
    """More bytes than the limit allows."""

    def __init__(self, limit: int, received: int | None = None) -> None:
        super().__init__(f"at most {limit} bytes are taken here")
        self.limit = limit
        self.received = received


class DigestMismatch(ProtocolError):
    """Content whose digest is not the one that was promised. Digests are in hexadecimal."""

    def __init__(self, algorithm: str, expected: str, actual: str) -> None:
        super().__init__(f"the {algorithm} digest is {actual}, but {expected} was promised")
        self.algorithm = algorithm
        self.expected = expected
        self.actual = actual


class ContentDigestMismatch(DigestMismatch):
    """The content of one request; none of it was kept, so that it can be sent again."""


class PartNotReady(ProtocolError):
    """A part of a concatenation that is not whole yet, or was not begun as one."""


class KeyReused(ProtocolError):
    """An idempotency key that was sent before, with another request."""


class AccessDenied(ProtocolError):
    """A credential that is missing or wrong."""


class ForeignRequest(AccessDenied):
    """A request that a browser sent for somebody else's page, or to another's host name."""


# --- no such thing ------------------------------------------------------------------------


class NotFound(TailraceError):
    """No such thing is known here."""


class FileNotKnown(NotFound):
    """No file has this id."""


class LinkNotKnown(NotFound):
    """No link has this token."""


class UploadNotKnown(NotFound):
    """No upload has this key."""


class ProducerNotKnown(NotFound):
    """No producer has this name. `known` lists those there are."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        listing = ", ".join(known) or "none"
        super().__init__(f"there is no producer {name!r}; there are: {listing}")
        self.name = name
        self.known = known


class Gone(TailraceError):
    """It was here once; how it ended is known."""


class FileEnded(Gone):
    """The file was deleted, has expired or was abandoned."""


class LinkExpired(Gone):
    """The link's time is over."""


class LinkRevoked(Gone):
    """The link was taken back by its owner."""


class UploadEnded(Gone):
    """The upload was finished, cancelled or has expired; it takes no more bytes."""


class UploadComplete(UploadEnded):
    """The upload is whole; it takes no more bytes, and its file is there."""


# --- our side could not keep or give bytes ------------------------------------------------


class StorageError(TailraceError):
    """Our side could not keep or give bytes."""


class BlobMissing(StorageError):
    """The store has no such blob."""


class BlobSealed(StorageError):
    """The blob is finished; it takes no more bytes."""


class BlobAbandoned(StorageError):
    """The writer gave up; what was read so far is not the whole."""


class BlobBusy(StorageError):
    """Another writer holds the blob, or a blob of this key exists."""


class StorageFull(StorageError):
    """There is no room; what was accepted before is kept."""


class StorageUnavailable(StorageError):
    """The store or the catalogue did not do its work."""


class ServiceBusy(TailraceError):
    """More work than is taken on at once, or none because the service stops; try again."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class JobKnown(TailraceError):
    """A run was asked for before, by the same key. `file_id` is that of its file."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"the file {file_id} is what was asked for by this key")
        self.file_id = file_id


class ProducerError(TailraceError):
    """A producer raised; its error is the cause."""


class CommandFailed(ProducerError):
    """A command ended badly; the message is what it said of it."""


class TimeLimitExceeded(ProducerError):
    """A run took longer than it may."""

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(f"it took longer than the {limit_seconds:g} seconds that it may")
        self.limit_seconds = limit_seconds


class ClientDisconnected(TailraceError):
    """The other side left before the end."""


# --- the client ---------------------------------------------------------------------------


class TransferError(TailraceError):
    """A transfer failed; the message says where it stood and what to do."""


class RepresentationChanged(TransferError):
    """What the URL names changed in the middle of its download."""


class Refused(TransferError):
    """The server answered with an error status. `problem` is its problem details, if any."""

    def __init__(self, message: str, status: int, problem: Mapping[str, object] | None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class ConnectionLost(TransferError):
    """The connection could not be made, was cut, or stalled."""


class UnsafeTarget(TransferError):
    """The target exists, cannot be written, or lies where nothing may be written."""


class ConfigurationError(TailraceError, ValueError):
    """A setting that cannot work; the message says which, and what to do."""
