"""Uploads that are parts of a file."""

import dataclasses
from datetime import UTC, datetime

import pytest

from tailrace.blobs import BlobKey
from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import FileId, FileRecord, FileState, Origin, UploadRecord
from tailrace.errors import PartNotReady
from tailrace.intake.joining import Part, whole_part

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

FILE = FileRecord(
    id=FileId("f"),
    name="a.txt",
    media_type="text/plain",
    blob=BlobKey("b" * 32),
    state=FileState.GROWING,
    length=None,
    complete_length=3,
    sha256=None,
    origin=Origin.UPLOAD,
    created_at=NOON,
    sealed_at=None,
    expires_at=None,
    ended_at=None,
    reason=None,
)
PART = UploadRecord(
    key_hash=b"k",
    file_id=FILE.id,
    created_at=NOON,
    expires_at=None,
    repr_digest=None,
    notes=None,
    is_partial=True,
)


@pytest.fixture
async def store():
    """A store in which the file has three bytes."""
    store = MemoryBlobs()
    writer = await store.create(FILE.blob)
    await writer.append(0, [b"abc"])
    await writer.release()
    return store


async def test_a_part_that_has_all_its_bytes_is_whole(store):
    assert await whole_part(1, PART, FILE, store) == Part(b"k", FILE.blob, 3)


@pytest.mark.parametrize(("promised", "has"), [(5, "has 3 of 5 bytes"), (None, "has 3 bytes")])
async def test_whoever_joins_too_early_is_told_which_part_is_not_whole(store, promised, has):
    file = dataclasses.replace(FILE, complete_length=promised)
    with pytest.raises(PartNotReady, match=f"upload 2 .* {has}; send the rest"):
        await whole_part(2, PART, file, store)


async def test_what_was_not_begun_as_a_part_is_none(store):
    upload = dataclasses.replace(PART, is_partial=False)
    with pytest.raises(PartNotReady, match="not begun as a part"):
        await whole_part(1, upload, FILE, store)
