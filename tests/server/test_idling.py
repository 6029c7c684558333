"""Noticing that nothing has begun for a time, by a clock that the tests move."""

import asyncio
import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import GET, answering

from tailrace.server.idling import IdleWatch

SECONDS = 5


class Clock:
    """As much of an event loop as a watch needs."""

    def __init__(self):
        self.now = 100.0
        self.timers_made = 0
        self._timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.timers_made += 1
        timer = asyncio.TimerHandle(self.now + delay, callback, (), self)
        heapq.heappush(self._timers, timer)
        return timer

    def _timer_handle_cancelled(self, timer):
        pass

    def get_debug(self):
        return False

    def move(self, seconds):
        until = self.now + seconds
        while self._timers and self._timers[0].when() <= until:
            timer = heapq.heappop(self._timers)
            self.now = timer.when()
            if not timer.cancelled():
                timer._callback()
        self.now = until

    @property
    def is_quiet(self):
        return all(timer.cancelled() for timer in self._timers)


class Watched:
    def __init__(self):
        self.clock = Clock()
        self.idle_at = []
        self.watch = IdleWatch(self.clock, SECONDS, lambda: self.idle_at.append(self.clock.now))


@pytest.fixture
def watched():
    return Watched()


def test_what_has_not_ended_is_not_idle(watched):
    watched.clock.move(1000)
    assert watched.idle_at == []


def test_it_calls_once_when_the_time_is_over(watched):
    watched.watch.end()
    watched.clock.move(SECONDS - 0.01)
    assert watched.idle_at == []
    watched.clock.move(1000)
    assert watched.idle_at == [100 + SECONDS]


def test_the_time_counts_from_the_last_end(watched):
    watched.watch.end()
    watched.clock.move(SECONDS - 1)
    watched.watch.begin()
    watched.watch.end()
    watched.clock.move(1000)
    assert watched.idle_at == [100 + 2 * SECONDS - 1]


def test_however_long_it_is_busy_it_is_not_idle(watched):
    watched.watch.end()
    watched.clock.move(1)
    watched.watch.begin()
    watched.clock.move(1000)
    assert watched.idle_at == []
    watched.watch.end()
    watched.clock.move(1000)
    assert watched.idle_at == [1101 + SECONDS]


def test_after_it_was_closed_nothing_is_left_of_it(watched):
    watched.watch.end()
    watched.watch.close()
    assert watched.clock.is_quiet
    watched.clock.move(1000)
    assert watched.idle_at == []


def test_a_thousand_requests_in_one_second_make_one_timer(watched):
    for _ in range(1000):
        watched.watch.end()
        watched.clock.move(0.001)
        watched.watch.begin()
    assert watched.clock.timers_made == 1


@given(st.lists(st.tuples(st.sampled_from(["begin", "end"]), st.floats(0, 2 * SECONDS))))
def test_it_calls_whenever_a_timer_for_each_end_would_have(steps):
    watched = Watched()
    expected = []
    due = None
    for step, seconds in steps:
        getattr(watched.watch, step)()
        due = watched.clock.now + SECONDS if step == "end" else None
        watched.clock.move(seconds)
        if due is not None and due <= watched.clock.now:
            expected.append(due)
            break  # the connection is closed then
    assert watched.idle_at == pytest.approx(expected)


# --- in its place -------------------------------------------------------------------------


def test_a_connection_is_closed_when_no_request_follows(served, monkeypatch):
    monkeypatch.setattr(served.config, "timeout_keep_alive", 0.05)
    served.app = answering(b"content")
    with served.connect() as client:
        for _ in range(3):
            client.send(GET)
            client.response()
        assert client.has_ended()


def test_an_answer_may_take_longer_than_a_connection_may_be_idle(served, monkeypatch):
    monkeypatch.setattr(served.config, "timeout_keep_alive", 0.05)
    answer = answering(b"content")

    async def slow(scope, receive, send):
        await asyncio.sleep(0.15)
        await answer(scope, receive, send)

    served.app = slow
    with served.connect() as client:
        client.send(GET)
        assert client.response().content == b"content"
