"""What a client owes, and how long, by a clock that the tests move."""

import pytest
from clock import Clock

from tailrace.server import Limits
from tailrace.server.deadlines import Deadlines

LIMITS = Limits(head_seconds=30, content_stall_seconds=60, half_closed_seconds=1)
EPSILON = 0.001


class Client:
    """One with a deadline; what of it is seen from here is set by the tests."""

    def __init__(self):
        self.clock = Clock()
        self.overdue_at = []
        self.is_held_up = False
        self.arrived = 0
        self.deadlines = Deadlines(
            self.clock, LIMITS, lambda: self.overdue_at.append(self.clock.now - 100)
        )

    def owes_head(self):
        self.deadlines.await_head()

    def sends_content(self):
        self.deadlines.await_content(lambda: self.is_held_up)

    def shuts_down_its_side(self):
        self.deadlines.await_departure(lambda: self.arrived)


@pytest.fixture
def client():
    return Client()


def test_nothing_is_overdue_that_is_not_awaited(client):
    client.clock.move(1000)
    assert client.overdue_at == []


def test_what_is_disarmed_is_not_overdue(client):
    client.owes_head()
    client.deadlines.disarm()
    assert client.clock.is_quiet


# --- a head -------------------------------------------------------------------------------


def test_a_head_is_overdue_once_when_its_time_is_over(client):
    client.owes_head()
    client.clock.move(30 - EPSILON)
    assert client.overdue_at == []
    client.clock.move(1000)
    assert client.overdue_at == [30]


def test_a_trickle_does_not_prolong_the_time_for_a_head(client):
    for _ in range(3000):
        client.owes_head()
        client.clock.move(0.01)
    client.clock.move(EPSILON)
    assert client.overdue_at == [pytest.approx(30)]


def test_the_time_for_a_head_begins_anew_after_it_was_overdue(client):
    client.owes_head()
    client.clock.move(40)
    client.owes_head()
    client.clock.move(1000)
    assert client.overdue_at == [30, 70]


# --- content ------------------------------------------------------------------------------


def test_content_is_overdue_when_it_has_stalled(client):
    client.sends_content()
    client.clock.move(60 - EPSILON)
    assert client.overdue_at == []
    client.clock.move(1000)
    assert client.overdue_at == [60]


def test_content_that_is_slow_but_moves_is_not_overdue(client):
    for _ in range(100):
        client.sends_content()
        client.clock.move(59)
    assert client.overdue_at == []
    client.clock.move(1)
    assert client.overdue_at == [99 * 59 + 60]


def test_content_that_has_passed_the_parser_counts_too(client):
    client.sends_content()
    client.clock.move(59)
    client.deadlines.note_content()
    client.clock.move(59)
    assert client.overdue_at == []
    client.clock.move(1)
    assert client.overdue_at == [119]


def test_a_thousand_pieces_of_content_make_one_timer(client):
    for _ in range(1000):
        client.sends_content()
        client.clock.move(EPSILON)
    assert client.clock.timers_made == 1


def test_the_time_in_which_content_is_held_up_is_not_the_clients(client):
    client.sends_content()
    client.is_held_up = True
    client.clock.move(1000)
    assert client.overdue_at == []


def test_once_content_is_held_up_no_more_it_has_its_whole_time(client):
    client.sends_content()
    client.is_held_up = True
    client.clock.move(119)
    client.is_held_up = False
    client.clock.move(60)
    assert client.overdue_at == []
    client.clock.move(60)
    assert client.overdue_at == [180]


# --- to be there --------------------------------------------------------------------------


def test_a_client_that_is_sent_nothing_more_has_left(client):
    client.shuts_down_its_side()
    client.clock.move(1 - EPSILON)
    assert client.overdue_at == []
    client.clock.move(1000)
    assert client.overdue_at == [1]


def test_a_client_that_is_sent_something_from_time_to_time_is_there(client):
    client.shuts_down_its_side()
    for _ in range(10):
        client.arrived += 1
        client.clock.move(1)
    assert client.overdue_at == []
    client.clock.move(1)
    assert client.overdue_at == [11]


def test_while_something_is_under_way_to_it_a_client_is_there(client):
    client.shuts_down_its_side()
    client.arrived = None
    client.clock.move(1000)
    assert client.overdue_at == []


def test_from_when_all_has_arrived_a_client_has_the_limit_at_least_and_at_most_twice(client):
    client.arrived = None
    client.shuts_down_its_side()
    client.clock.move(1.9)
    client.arrived = 7
    client.clock.move(1)
    assert client.overdue_at == []
    client.clock.move(1)
    assert client.overdue_at == [3]


def test_once_it_has_shut_down_its_side_a_client_owes_nothing_else(client):
    client.owes_head()
    client.shuts_down_its_side()
    client.arrived = None
    client.clock.move(1000)
    assert client.overdue_at == []
