"""The queue that needs nothing more: jobs are rows of the catalogue, beside their files."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from tailrace.catalogue import Catalogue, FileId, FileRecord, JobRecord, LinkRecord
from tailrace.intake.jobs.contract import Queue

# After how long without a sign a worker's jobs are another's. Several beats, so that a busy
# machine loses none; and people wait for no longer after a crash.
LEASE = timedelta(seconds=6)


class CatalogueQueue:
    """The queue of one worker among those who share a catalogue."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], datetime]) -> None:
        self.worker = secrets.token_hex(8)
        self._catalogue = catalogue
        self._now = now

    async def submit(
        self, file: FileRecord, link: LinkRecord, job: JobRecord, *, is_claimed: bool
    ) -> None:
        if is_claimed:
            job = dataclasses.replace(
                job, worker=self.worker, due_at=self._now() + LEASE, attempts=1
            )
        await self._catalogue.add_file(file, [link], job=job)

    async def waiting(self) -> int:
        return await self._catalogue.waiting_jobs()

    async def due(
        self, producers: Collection[str], *, limit: int
    ) -> Sequence[tuple[FileRecord, JobRecord]]:
        return await self._catalogue.due_jobs(self._now(), producers=producers, limit=limit)

    async def claim(self, file_id: FileId) -> JobRecord | None:
        now = self._now()
        return await self._catalogue.claim_job(file_id, self.worker, now=now, until=now + LEASE)

    async def beat(
        self, running: Collection[FileId], progress: Mapping[FileId, str]
    ) -> frozenset[FileId]:
        return await self._catalogue.beat_jobs(
            self.worker, running, until=self._now() + LEASE, progress=progress
        )

    async def held(self) -> frozenset[FileId]:
        return await self._catalogue.held_jobs(self.worker)

    async def put_back(self, file_id: FileId, *, due_at: datetime, attempts: int) -> None:
        await self._catalogue.put_back_job(
            file_id, self.worker, due_at=due_at, attempts=attempts
        )

    async def find(self, file_id: FileId) -> JobRecord | None:
        return await self._catalogue.find_job(file_id)


_: type[Queue] = CatalogueQueue
