import asyncio
import threading

import pytest

from tailrace.server.threads import Threads, ended

pytestmark = pytest.mark.anyio

SECONDS_FOR_ANYTHING = 10


class Gate:
    """A turn that ends when it is told to."""

    def __init__(self):
        self.is_reached = threading.Event()
        self.opens = threading.Event()

    def __call__(self):
        self.is_reached.set()
        assert self.opens.wait(SECONDS_FOR_ANYTHING)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opens.set()


@pytest.fixture
def threads():
    return Threads(1, "test")


def test_a_thread_is_wanted_while_a_turn_waits_for_one(threads, gate):
    job = threads.begin(gate)
    assert gate.is_reached.wait(SECONDS_FOR_ANYTHING)
    assert not threads.is_wanted
    waiting = threads.begin(lambda: None)
    assert threads.is_wanted
    gate.opens.set()
    job.result()
    waiting.result()
    assert not threads.is_wanted


async def test_what_a_turn_raises_is_raised_to_who_waits_for_it(threads):
    def fail():
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await ended(threads.begin(fail), on_cancel=lambda: None)


async def test_a_cancellation_asks_the_turn_to_end_and_waits_for_it(threads, gate):
    waiting = asyncio.create_task(ended(threads.begin(gate), gate.opens.set))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert gate.opens.is_set()


async def test_a_second_cancellation_does_not_leave_the_turn_either(threads, gate):
    asked = []
    job = threads.begin(gate)
    waiting = asyncio.create_task(ended(job, lambda: asked.append(True)))
    for count in (1, 2):
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asked) == count
        assert not waiting.done()
    gate.opens.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert job.done()
