"""One job, as those in this process see it who asked for it or run it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tailrace.catalogue import FileId, FileRecord, JobRecord, LinkRecord
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.producers import AnyProducer, Run


class Job:
    """A run of a producer. Its file and its link are there from the first moment."""

    def __init__(
        self,
        producer: AnyProducer,
        arguments: Mapping[str, Any],
        record: JobRecord,
        file: FileRecord,
        link: LinkRecord,
    ) -> None:
        self.producer = producer
        self.arguments = arguments
        self.record = record
        self.link = link
        self.failure: BaseException | None = None
        """What made it give its file up, where that was in this process."""
        self.growing: GrowingFile | None = None
        """The file, while, and after, this process writes it."""
        self.run: Run | None = None
        """The present attempt, or the last, where that is in this process."""
        self.why_cancelled: str | None = None
        self._known_file = file
        self._task: asyncio.Task[object] | None = None

    @property
    def file(self) -> FileRecord:
        """Its file, as far as this process knows."""
        return self._known_file if self.growing is None else self.growing.record

    @property
    def file_id(self) -> FileId:
        return self.record.file_id

    def begin(self) -> None:
        """Note that this task is the one to be cancelled from now on.

        A task that is cancelled before its first step never runs, and would not end its
        file. So it is known from here on, and what was asked before is seen to here.
        """
        self._task = asyncio.current_task()
        if self.why_cancelled is not None:
            raise asyncio.CancelledError

    def cancel(self, reason: str) -> None:
        """Have the run end soon and its file given up; if it has ended, do nothing."""
        self.why_cancelled = self.why_cancelled or reason
        self.stop()

    def stop(self) -> None:
        """Have the run end soon, to be taken up again by the next worker."""
        if self.run is not None:
            self.run.cancel()
        if self._task is not None:
            self._task.cancel()
