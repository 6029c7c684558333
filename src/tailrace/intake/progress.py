"""How far an upload has come, as the records and a length say it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from tailrace.catalogue import FileRecord, FileState, LinkRecord, UploadRecord
from tailrace.intake.upload_records import UploadKey, notes_of
from tailrace.protocol.uploads import Limits, Progress
from tailrace.protocol.uploads.upload import UploadState


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is being uploaded, as far as it has come."""

    key: UploadKey
    file: FileRecord
    link: LinkRecord
    progress: Progress


def state_of(upload: UploadRecord, file: FileRecord, now: datetime) -> UploadState:
    if file.state is FileState.ABANDONED or file.ended_at is not None:
        return UploadState.CANCELLED
    if file.state is FileState.SEALED:
        return UploadState.COMPLETE
    if upload.expires_at is not None and upload.expires_at <= now:
        return UploadState.EXPIRED
    return UploadState.EXPECTING


def progress_of(
    upload: UploadRecord, file: FileRecord, length: int, limits: Limits, now: datetime
) -> Progress:
    """Return the progress of an upload whose file has `length` bytes now.

    `limits` are those of a new upload; this one has only the rest of its time.
    """
    is_complete = file.state is FileState.SEALED
    expires_at = None if is_complete else upload.expires_at
    if expires_at is not None:
        limits = dataclasses.replace(limits, lifetime=expires_at - now)
    return Progress(
        offset=length,
        is_complete=is_complete,
        complete_length=file.complete_length,
        limits=limits,
        expires_at=expires_at,
        notes=notes_of(upload),
    )
