"""The runner: starts jobs, takes up those that are due, and owns the task of each.

    start ──► a turn is free ──► running ──► sealed
                 │    ▲             ├──────► given up, with the reason
                 ▼    │             └──────► put back: to be tried again, or the service stops
               waiting, known to all workers ◄──┘

The file and its link exist from the first moment; whoever reads them follows. No reader is
ever in the way of a run. Of several processes on one catalogue any may take up what waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from tailrace.catalogue import FileId, FileRecord, JobRecord, Origin
from tailrace.errors import (
    BlobBusy,
    BlobMissing,
    BlobSealed,
    FileEnded,
    InvalidArguments,
    JobKnown,
    KeyReused,
    ServiceBusy,
)
from tailrace.intake.files import Files
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.jobs.arguments import from_text, to_text
from tailrace.intake.jobs.attempts import Attempts
from tailrace.intake.jobs.contract import Queue
from tailrace.intake.jobs.job import Job
from tailrace.intake.jobs.signs import Signs
from tailrace.intake.jobs.slots import Slots
from tailrace.intake.producers import AnyProducer, Progress, Run
from tailrace.intake.settling import settled
from tailrace.protocol.disposition import safe_name

LOST_WITH_READER = "the service failed, and its reader was cut off"

_log = logging.getLogger("tailrace.jobs")

# What is told as Retry-After: about the time of a short run, or of a restart.
_SECONDS_TO_RETRY = 5

# How soon what another process put there, or has lost, is seen; one cheap question each.
_SECONDS_BETWEEN_LOOKS = 1.0

# A run that ends its process each time must not do so for ever.
_MOST_LOSSES = 3


class Jobs:
    """Starts jobs and owns them. Use as a context manager: its end stops them all.

    `producers` are those whose jobs are taken up here; it may grow.
    """

    def __init__(
        self,
        files: Files,
        queue: Queue,
        producers: Mapping[str, AnyProducer],
        *,
        at_once: int,
        waiting: int = 1000,
        grace_seconds: float = 0,
    ) -> None:
        self._files = files
        self._queue = queue
        self._producers = producers
        self._scratch = Path(files.settings.data) / "scratch"
        self._most_waiting = waiting
        self._grace_seconds = grace_seconds
        self._running: dict[FileId, Job] = {}
        self._slots = Slots(at_once)
        self._attempts = Attempts(files, queue)
        self._signs = Signs(queue, self._running)
        self._tasks: set[asyncio.Task[None]] = set()
        # Those who wait here for what is run later, perhaps by another worker.
        self._asked: WeakValueDictionary[FileId, Job] = WeakValueDictionary()
        self._others_wait = False
        self._may_be_due = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_for_due())
        self._beating = asyncio.create_task(self._signs.run())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            self._grace_seconds = 0
        try:
            await self.stop()
        finally:
            await settled(_cancelled(self._beating))

    async def stop(self) -> None:
        """Let those that run finish within the grace time, and then end them; may be repeated.

        What is not done is left for the next worker. From now on none is started.
        """
        self._is_stopping = True
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._grace_seconds)
        finally:
            for job in self._running.values():
                job.stop()
            await settled(self._end_of_all())

    async def _end_of_all(self) -> None:
        await _cancelled(self._looking)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- asking -------------------------------------------------------------------------

    def find(self, file_id: FileId) -> Job | None:
        """Return the job that is writing a file, if it is run here."""
        return self._running.get(file_id)

    async def progress(self, file_id: FileId) -> Progress | None:
        """Return how far the run of a file last said it is, wherever it runs."""
        job = self._running.get(file_id)
        if job is not None and job.run is not None:
            return job.run.told
        record = await self._queue.find(file_id)
        if record is None or record.progress is None:
            return None
        return Progress(**json.loads(record.progress))

    async def start(
        self,
        producer: AnyProducer,
        given: Mapping[str, object],
        *,
        for_reader: bool = False,
        key_hash: bytes | None = None,
    ) -> Job:
        """Begin a run; it has a file and a link on return, and takes its turn by itself.

        One `for_reader` is not taken up again once its worker is lost. If a job was started
        with the same key, return that one.

        Raises:
            InvalidArguments: the arguments are not what the producer takes.
            KeyReused: the key is that of another request.
            ServiceBusy: too many wait already, or the service stops.
        """
        arguments = producer.validate(given)
        stored = to_text(given)
        if self._is_stopping:
            raise ServiceBusy("the service is stopping", _SECONDS_TO_RETRY)
        has_turn = not self._others_wait and self._slots.may_take(producer)
        if not has_turn:
            await self._require_room()
        record: JobRecord | None = None

        async def submit(file: FileRecord, link: Any) -> None:
            nonlocal record
            now = self._files.now()
            record = JobRecord(
                file_id=file.id,
                producer=producer.name,
                arguments=stored,
                key_hash=key_hash,
                is_for_reader=for_reader,
                submitted_at=now,
                deadline_at=now + self._files.settings.keep_jobs,
                due_at=now,
                worker=None,
                attempts=0,
                progress=None,
            )
            await self._queue.submit(file, link, record, is_claimed=has_turn)

        if has_turn:
            self._slots.take(producer)
        try:
            file = await self._files.begin(
                name=safe_name(producer.file_name_of(arguments), producer.name),
                media_type=producer.media_type_of(arguments),
                origin=Origin.JOB,
                limit=producer.length_limit,
                submit=submit,
            )
        except JobKnown as known:
            self._give_back(producer, has_turn)
            return await self._known(FileId(known.file_id), producer, arguments, stored)
        except BaseException:
            self._give_back(producer, has_turn)
            raise
        assert record is not None, "it was submitted"
        job = Job(producer, arguments, record, file.record, file.link)
        if has_turn:
            self._spawn(job, file, attempts=1)
        else:
            self._asked[job.file_id] = job
            await file.release()
            self._others_wait = True
            self.look()
        return job

    def look(self) -> None:
        """Look for what is due now and not at the next turn of the clock."""
        self._may_be_due.set()

    async def cancel(self, job: Job, reason: str) -> None:
        """Have a job end soon and its file given up, wherever it runs or waits."""
        job.cancel(reason)
        if job.file_id not in self._running:
            file = await self._files.catalogue.abandon_file(
                job.file_id, reason=reason, at=self._files.now()
            )
            if file.sealed_at is None:
                await self._files.store.remove(file.blob)

    async def _known(
        self,
        file_id: FileId,
        producer: AnyProducer,
        arguments: Mapping[str, Any],
        stored: str,
    ) -> Job:
        job = self._running.get(file_id) or self._asked.get(file_id)
        record = await self._queue.find(file_id)
        file = await self._files.catalogue.find_file(file_id)
        links = await self._files.catalogue.find_links(file_id)
        if record is None or file is None or not links:
            raise ServiceBusy("what the key stands for ends just now", _SECONDS_TO_RETRY)
        if (record.producer, record.arguments) != (producer.name, stored):
            raise KeyReused("this idempotency key was sent before, with another request")
        return job or Job(producer, arguments, record, file, links[0])

    async def _require_room(self) -> None:
        if await self._queue.waiting() >= self._most_waiting:
            raise ServiceBusy(
                f"{self._most_waiting} runs are waiting; try again later", _SECONDS_TO_RETRY
            )

    # --- turns --------------------------------------------------------------------------

    def _give_back(self, producer: AnyProducer, has_turn: bool = True) -> None:
        if has_turn:
            self._slots.give_back(producer)
            self.look()

    def _spawn(self, job: Job, file: GrowingFile, *, attempts: int) -> None:
        """Begin an attempt; the turn was taken before."""
        job.growing = file
        job.run = Run(
            name=file.record.name,
            media_type=job.producer.declared_media_type(job.arguments),
            scratch=self._scratch / job.file_id,
            attempt=attempts,
        )
        self._running[job.file_id] = job
        task = asyncio.create_task(self._attempts.run(job, file, attempts))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(task, job))
        if self._is_stopping:
            job.stop()

    def _forget(self, task: asyncio.Task[None], job: Job) -> None:
        self._tasks.remove(task)
        del self._running[job.file_id]
        self._asked[job.file_id] = job  # it may have been put back
        self._give_back(job.producer)

    # --- what is due, and what is held --------------------------------------------------

    async def _look_for_due(self) -> None:
        while True:
            self._may_be_due.clear()
            try:
                await self._take_up_due()
            except Exception:
                _log.exception("what is due could not be taken up; it is tried again")
            try:
                async with asyncio.timeout(_SECONDS_BETWEEN_LOOKS):
                    await self._may_be_due.wait()
            except TimeoutError:
                pass

    async def _take_up_due(self) -> None:
        while not self._is_stopping:
            free = [each for each in [*self._producers.values()] if self._slots.may_take(each)]
            if not free:
                return
            room = self._slots.free
            names = [producer.name for producer in free]
            found = await self._queue.due(names, limit=room + len(self._running))
            taken = [await self._take_up(*each) for each in found]
            if not any(taken):
                self._others_wait = False
                return

    async def _take_up(self, file: FileRecord, record: JobRecord) -> bool:
        producer = self._producers[record.producer]
        if self._is_stopping or file.id in self._running or not self._slots.may_take(producer):
            return False
        self._slots.take(producer)
        try:
            is_taken = await settled(self._claim(producer, file, record))
        except (BlobBusy, BlobMissing, BlobSealed, FileEnded):
            is_taken = False  # somebody is at it, or upkeep will be
        except BaseException:
            if file.id not in self._running:
                self._give_back(producer)
            raise
        if not is_taken:
            self._slots.give_back(producer)
        return is_taken

    async def _claim(self, producer: AnyProducer, file: FileRecord, record: JobRecord) -> bool:
        # The bytes first: who holds them is alive, whatever the queue knows of him.
        growing = await self._files.resume(file, producer.length_limit)
        try:
            claimed = await self._queue.claim(file.id)
            if claimed is None:
                await growing.release()
                return False
            job = self._asked.pop(file.id, None)
            if job is None:
                arguments = producer.validate(from_text(record.arguments))
                job = Job(producer, arguments, claimed, growing.record, growing.link)
        except InvalidArguments as exc:
            await growing.abandon(f"its producer does not take its arguments any more: {exc}")
            return False
        except BaseException:
            await growing.release()
            raise
        if record.worker is not None:  # who was lost
            if record.is_for_reader:
                await growing.abandon(LOST_WITH_READER)
                return False
            if claimed.attempts > max(producer.retries, _MOST_LOSSES) + 1:
                await growing.abandon(
                    f"it was begun {record.attempts} times and lost each time"
                )
                return False
        self._spawn(job, growing, attempts=claimed.attempts)
        return True


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))
