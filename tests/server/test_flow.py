"""When a connection is read and written, and what waits on it."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.server.flow import Flow, Pipeline

pytestmark = pytest.mark.anyio


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.is_reading_now = True

    def pause_reading(self):
        self.is_reading_now = False

    def resume_reading(self):
        self.is_reading_now = True


async def test_who_may_write_does_not_wait():
    await Flow(Transport()).drain()


async def test_all_who_wait_to_write_are_woken_together():
    flow = Flow(Transport())
    flow.pause_writing()
    assert flow.write_paused
    waits = [asyncio.create_task(flow.drain()) for _ in range(3)]
    await asyncio.sleep(0)
    flow.pause_writing()  # once more, which changes nothing
    assert not any(wait.done() for wait in waits)
    flow.resume_writing()
    assert not flow.write_paused
    await asyncio.gather(*waits)


async def test_a_later_pause_is_waited_for_anew():
    flow = Flow(Transport())
    for _ in range(2):
        flow.pause_writing()
        wait = asyncio.create_task(flow.drain())
        await asyncio.sleep(0)
        assert not wait.done()
        flow.resume_writing()
        await wait


async def test_who_is_woken_does_not_wait_for_the_next_pause():
    flow = Flow(Transport())
    flow.pause_writing()
    wait = asyncio.create_task(flow.drain())
    await asyncio.sleep(0)
    flow.resume_writing()
    flow.pause_writing()
    await wait


async def test_while_it_is_held_nobody_resumes_reading():
    transport = Transport()
    flow = Flow(transport)
    flow.pause_reading()
    flow.is_held = True
    flow.resume_reading()
    assert not transport.is_reading_now
    flow.is_held = False
    flow.resume_reading()
    assert transport.is_reading_now
    assert not flow.read_paused


@given(st.lists(st.sampled_from(["appendleft", "popleft", "pop"])))
def test_a_pipeline_is_to_uvicorn_what_its_deque_is(steps):
    ours, theirs = Pipeline(), deque()
    for number, step in enumerate(steps):
        if step == "appendleft":
            ours.appendleft(number)
            theirs.appendleft(number)
        elif theirs:
            if step == "pop":
                assert ours.pop() == theirs.pop()
            else:
                ours.popleft()
                theirs.popleft()
        assert list(ours) == list(theirs)
        assert bool(ours) == bool(theirs)
