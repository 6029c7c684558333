"""Seals that the catalogue has not heard of."""

import asyncio
import hashlib

import pytest

from tailrace.catalogue import FileState, Origin
from tailrace.errors import FileEnded, StorageUnavailable
from tailrace.intake.late_seals import finish_sealing

pytestmark = pytest.mark.anyio


async def content(*chunks):
    for chunk in chunks:
        yield chunk


async def sealed_too_early(room):
    """Return the record of a file whose seal the catalogue failed to note."""
    file = await room.files.begin(name="a", media_type="text/plain", origin=Origin.UPLOAD)
    await file.fill(content(b"abc"))
    room.break_catalogue()
    with pytest.raises(StorageUnavailable):
        await file.seal()
    room.repair_catalogue()
    await file.release()
    return file.record


async def test_what_the_catalogue_missed_is_noted(any_room):
    record = await sealed_too_early(any_room)
    await finish_sealing(any_room.files, record)
    [file] = await any_room.records()
    assert (file.state, file.length) == (FileState.SEALED, 3)
    assert file.sha256 == hashlib.sha256(b"abc").digest()
    await any_room.check()


async def test_to_note_it_twice_or_at_once_changes_nothing(any_room):
    record = await sealed_too_early(any_room)
    await asyncio.gather(*(finish_sealing(any_room.files, record) for _ in range(3)))
    first = await any_room.records()
    await finish_sealing(any_room.files, record)
    assert await any_room.records() == first


async def test_a_file_that_was_deleted_meanwhile_has_ended(any_room):
    record = await sealed_too_early(any_room)
    await any_room.store.remove(record.blob)
    with pytest.raises(FileEnded):
        await finish_sealing(any_room.files, record)


async def test_a_seal_that_was_only_late_is_left_to_whoever_notes_it(any_room):
    file = await any_room.files.begin(name="a", media_type="text/plain", origin=Origin.UPLOAD)
    record = file.record
    await file.seal()
    [before] = await any_room.records()
    await finish_sealing(any_room.files, record)
    assert await any_room.records() == [before]
