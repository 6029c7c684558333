"""Signs of life: a worker keeps what it holds, and learns what it holds no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic_core import to_json

from tailrace.catalogue import FileId
from tailrace.errors import StorageError
from tailrace.intake.jobs.contract import Queue
from tailrace.intake.jobs.job import Job
from tailrace.intake.producers import Progress

ENDED = "it was ended elsewhere"

_log = logging.getLogger("tailrace.jobs")

# How soon a run learns that its file was deleted in another process; each a cheap question.
_SECONDS_BETWEEN_QUESTIONS = 0.5

# Every so many questions a sign of life is written: more than twice within a lease.
_QUESTIONS_TO_BEAT = 4


@dataclass(slots=True)
class Signs:
    """What one worker tells and asks of the jobs that it runs."""

    queue: Queue
    running: Mapping[FileId, Job]
    _told: dict[FileId, Progress] = field(default_factory=dict)

    async def run(self) -> None:
        """Tell and ask again and again until cancelled; end the jobs that are lost."""
        questions = 0
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_QUESTIONS)
            if not self.running:
                questions = 0
                continue
            questions += 1
            try:
                await self._ask(with_sign=questions % _QUESTIONS_TO_BEAT == 1)
            except StorageError as exc:
                _log.warning("no sign of life could be given: %s", exc)

    async def _ask(self, *, with_sign: bool) -> None:
        running = dict(self.running)
        if with_sign:
            news = self._news(running)
            held = await self.queue.beat(
                running.keys(),
                {file_id: to_json(told).decode() for file_id, told in news.items()},
            )
            self._told = {each: self._told[each] for each in self._told if each in running}
            self._told |= news
        else:
            held = await self.queue.held()
        for file_id in running.keys() - held:
            running[file_id].cancel(ENDED)

    def _news(self, running: Mapping[FileId, Job]) -> Mapping[FileId, Progress]:
        now = {
            file_id: job.run.told
            for file_id, job in running.items()
            if job.run is not None and job.run.told is not None
        }
        return {each: told for each, told in now.items() if told != self._told.get(each)}
