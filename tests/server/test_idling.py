"""Noticing that nothing has begun for a time, by a clock that the tests move."""

import pytest
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st
from serving import GET, Waiting, answering, until

from tailrace.server.idling import IdleWatch

SECONDS = 5


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


def test_a_connection_is_closed_when_no_request_follows(served, monkeypatch, nothing_left):
    monkeypatch.setattr(served.config, "timeout_keep_alive", 0.05)
    served.app = answering(b"content")
    with served.connect() as client:
        client.send(GET)
        client.response()
        assert client.has_ended()


def test_a_connection_is_kept_while_a_request_is_answered(served, monkeypatch):
    monkeypatch.setattr(served.config, "timeout_keep_alive", 30)
    served.app = app = Waiting()
    with served.connect() as client:
        client.send(GET)
        app.may_answer.set()
        assert client.response().content == b"waited"
        (connection,) = served.connections
        until(lambda: connection._idling._timer is not None)
        app.may_answer.clear()
        app.has_begun.clear()
        client.send(GET)
        assert app.has_begun.wait(10)
        connection._idling._seconds = 0
        served.call(connection._idling._look)  # as when the time is over
        app.may_answer.set()
        assert client.response().content == b"waited"
