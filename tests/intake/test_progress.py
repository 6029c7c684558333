"""How far an upload has come, as the records and a length say it."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.blobs import BlobKey
from tailrace.catalogue import FileId, FileRecord, FileState, Origin, UploadRecord
from tailrace.intake.progress import progress_of, state_of
from tailrace.protocol.uploads import Limits
from tailrace.protocol.uploads.upload import UploadState

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(length=100, lifetime=24 * HOUR)

FILE = FileRecord(
    id=FileId("f"),
    name="a.txt",
    media_type="text/plain",
    blob=BlobKey("b"),
    state=FileState.GROWING,
    length=None,
    complete_length=8,
    sha256=None,
    origin=Origin.UPLOAD,
    created_at=NOON,
    sealed_at=None,
    expires_at=None,
    ended_at=None,
    reason=None,
)
UPLOAD = UploadRecord(
    key_hash=b"k",
    file_id=FILE.id,
    created_at=NOON,
    expires_at=NOON + HOUR,
    repr_digest=None,
    notes=None,
    is_partial=False,
)


@pytest.mark.parametrize(
    ("file", "passed", "state"),
    [
        ({}, timedelta(0), UploadState.EXPECTING),
        ({}, HOUR, UploadState.EXPIRED),
        ({"state": FileState.SEALED}, 2 * HOUR, UploadState.COMPLETE),
        ({"state": FileState.SEALED, "ended_at": NOON}, HOUR, UploadState.CANCELLED),
        ({"state": FileState.ABANDONED}, 2 * HOUR, UploadState.CANCELLED),
    ],
)
def test_the_state_is_that_of_the_file_and_then_that_of_the_time(file, passed, state):
    assert state_of(UPLOAD, dataclasses.replace(FILE, **file), NOON + passed) is state


def test_an_upload_that_waits_has_the_rest_of_its_time():
    progress = progress_of(UPLOAD, FILE, 3, LIMITS, NOON + HOUR / 4)
    assert (progress.offset, progress.complete_length, progress.is_complete) == (3, 8, False)
    assert (progress.expires_at, progress.limits.lifetime) == (NOON + HOUR, HOUR * 3 / 4)


def test_a_whole_upload_ends_at_no_time():
    progress = progress_of(
        UPLOAD, dataclasses.replace(FILE, state=FileState.SEALED), 8, LIMITS, NOON
    )
    assert (progress.is_complete, progress.expires_at, progress.limits) == (True, None, LIMITS)
