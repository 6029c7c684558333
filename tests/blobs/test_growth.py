"""What followers wait on."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

import pytest

from tailrace.blobs import BlobState, BlobStatus
from tailrace.blobs.growth import Growth, Poll
from tailrace.errors import StorageUnavailable

pytestmark = pytest.mark.anyio

GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


def growing(length: int) -> BlobStatus:
    return BlobStatus(GROWING, length)


async def begin(growth: Growth, length: int) -> asyncio.Task[BlobStatus]:
    task = asyncio.create_task(growth.wait_beyond(length))
    await asyncio.sleep(0)
    return task


# --- Growth ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "published", "then_known"),
    [
        (growing(3), growing(4), growing(4)),
        (growing(3), growing(3), growing(3)),
        (growing(3), growing(2), growing(3)),
        (growing(3), BlobStatus(SEALED, 3), BlobStatus(SEALED, 3)),
        (growing(3), BlobStatus(ABANDONED, 3), BlobStatus(ABANDONED, 3)),
        (BlobStatus(SEALED, 3), growing(9), BlobStatus(SEALED, 3)),
        (BlobStatus(SEALED, 3), BlobStatus(ABANDONED, 3), BlobStatus(SEALED, 3)),
        (BlobStatus(ABANDONED, 3), growing(9), BlobStatus(ABANDONED, 3)),
        (BlobStatus(ABANDONED, 3), BlobStatus(SEALED, 3), BlobStatus(ABANDONED, 3)),
    ],
)
def test_lengths_never_fall_and_ends_are_final(
    known: BlobStatus, published: BlobStatus, then_known: BlobStatus
) -> None:
    growth = Growth(known)
    growth.publish(published)
    assert growth.status == then_known


async def test_who_waits_for_nothing_new_does_not_wait() -> None:
    assert await Growth(growing(3)).wait_beyond(2) == growing(3)
    assert await Growth(BlobStatus(SEALED, 3)).wait_beyond(3) == BlobStatus(SEALED, 3)


async def test_a_waiter_returns_the_newest_status_not_the_one_that_woke_it() -> None:
    growth = Growth(growing(0))
    wait = await begin(growth, 0)
    growth.publish(growing(1))
    growth.publish(BlobStatus(SEALED, 2))
    assert await wait == BlobStatus(SEALED, 2)


async def test_each_waiter_is_woken_by_the_length_it_waits_for() -> None:
    growth = Growth(growing(0))
    waits = [await begin(growth, length) for length in range(500)]
    growth.publish(growing(250))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [wait.done() for wait in waits] == [True] * 250 + [False] * 250
    growth.publish(BlobStatus(ABANDONED, 250))
    assert await asyncio.gather(*waits[250:]) == [BlobStatus(ABANDONED, 250)] * 250


async def test_a_waiter_cancelled_after_it_was_woken_is_no_trouble() -> None:
    growth = Growth(growing(0))
    wait = await begin(growth, 0)
    growth.publish(growing(1))
    wait.cancel()
    growth.publish(growing(2))
    growth.fail(StorageUnavailable("too late for anyone"))
    with pytest.raises(asyncio.CancelledError):
        await wait


@pytest.mark.parametrize("end", ["woken", "cancelled", "failed"])
async def test_no_waiter_is_left_behind(end: str) -> None:
    growth = Growth(growing(0))
    wait = await begin(growth, 0)
    assert len(growth._waiters) == 1
    if end == "woken":
        growth.publish(growing(1))
    elif end == "cancelled":
        wait.cancel()
    else:
        growth.fail(StorageUnavailable("the disk is gone"))
    await asyncio.wait((wait,))
    assert len(growth._waiters) == 0
    assert wait.cancelled() or wait.exception() or wait.result()


async def test_a_failure_reaches_all_who_wait_and_nobody_after() -> None:
    growth = Growth(growing(0))
    waits = [await begin(growth, 0), await begin(growth, 9)]
    growth.fail(StorageUnavailable("the disk is gone"))
    for wait in waits:
        with pytest.raises(StorageUnavailable):
            await wait
    later = await begin(growth, 0)
    growth.publish(growing(1))
    assert await later == growing(1)


# --- Poll -----------------------------------------------------------------------------------


class Timers:
    """The timers that are set on the running loop, which the test fires by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.delays: list[float] = []
        self._handles: list[asyncio.TimerHandle] = []
        self._now = 0.0
        loop = asyncio.get_running_loop()

        def call_later(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
            handle = asyncio.TimerHandle(self._now + delay, callback, (), loop)
            self.delays.append(delay)
            self._handles.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        monkeypatch.setattr(loop, "time", lambda: self._now)
        monkeypatch.setattr(loop, "_timer_handle_cancelled", lambda _: None)

    @property
    def running(self) -> int:
        return sum(not handle.cancelled() for handle in self._handles)

    def fire(self) -> None:
        """Let the one running timer go off."""
        [due] = [handle for handle in self._handles if not handle.cancelled()]
        self._handles.remove(due)
        self._now = due.when()
        due._run()


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


async def test_the_poll_looks_until_nobody_watches(timers: Timers) -> None:
    growth, poll, lengths = Growth(growing(0)), Poll(0.25), itertools.count(1)
    with poll.watching(growth, lambda: growing(next(lengths))):
        assert growth.status == growing(0)
        timers.fire()
        assert growth.status == growing(1)
        timers.fire()
        assert growth.status == growing(2)
        assert timers.running == 1
    assert timers.running == 0
    with poll.watching(growth, lambda: BlobStatus(SEALED, 9)):
        timers.fire()
        assert growth.status == BlobStatus(SEALED, 9)
    assert timers.running == 0


async def test_the_poll_is_fast_while_it_has_news_and_then_ever_slower(timers: Timers) -> None:
    growth, poll, lengths = Growth(growing(0)), Poll(0.25), [1, 1, 1, 1, 1, 1, 2, 2]
    with poll.watching(growth, lambda: growing(lengths.pop(0))):
        while lengths:
            timers.fire()
    fast = timers.delays[0]
    assert fast <= 0.01
    assert timers.delays[2:6] == [2 * fast, 4 * fast, 8 * fast, 16 * fast]
    assert timers.delays[6] == 0.25
    assert timers.delays[7:] == [fast, 2 * fast]


async def test_of_what_it_is_told_the_poll_is_only_a_slow_net(timers: Timers) -> None:
    growth, poll = Growth(growing(0)), Poll(0.25, told_seconds=2)
    with poll.watching(growth, lambda: growing(0), lambda: True):
        while timers.delays[-1] < 2:
            timers.fire()
        timers.fire()
        assert timers.delays[-2:] == [2, 2]
        # One more that nobody tells of does not wait for the next of these.
        with poll.watching(Growth(growing(0)), lambda: growing(0)):
            assert timers.delays[-1] == 0.25
            assert timers.running == 1


async def test_when_told_the_poll_looks_at_once(timers: Timers) -> None:
    growth, poll = Growth(growing(0)), Poll(0.25)
    with poll.watching(growth, lambda: growing(7), lambda: True):
        assert poll.look_at(growth)
        assert growth.status == growing(7)
        assert not poll.look_at(growth), "there was nothing new"
    assert not poll.look_at(growth), "nobody watches"


async def test_told_of_too_much_to_say_what_the_poll_looks_at_all(timers: Timers) -> None:
    growths, poll = [Growth(growing(0)) for _ in range(3)], Poll(0.25)
    with contextlib.ExitStack() as stack:
        for growth in growths:
            stack.enter_context(poll.watching(growth, lambda: growing(7), lambda: True))
        assert poll.look_at_all()
        assert [growth.status for growth in growths] == [growing(7)] * 3
        assert not poll.look_at_all()


async def test_one_timer_and_one_look_serve_all_who_watch_a_blob(timers: Timers) -> None:
    one, other, poll, looks = Growth(growing(0)), Growth(growing(0)), Poll(1), []

    def look_at(name: str) -> Callable[[], BlobStatus]:
        return lambda: looks.append(name) or growing(len(looks))

    with (
        poll.watching(one, look_at("one")),
        poll.watching(one, look_at("one")),
        poll.watching(other, look_at("other")),
    ):
        assert timers.running == 1
        timers.fire()
    assert sorted(looks) == ["one", "other"]
    assert timers.running == 0


async def test_it_is_asked_once_for_all_who_watch_a_blob(timers: Timers) -> None:
    growth, poll, asked = Growth(growing(0)), Poll(1), []

    def ask() -> bool:
        asked.append(growth)
        return True

    with poll.watching(growth, lambda: growing(0), ask):
        with poll.watching(growth, lambda: growing(0), ask):
            pass
        with poll.watching(growth, lambda: growing(0), ask):
            assert asked == [growth]


async def test_a_blob_with_a_writer_here_is_not_polled(timers: Timers) -> None:
    growth, poll = Growth(growing(0)), Poll(1)
    growth.writers += 1
    with poll.watching(growth, lambda: pytest.fail("it looked"), lambda: pytest.fail("asked")):
        assert timers.running == 0
        assert not poll.look_at(growth)


async def test_the_poll_takes_over_when_a_writer_here_leaves(timers: Timers) -> None:
    growth, poll, asked = Growth(growing(0)), Poll(1), []
    growth.writers += 1
    with poll.watching(growth, lambda: growing(5), lambda: asked.append("asked") or True):
        growth.writers -= 1
        poll.writer_left(growth)
        assert asked == ["asked"]
        timers.fire()
        assert growth.status == growing(5)
        growth.writers += 1
        timers.fire()  # the last time: there is nothing left to look after
        assert timers.running == 0


async def test_a_writer_whose_blob_nobody_watches_leaves_without_a_timer(
    timers: Timers,
) -> None:
    growth, poll = Growth(growing(0)), Poll(1)
    poll.writer_left(growth)
    assert timers.running == 0


async def test_a_writer_that_leaves_another_to_go_on_sets_no_timer(timers: Timers) -> None:
    growth, poll = Growth(growing(0)), Poll(1)
    growth.writers += 1
    with poll.watching(growth, lambda: pytest.fail("it looked")):
        poll.writer_left(growth)
        assert timers.running == 0


async def test_a_look_that_fails_fails_its_own_blob_only(timers: Timers) -> None:
    lost, found, poll = Growth(growing(0)), Growth(growing(0)), Poll(1)

    def look() -> BlobStatus:
        raise StorageUnavailable("stale")

    with poll.watching(lost, look), poll.watching(found, lambda: growing(1)):
        waits = await begin(lost, 0), await begin(found, 0)
        timers.fire()
        with pytest.raises(StorageUnavailable):
            await waits[0]
        assert await waits[1] == growing(1)
        assert timers.running == 1
