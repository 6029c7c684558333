"""The catalogue in a database, through SQLAlchemy Core. Tested on SQLite.

sql         this module: the contract, and how a catalogue is opened
reading     the questions          writing   the changes: one transaction each
reading_jobs, writing_jobs         the same of jobs
tables      what is kept           schema    its version, and `migrations`
database    the threads            dialects  what differs between databases
remembered  the hot look-up        commits   whether anybody has changed anything
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tailrace.blobs import BlobKey
from tailrace.catalogue import (
    dialects,
    reading,
    reading_jobs,
    schema,
    writing,
    writing_jobs,
)
from tailrace.catalogue.contract import Catalogue
from tailrace.catalogue.database import Database
from tailrace.catalogue.dialects import Durability
from tailrace.catalogue.records import (
    CredentialRecord,
    FileId,
    FileRecord,
    JobRecord,
    LinkRecord,
    UploadRecord,
)
from tailrace.catalogue.remembered import Remembered


async def open_catalogue(url: str, *, durability: Durability) -> Catalogue:
    """Open the catalogue in a database; make or migrate its tables where that is due.

    The directory of an SQLite file must exist. Many processes may open one catalogue.

    Raises:
        ConfigurationError: the URL is wrong, what it names cannot be opened or written, is
            no database, is another program's, or was changed by a newer tailrace.
        StorageUnavailable, StorageFull: the database does not answer, or has no room.
    """
    engine = dialects.open_engine(dialects.parse_url(url), durability)
    database = Database(engine)
    try:
        await database.call(schema.prepare, engine)
        await database.watch_commits()
    except BaseException:
        await database.close()
        raise
    return SqlCatalogue(database)


class SqlCatalogue:
    """A catalogue in a database whose tables are ready; see `open_catalogue`.

    Why links are remembered, and nothing else: docs/decisions/0022.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._links = Remembered(database.version, self._read_link)

    async def add_file(
        self,
        file: FileRecord,
        links: Sequence[LinkRecord],
        upload: UploadRecord | None = None,
        job: JobRecord | None = None,
    ) -> None:
        await self._database.write(writing.add_file, file, links, upload, job)

    async def find_file(self, file_id: FileId) -> FileRecord | None:
        return await self._database.read(reading.find_file, file_id)

    async def list_files(
        self, *, limit: int, after: FileId | None = None
    ) -> Sequence[tuple[FileRecord, Sequence[LinkRecord]]]:
        return await self._database.read(reading.list_files, limit=limit, after=after)

    async def find_links(self, file_id: FileId) -> Sequence[LinkRecord]:
        return await self._database.read(reading.find_links, file_id)

    async def add_link(self, link: LinkRecord) -> None:
        await self._database.write(writing.add_link, link)

    async def find_link(self, token_hash: bytes) -> tuple[LinkRecord, FileRecord] | None:
        return await self._links.find(token_hash)

    def link_at_hand(self, token_hash: bytes) -> tuple[LinkRecord, FileRecord] | None:
        return self._links.at_hand(token_hash)

    async def find_upload(self, key_hash: bytes) -> tuple[UploadRecord, FileRecord] | None:
        return await self._database.read(reading.find_upload, key_hash)

    async def extend_upload(self, key_hash: bytes, expires_at: datetime | None) -> None:
        await self._database.write(writing.extend_upload, key_hash, expires_at)

    async def promise_length(self, file_id: FileId, complete_length: int) -> None:
        await self._database.write(writing.promise_length, file_id, complete_length)

    async def describe_file(
        self, file_id: FileId, *, name: str, media_type: str, complete_length: int | None
    ) -> None:
        await self._database.write(
            writing.describe_file,
            file_id,
            name=name,
            media_type=media_type,
            complete_length=complete_length,
        )

    async def seal_file(
        self, file_id: FileId, *, length: int, sha256: bytes | None, sealed_at: datetime
    ) -> FileRecord:
        return await self._database.write(
            writing.seal_file, file_id, length=length, sha256=sha256, sealed_at=sealed_at
        )

    async def abandon_file(self, file_id: FileId, *, reason: str, at: datetime) -> FileRecord:
        return await self._database.write(writing.abandon_file, file_id, reason=reason, at=at)

    async def end_file(self, file_id: FileId, *, reason: str, at: datetime) -> FileRecord:
        return await self._database.write(writing.end_file, file_id, reason=reason, at=at)

    async def replace_blob(self, file_id: FileId, blob: BlobKey) -> FileRecord:
        return await self._database.write(writing.replace_blob, file_id, blob)

    async def find_job(self, file_id: FileId) -> JobRecord | None:
        return await self._database.read(reading_jobs.find_job, file_id)

    async def due_jobs(
        self, now: datetime, *, producers: Collection[str], limit: int
    ) -> Sequence[tuple[FileRecord, JobRecord]]:
        return await self._database.read(
            reading_jobs.due_jobs, now, producers=producers, limit=limit
        )

    async def waiting_jobs(self) -> int:
        return await self._database.read(reading_jobs.waiting_jobs)

    async def unfinished_jobs(self) -> Sequence[JobRecord]:
        return await self._database.read(reading_jobs.unfinished_jobs)

    async def claim_job(
        self, file_id: FileId, worker: str, *, now: datetime, until: datetime
    ) -> JobRecord | None:
        return await self._database.write(
            writing_jobs.claim_job, file_id, worker, now=now, until=until
        )

    async def beat_jobs(
        self,
        worker: str,
        running: Collection[FileId],
        *,
        until: datetime,
        progress: Mapping[FileId, str],
    ) -> frozenset[FileId]:
        return await self._database.write(
            writing_jobs.beat_jobs, worker, running, until=until, progress=progress
        )

    async def held_jobs(self, worker: str) -> frozenset[FileId]:
        return await self._database.read(reading_jobs.held_jobs, worker)

    async def put_back_job(
        self, file_id: FileId, worker: str, *, due_at: datetime, attempts: int
    ) -> None:
        await self._database.write(
            writing_jobs.put_back_job, file_id, worker, due_at=due_at, attempts=attempts
        )

    async def growing_files(self) -> Sequence[tuple[FileRecord, UploadRecord | None]]:
        return await self._database.read(reading.growing_files)

    async def expired_files(self, now: datetime, *, limit: int) -> Sequence[FileRecord]:
        return await self._database.read(reading.expired_files, now, limit=limit)

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        return await self._database.read(reading.known_blobs, keys)

    async def recorded_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        return await self._database.read(reading.recorded_blobs, keys)

    async def forget_files(self, ended_before: datetime, *, limit: int) -> int:
        return await self._database.write(writing.forget_files, ended_before, limit=limit)

    async def add_credential(self, credential: CredentialRecord) -> None:
        await self._database.write(writing.add_credential, credential)

    async def credentials(self) -> Sequence[CredentialRecord]:
        return await self._database.read(reading.all_credentials)

    async def close(self) -> None:
        await self._database.close()

    async def _read_link(self, token_hash: bytes) -> tuple[LinkRecord, FileRecord] | None:
        return await self._database.read(reading.find_link, token_hash)


_: type[Catalogue] = SqlCatalogue
