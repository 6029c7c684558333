"""What all tests share."""

import asyncio
import enum
import itertools
import os
import signal
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator

import pytest

from tailrace import cached

# Whoever runs the tests in the background has Ctrl-C ignored, and so would every program
# that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that did not run is a failure; without the extras some cannot run."""
    report = yield
    is_strict = "CI" in os.environ and "TAILRACE_WITHOUT_EXTRAS" not in os.environ
    if is_strict and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"did not run, and in CI all do: {report.longreprtext}"
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """tailrace runs on asyncio; see docs/decisions/0006."""
    return "asyncio"


@pytest.fixture
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every file opened by a thread, as on a disk that has to be waited for."""
    monkeypatch.setattr(cached, "_syscall", None)


class Cancelled(enum.Enum):
    """How a cancellation meets a task that waits."""

    AT_ONCE = "at once"
    WITH_THE_RESULT = "with the result"
    """When what it waits for is there already, and would be lost."""
    AGAIN_AND_AGAIN = "again and again"
    """At each later step as well, as a cancel scope of AnyIO does."""


Attempt = Callable[[], Coroutine[object, object, object]]
Check = Callable[[], Awaitable[object]]


@pytest.fixture(params=Cancelled, ids=lambda how: how.value)
def cancelled_at_every_step(
    request: pytest.FixtureRequest,
) -> Callable[[Attempt, Check], Awaitable[None]]:
    """Make an attempt again and again, each time cancelled one step later than before, until
    it comes through. After each, no task may be left of it, and the check must hold."""

    async def cancelled_at_every_step(attempt: Attempt, check: Check) -> None:
        for step in itertools.count(1):
            before = asyncio.all_tasks()
            interrupted = _Interrupted(request.param, step)
            task = asyncio.create_task(interrupted.run(attempt()))
            await asyncio.wait((task,))
            assert asyncio.all_tasks() == before
            if not task.cancelled():
                task.result()
            await check()
            if not interrupted.was_reached:
                assert step > 1
                return

    return cancelled_at_every_step


class _Interrupted:
    def __init__(self, how: Cancelled, step: int) -> None:
        self.was_reached = False
        self._how = how
        self._step = step

    async def run(self, attempt: Coroutine[object, object, object]) -> None:
        await self._driven(attempt)

    @types.coroutine
    def _driven(
        self, attempt: Coroutine[object, object, object]
    ) -> Generator[object, object, None]:
        resume, value = attempt.send, None
        for step in itertools.count(1):
            try:
                waited_for = resume(value)
            except StopIteration:
                return
            if step == self._step or (self.was_reached and self._goes_on):
                self.was_reached = True
                self._cancel(waited_for)
            try:
                resume, value = attempt.send, (yield waited_for)
            except BaseException as exc:  # what it waited for was cancelled, or failed
                resume, value = attempt.throw, exc

    @property
    def _goes_on(self) -> bool:
        return self._how is Cancelled.AGAIN_AND_AGAIN

    def _cancel(self, waited_for: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._how is Cancelled.WITH_THE_RESULT and isinstance(waited_for, asyncio.Future):
            # Called before the task's own callback, which comes after this.
            waited_for.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()
