"""What changes jobs: each function is one transaction, or a part of one.

A claim is an UPDATE that names what it takes: of several at once one finds the row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from tailrace.catalogue.reading import HAS_NOT_ENDED, IS_GROWING
from tailrace.catalogue.reading_jobs import find_job, held_jobs
from tailrace.catalogue.records import FileId, FileState, JobRecord
from tailrace.catalogue.tables import files, jobs, row_of
from tailrace.errors import JobKnown

_ADD_JOB = insert(jobs)

_OF_KEY = (
    select(files.c.id)
    .join_from(jobs, files)
    .where(
        jobs.c.key_hash == bindparam("of_key_hash"),
        HAS_NOT_ENDED,
        files.c.state != FileState.ABANDONED,
    )
)
_FREE_KEY = update(jobs).where(jobs.c.key_hash == bindparam("of_key_hash"))


def add_job(connection: Connection, job: JobRecord) -> None:
    if job.key_hash is not None:
        of_key = {"of_key_hash": job.key_hash}
        known = connection.scalar(_OF_KEY, of_key)
        if known is not None:
            raise JobKnown(known)
        # What came of it was given up or has ended: who asks again asks for a new one.
        connection.execute(_FREE_KEY, {**of_key, "key_hash": None})
    connection.execute(_ADD_JOB, row_of(jobs, job))


_OF_FILE = update(jobs).where(jobs.c.file_id == bindparam("of_file"))


def end_job(connection: Connection, file_id: FileId) -> None:
    connection.execute(_OF_FILE, {"of_file": file_id, "due_at": None})


_GROWS = exists().where(files.c.id == jobs.c.file_id, IS_GROWING)

_CLAIM_DUE = _OF_FILE.where(jobs.c.due_at <= bindparam("now"), _GROWS).values(
    worker=bindparam("by"), due_at=bindparam("until"), attempts=jobs.c.attempts + 1
)


def claim_job(
    connection: Connection, file_id: FileId, worker: str, *, now: datetime, until: datetime
) -> JobRecord | None:
    claimed = connection.execute(
        _CLAIM_DUE, {"of_file": file_id, "now": now, "by": worker, "until": until}
    )
    return find_job(connection, file_id) if claimed.rowcount else None


_OF_WORKER_AND_FILE = _OF_FILE.where(
    jobs.c.worker == bindparam("of_worker"), jobs.c.due_at.is_not(None)
)


def beat_jobs(
    connection: Connection,
    worker: str,
    running: Collection[FileId],
    *,
    until: datetime,
    progress: Mapping[FileId, str],
) -> frozenset[FileId]:
    # One by one: there are as many as run at once, and a process has few of them.
    if running:
        connection.execute(
            _OF_WORKER_AND_FILE,
            [{"of_worker": worker, "of_file": file_id, "due_at": until} for file_id in running],
        )
    for file_id, told in progress.items():
        connection.execute(
            _OF_WORKER_AND_FILE, {"of_worker": worker, "of_file": file_id, "progress": told}
        )
    return held_jobs(connection, worker)


def put_back_job(
    connection: Connection, file_id: FileId, worker: str, *, due_at: datetime, attempts: int
) -> None:
    connection.execute(
        _OF_WORKER_AND_FILE,
        {
            "of_worker": worker,
            "of_file": file_id,
            "worker": None,
            "due_at": due_at,
            "attempts": attempts,
        },
    )
