import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import ranges
from tailrace.protocol.ranges import ContentRange, Ignored, IntRange, SuffixRange
from tailrace.spans import Span

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "ranges.json").read_text())


def vectors(key):
    """The vectors of one kind: each kind has a key of its own."""
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def spans_of(pairs):
    return tuple(Span(*pair) for pair in pairs)


# --- Range --------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("spans"))
def test_a_range_field_selects(vector):
    specs = ranges.parse(vector["value"])
    assert not isinstance(specs, Ignored)
    selected = ranges.select(specs, vector["complete_length"])
    assert selected == spans_of(vector["spans"])


@pytest.mark.parametrize("vector", vectors("ignored"))
def test_a_range_field_is_set_aside(vector):
    assert ranges.parse(vector["value"]) is Ignored[vector["ignored"]]


def test_specs_keep_their_kind_and_order():
    specs = ranges.parse("bytes=-5,7-,0-4")
    assert specs == (SuffixRange(5), IntRange(7, None), IntRange(0, 4))


def test_as_many_ranges_as_the_limit_are_read():
    specs = ranges.parse("bytes=" + "0-0," * ranges.MAX_RANGES)
    assert len(specs) == ranges.MAX_RANGES


def test_one_range_more_than_the_limit_sets_the_field_aside():
    assert ranges.parse("bytes=" + "0-0," * (ranges.MAX_RANGES + 1)) is Ignored.TOO_MANY


def test_empty_elements_do_not_count_for_the_limit():
    assert ranges.parse("bytes=" + "," * 10_000 + "0-4") == (IntRange(0, 4),)


@pytest.mark.parametrize("value", ["bytes=3-{}", "bytes=-{}"])
def test_a_numeral_of_thousands_of_digits_reaches_to_the_end(value):
    (span,) = ranges.select(ranges.parse(value.format("9" * 5000)), 18)
    assert span.stop == 18


def test_a_first_position_of_thousands_of_digits_is_unsatisfiable():
    assert ranges.select(ranges.parse("bytes={}-".format("9" * 5000)), 18) == ()


def test_thousands_of_leading_zeros_add_nothing():
    assert ranges.parse("bytes={0}1-{0}5".format("0" * 5000)) == (IntRange(1, 5),)


def test_a_last_position_of_hundreds_of_digits_is_exact():
    assert ranges.parse("bytes=0-" + "9" * 600) == (IntRange(0, 10**600 - 1),)


# Shaped like the grammar and a little off it, so that the parser is reached.
numerals = st.one_of(
    st.just(""),
    st.integers(0, 2**70).map(str),
    st.sampled_from(["9" * 5000, "+1", "1_0", "\u0661", "0x1", " 1", "007"]),
)
near_specs = st.builds("".join, st.tuples(numerals, st.sampled_from(["-", "--", ""]), numerals))
near_ranges = st.lists(st.one_of(near_specs, st.sampled_from(["", " ", "\t"])), max_size=8)


@given(near_ranges, st.integers(0, 2**40))
def test_whatever_is_asked_spans_lie_inside_the_representation(items, complete_length):
    specs = ranges.parse("bytes=" + ",".join(items))
    if not isinstance(specs, Ignored):
        for span in ranges.select(specs, complete_length):
            assert 0 <= span.start <= span.stop <= complete_length
            assert span.start < span.stop or complete_length == 0


# --- coalescing ---------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("asked"))
def test_spans_coalesce(vector):
    assert ranges.coalesce(spans_of(vector["asked"])) == spans_of(vector["coalesced"])


small_spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda at: Span(at[0], at[0] + at[1])),
    max_size=12,
)


def positions(spans):
    return {position for span in spans for position in range(span.start, span.stop)}


@given(small_spans)
def test_coalesced_spans_have_the_same_bytes_and_lie_apart(spans):
    coalesced = ranges.coalesce(spans)
    assert positions(coalesced) == positions(spans)
    ascending = sorted(coalesced)
    assert all(one.stop < following.start for one, following in pairwise(ascending))


@given(small_spans)
def test_coalesced_spans_stand_in_the_order_of_first_appearance(spans):
    def first_appearance(whole):
        return next(
            at for at, span in enumerate(spans) if whole.start <= span.start < whole.stop
        )

    appearances = [first_appearance(whole) for whole in ranges.coalesce(spans)]
    assert appearances == sorted(appearances)


def test_coalescing_does_not_slow_down_with_the_square_of_the_number():
    count = 100_000  # the square of which nobody would wait for
    apart = [Span(2 * at, 2 * at + 1) for at in reversed(range(count))]
    assert ranges.coalesce(apart) == tuple(apart)
    assert ranges.coalesce([Span(at, at + 2) for at in range(count)]) == (Span(0, count + 1),)


# --- Content-Range ------------------------------------------------------------------------


def content_range_of(vector):
    return ContentRange(vector["span"] and Span(*vector["span"]), vector["complete_length"])


@pytest.mark.parametrize("vector", vectors("content_range"))
def test_a_content_range_is_written(vector):
    assert content_range_of(vector).to_field() == vector["content_range"]


@pytest.mark.parametrize("vector", vectors("content_range"))
def test_a_content_range_is_read(vector):
    assert ContentRange.from_field(vector["content_range"]) == content_range_of(vector)


@pytest.mark.parametrize("vector", vectors("lenient"))
def test_a_content_range_is_read_that_we_would_write_otherwise(vector):
    assert ContentRange.from_field(vector["lenient"]) == content_range_of(vector)


@pytest.mark.parametrize("vector", vectors("unreadable"))
def test_an_invalid_content_range_is_not_read(vector):
    assert ContentRange.from_field(vector["unreadable"]) is None


def test_a_content_range_with_thousands_of_digits_is_read():
    content_range = ContentRange.from_field("bytes 5-{}/*".format("9" * 5000))
    assert content_range is not None
    assert content_range.span.start == 5


def test_unsatisfied_names_the_complete_length_only():
    assert ContentRange.unsatisfied(526).to_field() == "bytes */526"


@pytest.mark.parametrize(
    ("span", "complete_length"),
    [(None, None), (None, -1), (Span(3, 3), 10), (Span(0, 0), None), (Span(3, 11), 10)],
)
def test_a_content_range_that_cannot_be_written_cannot_be_made(span, complete_length):
    with pytest.raises(ValueError, match="no Content-Range"):
        ContentRange(span, complete_length)


content_ranges = st.one_of(
    st.builds(ContentRange.unsatisfied, st.integers(0, 2**70)),
    st.builds(
        lambda start, length, rest: ContentRange(
            Span(start, start + length), None if rest is None else start + length + rest
        ),
        st.integers(0, 2**70),
        st.integers(1, 2**70),
        st.none() | st.integers(0, 2**70),
    ),
)


@given(content_ranges)
def test_what_is_written_reads_back(content_range):
    assert ContentRange.from_field(content_range.to_field()) == content_range


def test_each_vector_is_of_one_kind():
    kinds = ("spans", "ignored", "asked", "content_range", "lenient", "unreadable")
    assert all(sum(kind in each for kind in kinds) == 1 for each in VECTORS)
