import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client import coverage as coverage_module
from tailrace.client.coverage import Coverage
from tailrace.spans import Span


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(coverage_module, "_SMALLEST_PIECE", 4)


def led(lead=0):
    coverage = Coverage((Span(0, lead),) if lead else ())
    coverage.lead = lead
    return coverage


def test_pieces_are_taken_from_the_end():
    coverage = led()
    piece = coverage.hand_out(100, 5, 0)
    assert piece.left == Span(90, 100)
    assert coverage.hand_out(100, 5, 0).left == Span(81, 90)


def test_pieces_become_smaller_as_the_end_comes_nearer():
    coverage = led(60)
    assert coverage.hand_out(100, 2, 0).left == Span(90, 100)
    coverage.reach(coverage.hand_out(100, 2, 0), 7)
    assert coverage.hand_out(100, 2, 0).left.length < 7


def test_the_lead_keeps_half_of_its_gap_and_what_is_small():
    assert led(92).hand_out(100, 1, 0).left == Span(96, 100)
    assert led(93).hand_out(100, 1, 0) is None


def test_the_lead_has_room_up_to_what_somebody_else_fetches():
    coverage = led()
    coverage.hand_out(100, 5, 0)
    assert coverage.room(10, 1000) == Span(10, 90)
    assert coverage.room(95, 1000).length == 0
    assert led().room(10, 1000) == Span(10, 1000)


def test_what_is_given_back_is_free_again():
    coverage = led(10)
    piece = coverage.hand_out(100, 5, 0)
    coverage.reach(piece, 5)
    coverage.give_back(piece)
    assert list(coverage.gaps(100)) == [Span(10, 91), Span(96, 100)]
    assert coverage.hand_out(100, 5, 0).left == Span(96, 100)


def test_of_the_piece_that_would_be_last_the_upper_half_is_taken_over():
    coverage = Coverage((Span(0, 80),))
    slow, fast = coverage.hand_out(100, 1, 0.0), coverage.hand_out(100, 1, 0.0)
    while any(coverage.gaps(100)):
        coverage.hand_out(100, 1, 0.0)
    coverage.reach(fast, fast.left.length - 1)
    assert slow.left == Span(90, 100)
    assert coverage.hand_out(100, 1, 1.0).left == Span(95, 100)
    assert slow.left == Span(90, 95)


def test_what_a_forgotten_piece_brings_does_not_count():
    coverage = led()
    piece = coverage.hand_out(100, 5, 0)
    coverage.reset(())
    coverage.reach(piece, 5)
    coverage.give_back(piece)
    assert coverage.landed == ()


steps = st.lists(
    st.tuples(st.sampled_from(["hand out", "reach", "give back", "lead"]), st.integers(0, 40))
)


@given(st.integers(1, 60), steps)
def test_what_is_here_or_on_its_way_or_free_is_all_there_is(length, steps):
    coverage, pieces = led(), []
    for name, number in steps:
        match name:
            case "hand out":
                piece = coverage.hand_out(length, 1 + number % 4, float(number))
                if piece is not None:
                    assert piece.left.length
                    pieces.append(piece)
            case "lead":
                room = coverage.room(coverage.lead, length)
                count = min(number, room.length)
                coverage.add(Span(coverage.lead, coverage.lead + count))
                coverage.lead += count
            case _ if pieces:
                piece = pieces[number % len(pieces)]
                coverage.reach(piece, min(number, piece.left.length))
                if name == "give back":
                    coverage.give_back(piece)
                    pieces.remove(piece)
        spans = [*coverage.landed, *coverage.gaps(length), *(each.left for each in pieces)]
        octets = sorted(offset for span in spans for offset in range(span.start, span.stop))
        assert octets == list(range(length)), "each once, and none beyond"
