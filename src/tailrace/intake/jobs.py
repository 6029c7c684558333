"""Jobs: runs of producers, each in a task of its own that this room owns.

    waiting ──► running ──► sealed
                   └──────► abandoned, with the reason

The file and its link exist from the first moment; whoever reads them follows. No reader is
ever in the way of a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from tailrace.catalogue import FileId, Origin
from tailrace.errors import ProducerError, TailraceError
from tailrace.intake.files import Files, GrowingFile, failure_reason
from tailrace.intake.producers import AnyProducer, content_of
from tailrace.protocol.disposition import safe_name

_log = logging.getLogger("tailrace.jobs")


class Job:
    """One run of a producer. `failure` is set when it has given its file up."""

    def __init__(
        self, producer: AnyProducer, arguments: Mapping[str, Any], file: GrowingFile
    ) -> None:
        self.producer = producer
        self.arguments = arguments
        self.file = file
        self.failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._why_cancelled = "the service was stopped"

    def cancel(self, reason: str) -> None:
        """Have the run end soon and its file abandoned; if it has ended, do nothing."""
        self._why_cancelled = reason
        if self._task is not None:
            self._task.cancel()

    async def run(self, slots: asyncio.Semaphore) -> None:
        try:
            async with slots, aclosing(content_of(self._generated())) as content:
                await self.file.fill(content)
            await self.file.seal()
        except asyncio.CancelledError as cancelled:
            self.failure = cancelled
            await self.file.abandon(self._why_cancelled)
        except Exception as exc:
            self.failure = exc
            if not isinstance(exc, TailraceError) or isinstance(exc, ProducerError):
                _log.warning("producer %s failed", self.producer.name, exc_info=exc)
            await self.file.abandon(failure_reason(exc, self.file.length))

    def _generated(self) -> Any:
        return self.producer.generate(self.arguments)


class Jobs:
    """Starts jobs and owns them. Use as a context manager: its end is the end of them all."""

    def __init__(self, files: Files, *, at_once: int) -> None:
        self._files = files
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[FileId, Job] = {}
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for job in list(self._running.values()):
            job.cancel("the service was stopped")
        # What ended the block goes on by itself; a group would wrap it.
        await self._group.__aexit__(None, None, None)

    def find(self, file_id: FileId) -> Job | None:
        """Return the run that is writing a file, if there is one here."""
        return self._running.get(file_id)

    async def start(self, producer: AnyProducer, given: Mapping[str, object]) -> Job:
        """Begin a run; it has a file and a link on return, and takes its turn by itself.

        Raises:
            InvalidArguments: the arguments are not what the producer takes.
        """
        arguments = producer.validate(given)
        file = await self._files.begin(
            name=safe_name(producer.file_name_of(arguments), producer.name),
            media_type=producer.media_type_of(arguments),
            origin=Origin.JOB,
        )
        job = Job(producer, arguments, file)
        self._running[file.record.id] = job
        job._task = self._group.create_task(job.run(self._slots))
        job._task.add_done_callback(lambda _: self._running.pop(file.record.id, None))
        # A task cancelled before its first step never runs, and would not end its file.
        await asyncio.sleep(0)
        return job
