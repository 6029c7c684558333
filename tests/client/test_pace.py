from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.pace import Pace

NEAR, FAR = 0.0001, 0.05
GIB = 2**30


def walk(pace, rate_of, seconds, connect_seconds=NEAR):
    """Return what is wanted every 10 ms, at a rate that depends on the connections."""
    landed, wanted, told = 0, 1, []
    for turn in range(int(seconds * 100)):
        wanted = pace.advise(turn / 100, int(landed), GIB, connect_seconds)
        told.append(wanted)
        landed += rate_of(wanted) / 100
    return told


def test_a_far_server_gets_all_connections_at_once():
    assert Pace(8).advise(0.0, 0, GIB, FAR) == 8


def test_a_near_server_gets_more_as_long_as_they_gain():
    told = walk(Pace(8), lambda connections: 5e6 * connections, 1)
    assert told[0] == 1
    assert told[-1] == 8
    assert told.index(8) < 40


def test_a_connection_as_fast_as_this_machine_stays_alone():
    assert set(walk(Pace(8), lambda connections: 1e9, 2)) == {1}


def test_where_more_gain_nothing_few_are_opened():
    assert walk(Pace(64), lambda connections: 50e6, 5)[-1] <= 8


def test_near_the_end_no_more_are_opened():
    pace = Pace(8)
    pace.advise(0.0, 0, 1000, NEAR)
    assert pace.advise(0.2, 10_000_000, 1000, NEAR) == 1


def test_never_more_than_the_server_lets():
    pace = Pace(8)
    pace.advise(0.0, 0, GIB, FAR)
    pace.stay(3)
    assert walk(pace, lambda connections: 5e6 * connections, 5)[-1] == 3
    pace.stay(0)
    assert pace.wanted == 1


@given(st.integers(1, 20), st.lists(st.integers(0, 2**40)), st.floats(0, 1))
def test_at_least_one_and_never_more_than_allowed(most, landings, connect_seconds):
    pace, landed = Pace(most), 0
    for turn, count in enumerate(landings):
        landed += count
        assert 1 <= pace.advise(turn / 10, landed, count, connect_seconds) <= most
