"""Jobs: runs of producers, each in a task of its own that this room owns.

    waiting ──► running ──► sealed
                   └──────► abandoned, with the reason

The file and its link exist from the first moment; whoever reads them follows. No reader is
ever in the way of a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tailrace.catalogue import FileId, Origin
from tailrace.errors import (
    ProducerError,
    ServiceBusy,
    TailraceError,
    TimeLimitExceeded,
)
from tailrace.intake.files import Files, GrowingFile, failure_reason
from tailrace.intake.producers import AnyProducer, Run, content_made
from tailrace.intake.settling import settled
from tailrace.protocol.disposition import safe_name

STOPPED = "the service was stopped"

_log = logging.getLogger("tailrace.jobs")

# What is told as Retry-After: about the time of a short run, or of a restart.
_SECONDS_TO_RETRY = 5


class Job:
    """One run of a producer. `failure` is set when it gives its file up."""

    def __init__(
        self,
        producer: AnyProducer,
        arguments: Mapping[str, Any],
        file: GrowingFile,
        scratch: Path,
    ) -> None:
        self.producer = producer
        self.arguments = arguments
        self.file = file
        self.told = Run(
            name=file.record.name,
            media_type=producer.declared_media_type(arguments),
            scratch=scratch,
        )
        self.failure: BaseException | None = None
        self._task: asyncio.Task[object] | None = None
        self._why_cancelled: str | None = None

    def cancel(self, reason: str) -> None:
        """Have the run end soon and its file abandoned; if it has ended, do nothing."""
        self._why_cancelled = reason
        self.told.cancel()
        if self._task is not None:
            self._task.cancel()

    async def run(self, slots: asyncio.Semaphore) -> None:
        # A task that is cancelled before its first step never runs, and would not end its
        # file. So it is known from here on, and what was asked before is seen to here.
        self._task = asyncio.current_task()
        try:
            if self._why_cancelled is not None:
                raise asyncio.CancelledError
            async with slots:
                try:
                    await self._make()
                finally:
                    await settled(self.told.close())
            await self.file.seal()
        except asyncio.CancelledError as cancelled:
            await self._give_up(cancelled, self._why_cancelled or STOPPED)
        except Exception as exc:
            if not isinstance(exc, TailraceError) or isinstance(exc, ProducerError):
                _log.warning("producer %s failed", self.producer.name, exc_info=exc)
            await self._give_up(exc, failure_reason(exc, self.file.length))

    async def _give_up(self, failure: BaseException, reason: str) -> None:
        self.failure = failure  # before the file's end, which wakes those who ask for it
        try:
            await self.file.abandon(reason)
        except Exception:  # no reason to end the runs beside it; upkeep tries again
            _log.exception("file %s could not be given up", self.file.record.id)

    async def _make(self) -> None:
        limit = self.producer.time_limit
        seconds = None if limit is None else limit.total_seconds()
        content = content_made(self.producer, self.arguments, self.told)
        try:
            async with asyncio.timeout(seconds), aclosing(content):
                first = await _first(content)
                await self._describe()
                async with aclosing(_all(first, content)) as chunks:
                    await self.file.fill(chunks)
        except TimeoutError as exc:
            assert limit is not None, "what a producer raises is a ProducerError"
            raise TimeLimitExceeded(limit.total_seconds()) from exc

    async def _describe(self) -> None:
        facts = self.told.begin()
        await self.file.describe(
            name=safe_name(facts.name, self.producer.name),
            media_type=facts.media_type,
            complete_length=facts.length,
        )


async def _first(content: AsyncGenerator[bytes]) -> bytes:
    """Return the first chunk that has bytes, or nothing at the end."""
    async for chunk in content:
        if chunk:
            return chunk
    return b""


async def _all(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


class Jobs:
    """Starts jobs and owns them. Use as a context manager: its end stops them all."""

    def __init__(
        self, files: Files, *, at_once: int, waiting: int = 100, grace_seconds: float = 0
    ) -> None:
        self._files = files
        self._scratch = Path(files.settings.data) / "scratch"
        self._most = at_once + waiting
        self._grace_seconds = grace_seconds
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[FileId, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0
        self._is_stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            self._grace_seconds = 0
        await self.stop()

    async def stop(self) -> None:
        """Let those that run finish within the grace time, and then end them; may be repeated.

        From now on, a run that is started is cancelled at once.
        """
        self._is_stopping = True
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._grace_seconds)
        finally:
            for job in self._running.values():
                job.cancel(STOPPED)
            await settled(self._end_of_all())

    async def _end_of_all(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def find(self, file_id: FileId) -> Job | None:
        """Return the run that is writing a file, if there is one here."""
        return self._running.get(file_id)

    async def start(self, producer: AnyProducer, given: Mapping[str, object]) -> Job:
        """Begin a run; it has a file and a link on return, and takes its turn by itself.

        Raises:
            InvalidArguments: the arguments are not what the producer takes.
            ServiceBusy: too many wait already, or the service stops.
        """
        arguments = producer.validate(given)
        if self._is_stopping:
            raise ServiceBusy("the service is stopping", _SECONDS_TO_RETRY)
        if self._admitted >= self._most:
            raise ServiceBusy(
                f"{self._most} runs are under way or waiting; try again later",
                _SECONDS_TO_RETRY,
            )
        self._admitted += 1
        try:
            file = await self._files.begin(
                name=safe_name(producer.file_name_of(arguments), producer.name),
                media_type=producer.media_type_of(arguments),
                origin=Origin.JOB,
            )
        except BaseException:
            self._admitted -= 1
            raise
        job = Job(producer, arguments, file, self._scratch / file.record.id)
        if self._is_stopping:
            job.cancel(STOPPED)
        self._running[file.record.id] = job
        task = asyncio.create_task(job.run(self._slots))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(task, file.record.id))
        return job

    def _forget(self, task: asyncio.Task[None], file_id: FileId) -> None:
        self._admitted -= 1
        self._tasks.remove(task)
        del self._running[file_id]
