"""Spans of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.spans import Span

offsets = st.integers(0, 2**64)


@given(offsets, offsets)
def test_a_span_has_the_bytes_from_start_up_to_and_without_stop(start, length):
    span = Span(start, start + length)
    assert (span.start, span.stop, span.length) == (start, start + length, length)


@given(st.integers(), st.integers())
def test_a_span_that_is_none_cannot_be_made(start, stop):
    if 0 <= start <= stop:
        assert Span(start, stop).length == stop - start
    else:
        with pytest.raises(ValueError, match=f"no span from {start} to {stop}"):
            Span(start, stop)


@pytest.mark.parametrize(("start", "stop"), [(0, -1), (-1, 0), (-2, -1), (1, 0)])
def test_a_span_before_the_first_byte_or_backwards_cannot_be_made(start, stop):
    with pytest.raises(ValueError, match="no span"):
        Span(start, stop)


def test_spans_are_values_in_the_order_of_their_bytes():
    spans = [Span(2, 3), Span(0, 5), Span(0, 1), Span(2, 2)]
    assert sorted(spans) == [Span(0, 1), Span(0, 5), Span(2, 2), Span(2, 3)]
    assert len({Span(0, 1), Span(0, 1)}) == 1
    with pytest.raises(AttributeError):
        spans[0].start = 1
