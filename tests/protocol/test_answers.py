import json
import re
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import answers, ranges
from tailrace.protocol.answers import (
    Follow,
    NotModified,
    Part,
    Parts,
    PreconditionFailed,
    RangeNotSatisfiable,
    Selected,
    Whole,
)
from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.protocol.fields import Fields
from tailrace.protocol.ranges import ContentRange
from tailrace.protocol.validators import EntityTag, Validators
from tailrace.spans import Span

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "answers.json").read_text())
TAG = EntityTag("v1")
LAST_MODIFIED = datetime.fromisoformat("1994-10-29T19:43:31+00:00")


def complete(length):
    return Selected(Validators(TAG, LAST_MODIFIED), length, is_complete=True)


def growing(length):
    return Selected(Validators(TAG, None), length, is_complete=False)


def range_of(value):
    return Fields.of(("Range", value))


def content_of(answer):
    """Which spans of the representation the content has; None where that is not known."""
    match answer:
        case Whole(length):
            return [Span(0, length)] if length else []
        case Part(span):
            return [span]
        case Parts(spans):
            return list(spans)
    return None


@pytest.mark.parametrize("vector", [pytest.param(each, id=each["name"]) for each in VECTORS])
def test_a_request_is_answered(vector):
    state = growing if vector.get("growing") else complete
    fields = Fields.of(*map(tuple, vector["fields"]))
    answer = answers.answer(
        vector.get("method", "GET"), fields, state(vector.get("length", 10))
    )

    assert answers.status(answer) == vector["status"]
    says = dict(answers.fields(answer))
    accept_ranges = says.pop("Accept-Ranges", None)
    assert says == vector["says"]
    assert accept_ranges == (None if vector["status"] in (304, 412) else "bytes")
    content = content_of(answer)
    assert (content and [[span.start, span.stop] for span in content]) == vector.get("content")
    assert (answer.start if isinstance(answer, Follow) else None) == vector.get("follows_from")


EVERY_ANSWER = {
    Whole(10): 200,
    Part(Span(0, 5), 10): 206,
    Parts((Span(0, 1), Span(5, 6)), 10): 206,
    Follow(0, None): 200,
    Follow(5, answers.INDEFINITE_LAST): 206,
    NotModified(): 304,
    PreconditionFailed(): 412,
    RangeNotSatisfiable(10): 416,
    RangeNotSatisfiable(None): 416,
}


@pytest.mark.parametrize(("answer", "status"), EVERY_ANSWER.items())
def test_every_answer_has_its_status(answer, status):
    assert answers.status(answer) == status


def test_every_kind_of_answer_is_tested():
    assert {type(answer) for answer in EVERY_ANSWER} == set(get_args(answers.Answer))


@pytest.mark.parametrize(("start", "last"), [(5, None), (5, 4)])
def test_nothing_follows_but_from_the_start_or_up_to_a_last_position(start, last):
    with pytest.raises(ValueError, match="nothing follows"):
        Follow(start, last)


def test_ranges_past_the_limit_are_answered_with_the_whole():
    value = "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 1000, 2))
    assert answers.answer("GET", range_of(value), complete(1000)) == Whole(1000)
    assert answers.answer("GET", range_of(value), growing(1000)) == Follow(0, None)


# --- against a slow model -----------------------------------------------------------------

# The grammar of RFC 9110 §14.1.1 and §5.6.1.2 as one pattern, and numerals compared as text:
# nothing here is like what is tested.
SPEC = r"([0-9]+)-([0-9]*)|-([0-9]+)"
ELEMENT = rf"(?:{SPEC})?"
RANGE_SET = re.compile(rf"[ \t]*{ELEMENT}(?:[ \t]*,[ \t]*{ELEMENT})*[ \t]*")


def magnitude(numeral):
    digits = str(numeral).lstrip("0")
    return len(digits), digits


def specs_by_the_book(value):
    """The specs as (first, last, suffix length), or None where the field is set aside."""
    unit, _, range_set = value.partition("=")
    specs = re.findall(SPEC, range_set)
    if unit not in ("bytes", "Bytes") or not RANGE_SET.fullmatch(range_set):
        return None
    if not 1 <= len(specs) <= ranges.MAX_RANGES:
        return None
    if any(last and magnitude(last) < magnitude(first) for first, last, _ in specs):
        return None
    return specs


def selects_by_the_book(spec, position, length):
    first, last, suffix_length = spec
    if suffix_length:
        return magnitude(length - position) <= magnitude(suffix_length)
    is_late_enough = magnitude(first) <= magnitude(position)
    return is_late_enough and (not last or magnitude(position) <= magnitude(last))


def is_satisfiable_by_the_book(spec, length):
    first, _, suffix_length = spec
    return (
        magnitude(0) < magnitude(suffix_length)
        if suffix_length
        else (magnitude(first) < magnitude(length))
    )


numerals = st.one_of(
    st.integers(0, 25).map(str),
    st.integers(answers.VERY_LARGE_LAST - 1, 2**70).map(str),
    st.sampled_from(["0", "00", "007", "9" * 600, "9" * 5000]),
)
good_specs = st.one_of(
    st.builds("{}-{}".format, numerals, numerals),
    st.builds("{}-".format, numerals),
    st.builds("-{}".format, numerals),
)
bad_specs = st.sampled_from(
    ["-", "--1", "+1-2", "1_0-", "0x1-5", "5", "1-2-3", "a-b", "1 -2", "\xb2-"]
)
separators = st.sampled_from([",", ", ", " ,\t", ",,", ", ,"])


@st.composite
def range_values(draw):
    specs = draw(st.lists(good_specs, min_size=1, max_size=5))
    if draw(st.integers(0, 9)) == 0:
        specs.insert(draw(st.integers(0, len(specs))), draw(bad_specs))
    unit = draw(st.sampled_from(["bytes"] * 8 + ["Bytes", "items", "byte s"]))
    edge = draw(st.sampled_from(["", "", " ", ","]))
    return f"{unit}={edge}{draw(separators).join(specs)}{edge}"


@given(range_values(), st.integers(0, 20))
def test_a_complete_representation_is_answered_with_the_bytes_asked_for(value, length):
    answer = answers.answer("GET", range_of(value), complete(length))
    specs = specs_by_the_book(value)
    if specs is None:
        assert answer == Whole(length)
    elif not any(is_satisfiable_by_the_book(spec, length) for spec in specs):
        assert answer == RangeNotSatisfiable(length)
    elif length == 0:
        assert answer == Whole(0)
    else:
        asked = [
            any(selects_by_the_book(spec, position, length) for spec in specs)
            for position in range(length)
        ]
        assert isinstance(answer, Part | Parts)
        assert answer.complete_length == length
        sent = [position for s in content_of(answer) for position in range(s.start, s.stop)]
        assert sorted(sent) == [position for position in range(length) if asked[position]]
        runs = sum(
            now and not before for before, now in zip([False, *asked], asked, strict=False)
        )
        assert len(content_of(answer)) == runs
        assert isinstance(answer, Part) == (runs == 1)


@given(range_values(), st.integers(0, 20))
def test_an_answer_never_promises_more_than_there_is(value, length):
    answer = answers.answer("GET", range_of(value), complete(length))
    says = dict(answers.fields(answer))
    match answer:
        case Parts(spans):
            assert len(spans) > 1
            framing = MultipartByteranges(spans, "separator", "text/plain", length)
            assert framing.content_length > sum(span.length for span in spans)
        case Part(span):
            assert int(says["Content-Length"]) == span.length > 0
            assert ContentRange.from_field(says["Content-Range"]) == ContentRange(span, length)
            assert span.stop <= length
        case Whole():
            assert says["Content-Length"] == str(length)
        case _:
            assert says["Content-Range"] == f"bytes */{length}"


@given(range_values(), st.integers(0, 20))
def test_a_growing_representation_is_never_said_to_end(value, length):
    answer = answers.answer("GET", range_of(value), growing(length))
    says = dict(answers.fields(answer))
    content_range = says.get("Content-Range")
    assert content_range is None or content_range.endswith("/*")
    match answer:
        case Follow():
            assert "Content-Length" not in says
        case Part(span, complete_length):
            assert complete_length is None
            assert span.stop <= length
            ((first, last, _),) = specs_by_the_book(value)
            assert magnitude(first) == magnitude(span.start)
            # Only who named an end that is no very large one gets an end.
            assert magnitude(span.stop - 1) <= magnitude(last)
            assert magnitude(last) < magnitude(answers.VERY_LARGE_LAST)
        case _:
            assert answer == RangeNotSatisfiable(None)


@given(st.integers(0, answers.INDEFINITE_LAST), st.integers(0, 2**53))
def test_who_resumes_a_growing_representation_gets_all_the_rest(held, length):
    answer = answers.answer("GET", range_of(f"bytes={held}-"), growing(length))
    assert isinstance(answer, Follow)
    assert answer.start == held
    assert answers.status(answer) == (206 if held else 200)


@given(
    st.integers(0, answers.VERY_LARGE_LAST),
    st.integers(answers.VERY_LARGE_LAST, 10**100),
    st.integers(0, 2**53),
)
def test_a_very_large_last_position_comes_back_as_it_was_asked(first, last, length):
    answer = answers.answer("GET", range_of(f"bytes={first}-{last}"), growing(length))
    assert answer == Follow(first, last)
    assert dict(answers.fields(answer))["Content-Range"] == f"bytes {first}-{last}/*"


@given(range_values(), st.integers(0, 20), st.sampled_from(["HEAD", "POST", "PUT", "get"]))
def test_range_counts_for_get_alone(value, length, method):
    assert answers.answer(method, range_of(value), complete(length)) == Whole(length)
    assert answers.answer(method, range_of(value), growing(length)) == Follow(0, None)
