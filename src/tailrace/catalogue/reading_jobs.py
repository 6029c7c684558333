"""What the catalogue is asked of jobs: each question one statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from tailrace.catalogue.reading import IS_GROWING
from tailrace.catalogue.records import FileId, FileRecord, JobRecord
from tailrace.catalogue.tables import files, jobs

_FILE_WIDTH = len(files.c)

FIND_JOB = select(jobs).where(jobs.c.file_id == bindparam("file_id"))


def find_job(connection: Connection, file_id: FileId) -> JobRecord | None:
    row = connection.execute(FIND_JOB, {"file_id": file_id}).first()
    return None if row is None else JobRecord(*row)


DUE_JOBS = (
    select(files, jobs)
    .join_from(jobs, files)
    .where(
        jobs.c.due_at <= bindparam("now"),
        jobs.c.producer.in_(bindparam("producers", expanding=True)),
        IS_GROWING,
    )
    .order_by(jobs.c.due_at, jobs.c.submitted_at)
    .limit(bindparam("limit"))
)


def due_jobs(
    connection: Connection, now: datetime, *, producers: Collection[str], limit: int
) -> Sequence[tuple[FileRecord, JobRecord]]:
    rows = connection.execute(
        DUE_JOBS, {"now": now, "producers": list(producers), "limit": limit}
    )
    return [(FileRecord(*row[:_FILE_WIDTH]), JobRecord(*row[_FILE_WIDTH:])) for row in rows]


WAITING_JOBS = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.due_at.is_not(None), jobs.c.worker.is_(None))
)


def waiting_jobs(connection: Connection) -> int:
    return connection.scalar(WAITING_JOBS) or 0


UNFINISHED_JOBS = select(jobs).join_from(jobs, files).where(IS_GROWING)


def unfinished_jobs(connection: Connection) -> Sequence[JobRecord]:
    return [JobRecord(*row) for row in connection.execute(UNFINISHED_JOBS)]


# Both conditions: a job ends with its file, and only then with its row.
HELD_JOBS = (
    select(jobs.c.file_id)
    .join_from(jobs, files)
    .where(jobs.c.worker == bindparam("of_worker"), jobs.c.due_at.is_not(None), IS_GROWING)
)


def held_jobs(connection: Connection, worker: str) -> frozenset[FileId]:
    held = connection.scalars(HELD_JOBS, {"of_worker": worker})
    return frozenset(FileId(file_id) for file_id in held)
