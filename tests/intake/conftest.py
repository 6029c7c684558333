"""What the tests of this room share."""

import asyncio
import dataclasses
import hashlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace.blobs import BlobKey, BlobState, BlobStore
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.catalogue import (
    Catalogue,
    FileRecord,
    FileState,
    JobRecord,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.catalogue.sql import open_catalogue
from tailrace.errors import BlobMissing
from tailrace.intake.files import Files
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.jobs import Jobs
from tailrace.intake.jobs.embedded import LEASE, CatalogueQueue
from tailrace.intake.producers import AnyProducer
from tailrace.intake.turns import Turns
from tailrace.intake.uploads import Uploads
from tailrace.intake.waiting_digests import WaitingDigests
from tailrace.intake.writers import Writers
from tailrace.links import Links
from tailrace.settings import Settings
from tailrace.spans import Span

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class Room:
    """Intake, on real siblings of what it stands on."""

    store: BlobStore
    catalogue: Catalogue
    database: Path
    settings: Settings
    clock: Clock = field(default_factory=Clock)
    writers: Writers = field(default_factory=Writers)
    digests: WaitingDigests = field(default_factory=WaitingDigests)
    _turns: Turns | None = None

    def patience(self, silent_seconds: float) -> None:
        """Let a writer be silent for so long before it is taken for dead."""
        self._turns = Turns(self.store, silent_seconds)

    @property
    def turns(self) -> Turns:
        if self._turns is None:
            self._turns = Turns(self.store, silent_seconds=0.05)
        return self._turns

    @property
    def files(self) -> Files:
        links = Links(self.catalogue, b"s" * 32, self.clock)
        return Files(
            self.store,
            self.catalogue,
            links.make,
            self.clock,
            self.settings,
            self.writers,
            self.digests,
        )

    @property
    def scratch(self) -> Path:
        return Path(self.settings.data) / "scratch"

    @property
    def uploads(self) -> Uploads:
        return Uploads(
            self.files, self.store, self.catalogue, self.turns, self.clock, self.settings
        )

    def jobs(self, *producers: AnyProducer, at_once: int = 1, **settings: Any) -> Jobs:
        """Make the runner of one worker, who takes up the jobs of these producers."""
        queue = CatalogueQueue(self.catalogue, self.clock)
        known = {producer.name: producer for producer in producers}
        return Jobs(self.files, queue, known, at_once=at_once, **settings)

    async def lost_job(
        self,
        producer: AnyProducer,
        *,
        content: bytes,
        attempts: int,
        lives: bool = False,
        **facts: Any,
    ) -> tuple[FileRecord, GrowingFile]:
        """Return a file as a worker leaves it that is lost, and its writer if that lives."""
        now = self.clock()

        async def submit(file: FileRecord, link: LinkRecord) -> None:
            job = JobRecord(
                file_id=file.id,
                producer=producer.name,
                arguments="{}",
                key_hash=None,
                is_for_reader=False,
                submitted_at=now,
                deadline_at=now + timedelta(days=1),
                due_at=now + LEASE,
                worker="lost",
                attempts=attempts,
                progress=None,
            )
            job = dataclasses.replace(job, **facts)
            await self.catalogue.add_file(file, [link], job=job)

        file = await self.files.begin(
            name="a", media_type="text/plain", origin=Origin.JOB, submit=submit
        )

        async def source() -> AsyncIterator[bytes]:
            yield content

        await file.fill(source())
        if not lives:
            await file.release()
        return file.record, file

    async def records(self) -> list[FileRecord]:
        """Return all files that have not ended, oldest first."""
        return [file for file, _ in await self.catalogue.list_files(limit=10_000)][::-1]

    async def content(self, key: BlobKey) -> bytes:
        async with self.store.open(key) as reader:
            return await reader.read(Span(0, reader.status.length))

    async def length(self, key: BlobKey) -> int:
        return (await self.store.status(key)).length

    async def check(self) -> None:
        """Assert what must be true when no request and no run is under way.

        Each record says what its blob is. What still grows has no writer, and is an upload
        that can be resumed, or a job that waits. No blob is unknown, and no directory left.
        """
        async with asyncio.timeout(30):
            await self.writers.ended()
        growing = await self.catalogue.growing_files()
        uploads = {file.id: upload for file, upload in growing}
        waiting = {
            job.file_id
            for job in await self.catalogue.unfinished_jobs()
            if job.due_at is not None and job.worker is None
        }
        known = set()
        for file in await self.records():
            match file.state:
                case FileState.GROWING:
                    if file.id not in waiting:
                        self._check_waits(uploads[file.id])
                    await self._check_free(file)
                    known.add(file.blob)
                case FileState.SEALED:
                    await self._check_sealed(file)
                    known.add(file.blob)
                case FileState.ABANDONED:
                    assert file.reason
                    with pytest.raises(BlobMissing):
                        await self.store.status(file.blob)
        for file, upload in growing:
            if upload is not None and upload.is_partial:  # which are in no list
                self._check_waits(upload)
                await self._check_free(file)
                known.add(file.blob)
        assert {key async for key in self.store.keys()} == known
        assert not self.scratch.exists() or not list(self.scratch.iterdir())

    def _check_waits(self, upload: UploadRecord | None) -> None:
        assert upload is not None
        assert upload.expires_at is not None
        assert upload.expires_at > self.clock.now

    async def _check_free(self, file: FileRecord) -> None:
        writer = await self.store.resume(file.blob)
        await writer.release()

    async def _check_sealed(self, file: FileRecord) -> None:
        assert (await self.store.status(file.blob)).state is BlobState.SEALED
        content = await self.content(file.blob)
        assert len(content) == file.length
        if self.settings.digest is None:
            assert file.sha256 is None
        else:
            assert file.sha256 == hashlib.sha256(content).digest()

    def break_catalogue(self, change: str = "UPDATE ON files") -> None:
        """Let a kind of change fail in the database from now on."""
        self._execute(
            f"CREATE TRIGGER broken BEFORE {change} BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )

    def repair_catalogue(self) -> None:
        self._execute("DROP TRIGGER broken")

    def _execute(self, statement: str) -> None:
        connection = sqlite3.connect(self.database)
        connection.execute(statement)
        connection.close()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings that no environment reaches."""

    def make(**given: Any) -> Settings:
        return Settings(data=str(tmp_path), durability="crash", **given)

    return make


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose tables are made; to copy it is a tenth of the time to make one."""
    database = tmp_path_factory.mktemp("catalogue") / "new.db"

    async def make() -> None:
        catalogue = await open_catalogue(f"sqlite:///{database}", durability="crash")
        await catalogue.close()

    asyncio.run(make())
    return database


@pytest.fixture
async def room(
    tmp_path: Path, new_database: Path, make_settings: Callable[..., Settings]
) -> AsyncIterator[Room]:
    """A room whose bytes rest in memory."""
    database = tmp_path / "catalogue.db"
    shutil.copy(new_database, database)
    catalogue = await open_catalogue(f"sqlite:///{database}", durability="crash")
    yield Room(MemoryBlobs(), catalogue, database, make_settings(file_limit=1000))
    await catalogue.close()


@pytest.fixture(params=["memory", "directory"])
async def any_room(
    request: pytest.FixtureRequest, room: Room, tmp_path: Path
) -> AsyncIterator[Room]:
    """A room with each of the stores."""
    if request.param == "memory":
        yield room
    else:
        room.store = DirectoryBlobs(tmp_path / "blobs")
        yield room
        await room.store.close()
