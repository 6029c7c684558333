"""Ends that are reached, whoever gives up waiting for them."""

import asyncio

import anyio
import pytest

from tailrace.intake.settling import ended, settled

pytestmark = pytest.mark.anyio


class Ending:
    """An end that takes its time."""

    def __init__(self, failure=None):
        self.failure = failure
        self.may_go_on = asyncio.Event()
        self.was_reached = False

    async def run(self):
        await self.may_go_on.wait()
        self.was_reached = True
        if self.failure is not None:
            raise self.failure
        return "result"


async def rounds(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def begun(awaitable):
    task = asyncio.create_task(awaitable)
    await rounds()
    assert not task.done()
    return task


async def test_the_result_is_returned():
    ending = Ending()
    ending.may_go_on.set()
    assert await settled(ending.run()) == "result"


async def test_the_failure_is_raised():
    ending = Ending(failure=ValueError("x"))
    ending.may_go_on.set()
    with pytest.raises(ValueError, match="x"):
        await settled(ending.run())


@pytest.mark.parametrize("failure", [None, ValueError("x")])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_cancellation_is_raised_after_the_end_however_often_it_comes(times, failure):
    ending = Ending(failure)
    caller = await begun(settled(ending.run()))
    for _ in range(times):
        caller.cancel()
        await rounds()
        assert not caller.done()
    ending.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ending.was_reached


async def test_a_cancel_scope_of_anyio_does_not_cut_it_off():
    ending = Ending()
    asyncio.get_running_loop().call_later(0.01, ending.may_go_on.set)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await settled(ending.run())
    assert scope.cancelled_caught
    assert ending.was_reached


async def test_a_result_that_nobody_gets_is_undone():
    undone = []

    async def undo(result):
        await rounds()
        undone.append(result)

    ending = Ending()
    caller = await begun(settled(ending.run(), undo=undo))
    caller.cancel()
    await rounds()
    ending.may_go_on.set()
    await rounds(2)
    caller.cancel()  # while it is undone
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert undone == ["result"]


async def test_a_failure_to_undo_does_not_swallow_the_cancellation():
    async def undo(result):
        raise ValueError("cannot be undone")

    ending = Ending()
    caller = await begun(settled(ending.run(), undo=undo))
    caller.cancel()
    ending.may_go_on.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await caller
    assert isinstance(cancelled.value.__context__, ValueError)


async def test_what_failed_and_what_was_returned_are_not_undone():
    async def undo(result):
        pytest.fail("nothing is to be undone")

    ending = Ending()
    ending.may_go_on.set()
    assert await settled(ending.run(), undo=undo) == "result"
    failing = Ending(failure=ValueError("x"))
    caller = await begun(settled(failing.run(), undo=undo))
    caller.cancel()
    failing.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_the_failure_of_a_task_that_ended_is_left_with_the_task():
    ending = Ending(failure=ValueError("x"))
    ending.may_go_on.set()
    task = asyncio.create_task(ending.run())
    await ended(task)
    assert task.exception() is ending.failure
