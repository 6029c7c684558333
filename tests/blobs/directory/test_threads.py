"""Blocking steps in threads."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tailrace.blobs.directory.threads import SharedFile, Threads, finish, take
from tailrace.errors import StorageFull

pytestmark = pytest.mark.anyio


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads(1)
    yield threads
    await threads.close()


class Held:
    """A step that waits to be let go."""

    def __init__(self, end: Callable[[], object] = lambda: "done") -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self._end = end

    def __call__(self) -> Any:
        self.has_begun.set()
        assert self.may_end.wait(10)
        return self._end()


def fail() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def ignore(_: object) -> None:
    pass


async def cancelled(task: asyncio.Task[Any]) -> bool:
    with pytest.raises(asyncio.CancelledError):
        await task
    return task.cancelled()


async def ticks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# --- Threads --------------------------------------------------------------------------------


async def test_what_the_system_raises_in_a_step_becomes_ours(threads: Threads) -> None:
    for wait in (finish(threads.begin("k1", fail)), take(threads.begin("k1", fail), ignore)):
        with pytest.raises(StorageFull, match="k1"):
            await wait


async def test_closing_waits_for_the_steps_that_began() -> None:
    threads, step = Threads(1), Held()
    job = threads.begin("k1", step)
    closing = asyncio.create_task(threads.close())
    await ticks()
    assert not closing.done()
    step.may_end.set()
    await closing
    assert job.result() == "done"


# --- finish ---------------------------------------------------------------------------------


async def test_finish_returns_the_result(threads: Threads) -> None:
    assert await finish(threads.begin("k1", lambda: 42)) == 42


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("end", [lambda: "done", fail])
async def test_finish_sees_the_end_however_often_it_is_cancelled(
    threads: Threads, times: int, end: Callable[[], object]
) -> None:
    step = Held(end)
    job = threads.begin("k1", step)
    task = asyncio.create_task(finish(job))
    await ticks()
    for _ in range(times):
        task.cancel()
        await ticks()
        assert not task.done()
    step.may_end.set()
    assert await cancelled(task)
    assert job.done()


async def test_finish_lets_a_step_that_is_still_queued_run(threads: Threads) -> None:
    first, second = Held(), Held()
    second.may_end.set()
    threads.begin("k1", first)
    task = asyncio.create_task(finish(threads.begin("k1", second)))
    await ticks()
    task.cancel()
    await ticks()
    first.may_end.set()
    assert await cancelled(task)
    assert second.has_begun.is_set()


# --- take -----------------------------------------------------------------------------------


async def test_take_returns_the_result_and_undoes_nothing(threads: Threads) -> None:
    assert await take(threads.begin("k1", lambda: 42), lambda _: pytest.fail("undone")) == 42


async def test_take_leaves_at_once_and_what_comes_later_is_undone(threads: Threads) -> None:
    step, undone = Held(), Future[str]()
    task = asyncio.create_task(take(threads.begin("k1", step), undone.set_result))
    await ticks()
    task.cancel()
    assert await cancelled(task)
    assert not undone.done()
    step.may_end.set()
    assert await asyncio.wrap_future(undone) == "done"


@pytest.mark.parametrize("is_known_to_the_loop", [False, True])
async def test_take_undoes_what_came_in_the_moment_it_was_cancelled(
    is_known_to_the_loop: bool,
) -> None:
    job, undone = Future[int](), []
    task = asyncio.create_task(take(job, undone.append))
    await ticks()
    job.set_result(42)
    if is_known_to_the_loop:
        asyncio.get_running_loop().call_soon(task.cancel)
    else:
        task.cancel()
    assert await cancelled(task)
    assert undone == [42]


async def test_take_leaves_nothing_to_undo_where_nothing_came(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    blocking, failing, undone = Held(), Held(fail), []
    threads.begin("k1", blocking)
    tasks = [
        asyncio.create_task(take(threads.begin("k1", failing), undone.append)),
        asyncio.create_task(take(threads.begin("k1", lambda: "queued"), undone.append)),
    ]
    await ticks()
    blocking.may_end.set()
    failing.has_begun.wait(10)
    for task in tasks:
        task.cancel()
        assert await cancelled(task)
    failing.may_end.set()
    await finish(threads.begin("k1", lambda: None))
    assert undone == []
    assert caplog.records == []  # where an error in the undoing would end


# --- SharedFile -----------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> SharedFile:
    return SharedFile((tmp_path / "file").open("wb", buffering=0))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_file_nobody_borrowed_is_closed_by_its_owner(shared: SharedFile) -> None:
    descriptor = shared.fileno()
    shared.close()
    assert not is_open(descriptor)


def test_a_borrowed_file_is_closed_by_the_last_who_gives_it_back(shared: SharedFile) -> None:
    descriptor = shared.borrow()
    assert shared.borrow() == descriptor
    shared.close()
    shared.give_back()
    assert is_open(descriptor)
    shared.give_back()
    assert not is_open(descriptor)


def test_a_file_its_owner_closed_is_lent_no_more(shared: SharedFile) -> None:
    shared.borrow()
    shared.close()
    with pytest.raises(ValueError, match="closed"):
        shared.borrow()
    with pytest.raises(ValueError, match="closed"):
        shared.fileno()
    shared.give_back()
