import asyncio

import pytest

from tailrace.server.stalls import StallWatch

pytestmark = pytest.mark.anyio

SECONDS = 0.01


async def stalls(confirmed, looks):
    """Whether a watch finds a stall within some looks at what is confirmed."""
    found = asyncio.Event()
    looked = 0

    def look():
        nonlocal looked
        looked += 1
        if looked == looks:
            done.set()
        return confirmed(looked)

    done = asyncio.Event()
    with StallWatch(asyncio.get_running_loop(), SECONDS, look, found.set):
        waiting = [asyncio.create_task(event.wait()) for event in (found, done)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
    return found.is_set()


async def test_nothing_confirmed_from_one_look_to_the_next_is_a_stall():
    assert await stalls(lambda looked: 7, looks=5)


async def test_a_stall_is_seen_after_some_progress_too():
    assert await stalls(lambda looked: min(looked, 3), looks=9)


async def test_one_octet_from_look_to_look_is_no_stall():
    assert not await stalls(lambda looked: looked, looks=5)


async def test_with_nothing_under_way_there_is_no_stall():
    assert not await stalls(lambda looked: None, looks=5)


async def test_after_its_context_it_does_not_look_any_more():
    looks = []
    with StallWatch(asyncio.get_running_loop(), 0, lambda: looks.append(1), lambda: None):
        pass
    await asyncio.sleep(0.01)
    assert looks == []
