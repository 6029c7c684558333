"""What a worker tells and asks of the jobs that it runs."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import pytest

from tailrace.errors import StorageUnavailable
from tailrace.intake.jobs import signs
from tailrace.intake.jobs.signs import ENDED, Signs
from tailrace.intake.producers import Run

pytestmark = pytest.mark.anyio


class Worker:
    """A queue as its worker sees it, which notes what it is told; and the jobs that run."""

    def __init__(self, tmp_path):
        self.told = []
        self.held_jobs = frozenset({"a"})
        self.fails = 0
        self.asked = asyncio.Event()
        self.run = Run(name="a", media_type=None, scratch=tmp_path)
        self.cancelled = []
        self.running = {"a": SimpleNamespace(run=self.run, cancel=self.cancelled.append)}

    async def beat(self, running, progress):
        self.told.append({each: json.loads(progress[each]) for each in progress})
        return await self.held()

    async def held(self):
        self.asked.set()
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable("the database is away")
        return self.held_jobs

    @contextlib.asynccontextmanager
    async def signing(self):
        task = asyncio.create_task(Signs(self, self.running).run())
        yield
        task.cancel()
        await asyncio.wait((task,))

    async def is_asked(self, times):
        async with asyncio.timeout(10):
            for _ in range(times):
                self.asked.clear()
                await self.asked.wait()


@pytest.fixture
def worker(tmp_path, monkeypatch):
    monkeypatch.setattr(signs, "_SECONDS_BETWEEN_QUESTIONS", 0)
    return Worker(tmp_path)


async def test_progress_is_told_when_it_is_new_and_only_then(worker):
    worker.run.progress(1, 2, "half")
    async with worker.signing():
        await worker.is_asked(9)
        worker.run.progress(2)
        await worker.is_asked(8)
    told = [each for each in worker.told if each]
    assert told == [
        {"a": {"done": 1, "total": 2, "message": "half"}},
        {"a": {"done": 2, "total": None, "message": None}},
    ]
    assert len(worker.told) > len(told)


async def test_what_is_held_goes_on(worker):
    async with worker.signing():
        await worker.is_asked(10)
    assert worker.cancelled == []


async def test_what_is_not_held_any_more_is_ended(worker):
    async with worker.signing():
        await worker.is_asked(2)
        worker.held_jobs = frozenset()
        await worker.is_asked(2)
    assert set(worker.cancelled) == {ENDED}


async def test_a_question_that_is_not_answered_ends_nothing_and_is_asked_again(worker, caplog):
    worker.fails = 2
    async with worker.signing():
        await worker.is_asked(6)
    assert worker.cancelled == []
    assert "the database is away" in caplog.text


async def test_nothing_is_asked_while_nothing_runs(worker):
    worker.running.clear()
    async with worker.signing():
        await asyncio.sleep(0.01)
    assert not worker.asked.is_set()
