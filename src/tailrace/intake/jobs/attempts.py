"""One attempt of a job, from its first step to its end, whichever that is."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from tailrace.errors import FileEnded, ProducerError, TailraceError
from tailrace.intake.files import Files
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.jobs.contract import Queue
from tailrace.intake.jobs.filling import NotReproduced, make
from tailrace.intake.jobs.job import Job
from tailrace.intake.reasons import failure_reason
from tailrace.intake.settling import settled

STOPPED = "the service was stopped"

_log = logging.getLogger("tailrace.jobs")

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes attempts: each seals its file, gives it up, or puts its job back."""

    files: Files
    queue: Queue

    async def run(self, job: Job, file: GrowingFile, attempts: int) -> None:
        """Make the attempt of this number; it is ended by `Job.cancel` and `Job.stop`."""
        try:
            job.begin()
            await self._make(job, file)
        except asyncio.CancelledError as cancelled:
            if job.why_cancelled is not None:
                await self._give_up(job, cancelled, job.why_cancelled)
            elif job.record.is_for_reader:
                await self._give_up(job, cancelled, STOPPED)
            else:
                await self._put_back(job, attempts=attempts - 1)
        except Exception as exc:
            if not isinstance(exc, TailraceError) or isinstance(exc, ProducerError):
                _log.warning("producer %s failed", job.producer.name, exc_info=exc)
            pause = self._pause_before_next(job, exc, attempts)
            if pause is None:
                assert job.growing is not None
                reason = failure_reason(exc, job.growing.length)
                await self._give_up(job, exc, reason)
            else:
                await self._put_back(job, attempts=attempts, after=pause)

    async def _make(self, job: Job, file: GrowingFile) -> None:
        assert job.run is not None
        seconds = (job.record.deadline_at - self.files.now()).total_seconds()
        if job.producer.time_limit is not None:
            seconds = min(seconds, job.producer.time_limit.total_seconds())
        try:
            if file.length and not job.producer.is_deterministic:
                file = await self._restart(job, file)
            try:
                await make(job.producer, job.arguments, job.run, file, seconds=seconds)
            except NotReproduced as exc:
                _log.warning("producer %s: %s", job.producer.name, exc)
                file = await self._restart(job, file)
                await make(job.producer, job.arguments, job.run, file, seconds=seconds)
        finally:
            await settled(job.run.close())

    async def _restart(self, job: Job, file: GrowingFile) -> GrowingFile:
        job.growing = await self.files.restart(file)
        return job.growing

    def _pause_before_next(
        self, job: Job, failure: Exception, attempts: int
    ) -> timedelta | None:
        if not isinstance(failure, ProducerError) or attempts > job.producer.retries:
            return None
        pause = min(_FIRST_PAUSE * 2 ** min(attempts - 1, 16), _LONGEST_PAUSE)
        return pause if self.files.now() + pause < job.record.deadline_at else None

    async def _put_back(
        self, job: Job, *, attempts: int, after: timedelta = timedelta(0)
    ) -> None:
        try:
            await settled(self._let_go(job, attempts, after))
        except FileEnded:
            pass  # while it was failing
        except Exception:  # no reason to end the runs beside it; its lease will end
            _log.exception("job %s could not be put back", job.file_id)

    async def _let_go(self, job: Job, attempts: int, after: timedelta) -> None:
        file = job.growing
        assert file is not None
        try:
            if file.length and not job.producer.is_deterministic:
                file = await self._restart(job, file)
        finally:
            await file.release()
        due_at = self.files.now() + after
        await self.queue.put_back(job.file_id, due_at=due_at, attempts=attempts)

    async def _give_up(self, job: Job, failure: BaseException, reason: str) -> None:
        job.failure = failure  # before the file's end, which wakes those who ask for it
        assert job.growing is not None
        try:
            await job.growing.abandon(reason)
        except Exception:  # no reason to end the runs beside it; upkeep tries again
            _log.exception("file %s could not be given up", job.file_id)
