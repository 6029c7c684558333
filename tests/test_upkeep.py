"""Upkeep: whatever a crash left behind, the next round puts right."""

import asyncio
import dataclasses
import hashlib
import itertools
import logging
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tailrace.blobs import BlobKey, BlobState, BlobStatus
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import (
    FileId,
    FileRecord,
    FileState,
    LinkId,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import BlobMissing, StorageFull, StorageUnavailable
from tailrace.settings import Settings
from tailrace.spans import Span
from tailrace.upkeep import Duty, Upkeep

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
CONTENT = b"abc"
SHA256 = hashlib.sha256(CONTENT).digest()


@dataclass
class Kept:
    """What upkeep looks after, and a clock that is set by hand."""

    store: MemoryBlobs | DirectoryBlobs
    catalogue: object
    database: object
    settings: Settings
    now: datetime = NOON

    def __post_init__(self):
        self._numbers = itertools.count(1)

    @property
    def upkeep(self):
        return Upkeep(self.store, self.catalogue, lambda: self.now, self.settings)

    async def blob(self, state=BlobState.GROWING, key=None):
        """Make a blob that nobody writes any more, and return its key."""
        key = key or BlobKey(f"b{next(self._numbers)}")
        writer = await self.store.create(key)
        await writer.append(0, [CONTENT])
        await (writer.seal() if state is BlobState.SEALED else writer.release())
        return key

    async def record(self, blob=None, upload_expires_at=None, **facts):
        """Make a record known, by default of a growing file whose blob is missing."""
        number = next(self._numbers)
        record = FileRecord(
            id=FileId(f"f{number}"),
            name="a",
            media_type="text/csv",
            blob=blob or BlobKey(f"missing{number}"),
            state=FileState.GROWING,
            length=None,
            complete_length=None,
            sha256=None,
            origin=Origin.UPLOAD,
            created_at=NOON,
            sealed_at=None,
            expires_at=None,
            ended_at=None,
            reason=None,
        )
        record = dataclasses.replace(record, **facts)
        link = LinkRecord(
            LinkId(f"l{number}"), record.id, b"%d" % number, NOON, None, revoked_at=None
        )
        upload = None
        if upload_expires_at is not None:
            upload = UploadRecord(
                _key_hash(record.id), record.id, NOON, upload_expires_at, repr_digest=None
            )
        await self.catalogue.add_file(record, [link], upload)
        return record

    async def sealed(self, key=None, **facts):
        """Make a file that is whole."""
        facts = {
            "state": FileState.SEALED,
            "length": 3,
            "complete_length": 3,
            "sha256": SHA256,
            "sealed_at": NOON,
        } | facts
        return await self.record(await self.blob(BlobState.SEALED, key), **facts)

    async def find(self, record):
        return await self.catalogue.find_file(record.id)

    async def has_blob(self, key):
        try:
            await self.store.status(key)
        except BlobMissing:
            return False
        return True

    async def keys(self):
        return {key async for key in self.store.keys()}

    def execute(self, statement):
        connection = sqlite3.connect(self.database)
        connection.execute(statement)
        connection.close()


def _key_hash(file_id):
    return f"hash of {file_id}".encode()


@pytest.fixture(scope="module")
def new_database(tmp_path_factory):
    """A database whose tables are made; to copy it is a tenth of the time to make one."""
    database = tmp_path_factory.mktemp("catalogue") / "new.db"

    async def make():
        catalogue = await open_catalogue(f"sqlite:///{database}", durability="crash")
        await catalogue.close()

    asyncio.run(make())
    return database


@pytest.fixture
async def in_memory(tmp_path, new_database):
    """What is kept, with its bytes in memory."""
    database = tmp_path / "catalogue.db"
    shutil.copy(new_database, database)
    catalogue = await open_catalogue(f"sqlite:///{database}", durability="crash")
    settings = Settings(data=str(tmp_path), sweep_seconds=0.001)
    yield Kept(MemoryBlobs(), catalogue, database, settings)
    await catalogue.close()


@pytest.fixture(params=["memory", "directory"])
async def kept(request, in_memory, tmp_path):
    """What is kept, with each of the stores."""
    if request.param == "memory":
        yield in_memory
    else:
        in_memory.store = DirectoryBlobs(tmp_path / "blobs")
        yield in_memory
        await in_memory.store.close()


# --- growing files whose writer is gone -----------------------------------------------------


async def test_a_growing_file_whose_bytes_are_missing_is_given_up(kept):
    record = await kept.record()
    await kept.upkeep.sweep()
    found = await kept.find(record)
    assert (found.state, found.reason) == (FileState.ABANDONED, "its bytes were lost")


@pytest.mark.parametrize("expires_at", [None, NOON - SECOND, NOON])
async def test_a_growing_file_that_nobody_writes_or_goes_on_with_is_given_up(kept, expires_at):
    record = await kept.record(await kept.blob(), upload_expires_at=expires_at)
    async with kept.store.open(record.blob) as reader:
        await kept.upkeep.sweep()
        assert reader.status.state is BlobState.ABANDONED
    found = await kept.find(record)
    assert (found.state, found.reason) == (
        FileState.ABANDONED,
        "its writer was lost after 3 bytes",
    )
    assert not await kept.has_blob(record.blob)


async def test_a_growing_file_whose_blob_is_sealed_already_becomes_sealed(kept):
    record = await kept.record(await kept.blob(BlobState.SEALED))
    kept.now += SECOND
    await kept.upkeep.sweep()
    found = await kept.find(record)
    assert (found.state, found.length, found.complete_length) == (FileState.SEALED, 3, 3)
    assert (found.sha256, found.sealed_at) == (SHA256, kept.now)
    assert await kept.has_blob(record.blob)


async def test_where_no_digest_is_kept_none_is_made_up(kept):
    kept.settings = kept.settings.model_copy(update={"digest": None})
    record = await kept.record(await kept.blob(BlobState.SEALED))
    await kept.upkeep.sweep()
    found = await kept.find(record)
    assert (found.state, found.length, found.sha256) == (FileState.SEALED, 3, None)


async def test_a_living_writer_is_left_alone(kept):
    key = BlobKey("living")
    writer = await kept.store.create(key)
    record = await kept.record(key)
    unknown = await kept.store.create(BlobKey("justbegun"))  # its record comes any moment
    await kept.upkeep.sweep()
    assert await kept.find(record) == record
    assert await writer.append(0, [CONTENT]) == 3
    assert await unknown.append(0, [CONTENT]) == 3
    await writer.abandon()
    await unknown.abandon()


async def test_an_upload_that_may_go_on_is_left_alone_until_exactly_its_moment(kept):
    record = await kept.record(await kept.blob(), upload_expires_at=NOON + HOUR)
    kept.now = NOON + HOUR - timedelta(microseconds=1)
    await kept.upkeep.sweep()
    assert await kept.find(record) == record
    writer = await kept.store.resume(record.blob)
    await writer.release()
    kept.now = NOON + HOUR
    await kept.upkeep.sweep()
    assert (await kept.find(record)).state is FileState.ABANDONED


async def test_an_upload_that_got_more_time_in_the_middle_of_a_round_is_left_alone(in_memory):
    record = await in_memory.record(await in_memory.blob(), upload_expires_at=NOON)

    class Extended(MemoryBlobs):
        """An append comes and goes after upkeep has read what grows."""

        async def status(self, key):
            await in_memory.catalogue.extend_upload(_key_hash(record.id), NOON + HOUR)
            return await super().status(key)

    in_memory.store = Extended()
    await in_memory.blob(key=record.blob)
    await in_memory.upkeep.sweep()
    assert await in_memory.find(record) == record
    writer = await in_memory.store.resume(record.blob)
    assert writer.length == 3
    await writer.release()


# --- ends -----------------------------------------------------------------------------------


async def test_a_file_ends_exactly_at_its_moment(kept):
    record = await kept.sealed(expires_at=NOON + HOUR)
    kept.now = NOON + HOUR - timedelta(microseconds=1)
    await kept.upkeep.sweep()
    assert await kept.find(record) == record
    kept.now = NOON + HOUR
    await kept.upkeep.sweep()
    found = await kept.find(record)
    assert (found.ended_at, found.reason) == (kept.now, "it expired")
    assert not await kept.has_blob(record.blob)


async def test_on_a_full_disk_the_bytes_of_what_has_expired_make_room_for_its_record(in_memory):
    class Full:
        """A catalogue that takes nothing while the bytes are there."""

        def __init__(self, catalogue, store):
            self._catalogue, self._store = catalogue, store

        def __getattr__(self, name):
            return getattr(self._catalogue, name)

        async def end_file(self, *arguments, **facts):
            if [key async for key in self._store.keys()]:
                raise StorageFull("there is no room left for the catalogue")
            return await self._catalogue.end_file(*arguments, **facts)

    file = await in_memory.sealed(expires_at=NOON)
    catalogue = in_memory.catalogue
    in_memory.catalogue = Full(catalogue, in_memory.store)
    await in_memory.upkeep.sweep()
    assert (await catalogue.find_file(file.id)).reason == "it expired"
    assert [key async for key in in_memory.store.keys()] == []


async def test_a_file_without_end_stays(kept):
    record = await kept.sealed()
    kept.now = NOON + 10_000 * HOUR
    await kept.upkeep.sweep()
    assert await kept.find(record) == record
    assert await kept.has_blob(record.blob)


async def test_readers_of_a_file_that_has_expired_read_on_to_its_end(kept):
    record = await kept.sealed(expires_at=NOON)
    async with kept.store.open(record.blob) as reader:
        await kept.upkeep.sweep()
        assert not await kept.has_blob(record.blob)
        assert await reader.read(Span(0, 3)) == CONTENT


async def test_an_abandoned_file_ends_with_the_reason_it_was_abandoned_for(kept):
    record = await kept.record(
        state=FileState.ABANDONED, reason="its producer failed", expires_at=NOON
    )
    await kept.upkeep.sweep()
    found = await kept.find(record)
    assert (found.ended_at, found.reason) == (NOON, "its producer failed")


async def test_records_of_ended_files_are_kept_for_a_while_and_then_forgotten(kept):
    record = await kept.record(
        state=FileState.ABANDONED, reason="it expired", expires_at=NOON, ended_at=NOON
    )
    kept.now = NOON + kept.settings.keep_records
    await kept.upkeep.sweep()
    assert await kept.find(record) == record
    kept.now += timedelta(microseconds=1)
    await kept.upkeep.sweep()
    assert await kept.find(record) is None


# --- bytes that nobody knows ----------------------------------------------------------------


async def test_a_growing_blob_without_a_record_is_removed(kept):
    key = await kept.blob(BlobState.GROWING)
    await kept.upkeep.sweep()
    assert not await kept.has_blob(key)


async def test_a_whole_blob_that_was_never_recorded_is_left_and_told(kept, caplog):
    key = await kept.blob(BlobState.SEALED)
    await kept.upkeep.sweep()
    assert await kept.has_blob(key)
    assert f"blob {key} is whole, but the catalogue has never heard of it" in caplog.text


@pytest.mark.parametrize("state", [BlobState.GROWING, BlobState.SEALED])
@pytest.mark.parametrize(
    "facts",
    [
        {"state": FileState.ABANDONED, "reason": "it failed"},
        {"state": FileState.ABANDONED, "reason": "it was deleted", "ended_at": NOON},
    ],
)
async def test_a_blob_whose_file_has_ended_is_removed(kept, state, facts):
    record = await kept.record(await kept.blob(state), **facts)
    await kept.upkeep.sweep()
    assert not await kept.has_blob(record.blob)
    assert await kept.find(record) == record


async def test_a_blob_that_became_a_file_in_the_middle_of_a_round_stays(in_memory):
    key = BlobKey("justbegun")

    class Interleaved(MemoryBlobs):
        """A whole file is made after upkeep has asked for the blobs that are known."""

        async def status(self, key):
            await writer.append(0, [CONTENT])
            await in_memory.record(key)
            await writer.seal()
            return await super().status(key)

    in_memory.store = Interleaved()
    writer = await in_memory.store.create(key)
    await in_memory.upkeep.sweep()
    assert await in_memory.keys() == {key}


# --- many, and rounds -----------------------------------------------------------------------


async def test_a_round_does_all_there_is_however_much(in_memory):
    count = 501  # more than one portion
    for _ in range(count):
        await in_memory.sealed(expires_at=NOON)
    for _ in range(count):
        await in_memory.record(
            state=FileState.ABANDONED, reason="x", ended_at=NOON - 10_000 * HOUR
        )
    known = await in_memory.sealed()
    for number in range(count):
        await in_memory.blob(key=BlobKey(f"orphan{number}"))
    await in_memory.upkeep.sweep()
    assert await in_memory.keys() == {known.blob}
    assert list(await in_memory.catalogue.expired_files(NOON, limit=1)) == []
    assert await in_memory.catalogue.forget_files(NOON, limit=1) == 0


async def test_a_round_over_nothing_does_nothing(kept):
    await kept.upkeep.sweep()
    assert await kept.keys() == set()


class Unreadable(MemoryBlobs):
    """A store with one blob that lies on a bad sector."""

    def __init__(self, key):
        super().__init__()
        self._bad = key

    async def status(self, key) -> BlobStatus:
        if key == self._bad:
            raise StorageUnavailable("Input/output error")
        return await super().status(key)

    async def remove(self, key) -> None:
        if key == self._bad:
            raise StorageUnavailable("Input/output error")
        await super().remove(key)


@pytest.mark.parametrize("kind", ["growing", "expired", "orphan"])
async def test_one_blob_that_cannot_be_read_does_not_hold_up_the_others(
    in_memory, kind, caplog
):
    bad = BlobKey("bad")
    in_memory.store = Unreadable(bad)
    if kind == "expired":
        await in_memory.sealed(bad, expires_at=NOON - HOUR)
    else:
        await in_memory.blob(key=bad)
    if kind == "growing":
        await in_memory.record(bad)
    lost = await in_memory.record(await in_memory.blob(), created_at=NOON + SECOND)
    expired = await in_memory.sealed(expires_at=NOON)
    for _ in range(3):
        await in_memory.blob()
    with caplog.at_level(logging.ERROR, "tailrace.upkeep"):
        await in_memory.upkeep.sweep()
    assert (await in_memory.find(lost)).state is FileState.ABANDONED
    assert (await in_memory.find(expired)).ended_at == NOON
    assert await in_memory.keys() == {bad}
    assert "Input/output error" in caplog.text


async def test_rounds_are_repeated_also_after_one_that_failed(kept, caplog):
    await kept.sealed(expires_at=NOON)
    kept.execute(
        "CREATE TRIGGER broken BEFORE UPDATE ON files BEGIN SELECT RAISE(ABORT, 'broken'); END"
    )
    running = asyncio.create_task(kept.upkeep.run())
    async with asyncio.timeout(30):
        while "a round of upkeep failed" not in caplog.text:
            await asyncio.to_thread(lambda: None)
        kept.execute("DROP TRIGGER broken")
        while await kept.catalogue.expired_files(NOON, limit=1):
            assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# --- several processes ------------------------------------------------------------------------


def test_the_duty_is_of_one_at_a_time_and_stays_with_it(tmp_path):
    one, other = Duty(tmp_path / "duty"), Duty(tmp_path / "duty")
    assert one.is_ours()
    assert not other.is_ours()
    assert one.is_ours()
    one.end()
    assert other.is_ours()
    other.end()


def test_the_duty_of_a_process_that_was_killed_is_free(tmp_path):
    hold = (
        "import pathlib, sys, tailrace.upkeep\n"
        "duty = tailrace.upkeep.Duty(pathlib.Path(sys.argv[1]))\n"
        "print(duty.is_ours(), flush=True)\n"
        "sys.stdin.read()"
    )
    duty = Duty(tmp_path / "duty")
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / "duty"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"True\n"
        assert not duty.is_ours()
        holder.kill()
    assert duty.is_ours()
    duty.end()


def test_a_link_in_the_place_of_the_duty_is_not_followed(tmp_path):
    (tmp_path / "duty").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="duty"):
        Duty(tmp_path / "duty")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("is_our_duty", [True, False])
async def test_at_its_start_a_process_puts_right_what_one_that_died_has_left(kept, is_our_duty):
    lost = await kept.record(await kept.blob())
    unknown = await kept.blob()
    upkeep = dataclasses.replace(kept.upkeep, is_our_duty=lambda: is_our_duty)
    await upkeep.begin()
    assert (await kept.find(lost)).state is FileState.ABANDONED
    assert await kept.keys() == (set() if is_our_duty else {unknown}), "the rest is a round's"


async def test_rounds_are_left_to_whose_duty_it_is_until_it_is_ours(kept):
    expired = await kept.sealed(expires_at=NOON)
    asked = []

    def is_our_duty():
        asked.append("asked")
        return len(asked) > 3

    upkeep = dataclasses.replace(kept.upkeep, is_our_duty=is_our_duty)
    running = asyncio.create_task(upkeep.run())
    async with asyncio.timeout(30):
        while (await kept.find(expired)).ended_at is None:
            assert not running.done()
    assert len(asked) > 3
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_whenever_a_round_is_cut_off_the_next_ones_finish_it(
    kept, cancelled_at_every_step
):
    left = {}
    whole = set()

    async def leave_behind():
        left.clear()
        left[await kept.record()] = FileState.ABANDONED
        left[await kept.record(await kept.blob())] = FileState.ABANDONED
        left[await kept.record(await kept.blob(BlobState.SEALED))] = FileState.SEALED
        left[await kept.sealed(expires_at=NOON)] = FileState.SEALED
        await kept.blob()

    async def check():
        whole.update(
            record.blob
            for record, state in left.items()
            if state is FileState.SEALED and record.expires_at is None
        )
        await kept.upkeep.sweep()
        async with asyncio.timeout(30):
            # A cancelled `resume` may hold its blob for a moment more, until its thread ends.
            while await kept.catalogue.growing_files() or await kept.keys() != whole:
                await kept.upkeep.sweep()
        assert {record: (await kept.find(record)).state for record in left} == left
        assert list(await kept.catalogue.expired_files(NOON, limit=1)) == []
        await leave_behind()

    await leave_behind()
    await cancelled_at_every_step(kept.upkeep.sweep, check)
