"""What the catalogue knows, as frozen values; a change is a new value.

All moments are aware datetimes in UTC; all lengths are bytes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from tailrace.blobs import BlobKey

FileId = NewType("FileId", str)
LinkId = NewType("LinkId", str)


class FileState(enum.Enum):
    GROWING = "growing"
    """Its writer may add bytes."""
    SEALED = "sealed"
    """Whole."""
    ABANDONED = "abandoned"
    """Its writer gave up; `reason` says why. It has no bytes."""


class Origin(enum.Enum):
    UPLOAD = "upload"
    JOB = "job"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file: a name, a media type and one blob."""

    id: FileId
    name: str
    media_type: str
    blob: BlobKey
    state: FileState
    length: int | None
    """Once sealed; while it grows only the blob knows."""
    complete_length: int | None
    """What the writer promised, where it did; the length once sealed."""
    sha256: bytes | None
    """32 bytes, once sealed."""
    origin: Origin
    created_at: datetime
    sealed_at: datetime | None
    expires_at: datetime | None
    """When it ends by itself; None is never."""
    ended_at: datetime | None
    """When it was deleted or had expired; from then on it has no bytes, only this record."""
    reason: str | None
    """Why it was abandoned or has ended, for people."""
    abandoned_at: datetime | None = None
    """When its writer gave up."""


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A capability to read one file. Its token is known by hash only."""

    id: LinkId
    file_id: FileId
    token_hash: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """A capability to write one file until it is sealed. Its key is known by hash only."""

    key_hash: bytes
    file_id: FileId
    created_at: datetime
    expires_at: datetime | None
    """When it is given up unless more bytes come before; None where all bytes must come in
    the request that began it, so that nothing can be resumed."""
    repr_digest: str | None
    """What the whole is to have, as a Repr-Digest field value, where its client said so."""
    notes: str | None = None
    """What its client is told again, as a JSON list of field names and values."""
    is_partial: bool = False
    """It is to become a part of another file, and is never a whole one itself."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One run of a producer, until its file is sealed or given up and some time after."""

    file_id: FileId
    producer: str
    arguments: str
    """As they were given: a JSON object, its members in order."""
    key_hash: bytes | None
    """Of the key by which its client may ask for it again; of no other living file."""
    is_for_reader: bool
    """It ends with the request that began it: nobody takes it up again."""
    submitted_at: datetime
    deadline_at: datetime
    """When it is given up if it has not ended."""
    due_at: datetime | None
    """When a worker may take it: at once, after a pause, or when the worker who has it has
    given no sign for too long. None once it has ended."""
    worker: str | None
    """Who runs it; None while it waits."""
    attempts: int
    """How often it was begun."""
    progress: str | None
    """How far its producer last said it is: a JSON object."""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """An API key of an owner, known by hash only."""

    name: str
    key_hash: bytes
    created_at: datetime
