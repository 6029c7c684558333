"""Any conditional range request, held against a model of RFC 9110 that knows what it means.

Each field is drawn together with its meaning, so the model parses nothing: it only decides,
and counts positions one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import PLACES
from wire import content_range, parts_of

LENGTHS = (0, 1, 2, 17)

ows = st.sampled_from(["", " ", "\t", " \t "])
commas = st.builds("{}{}{}".format, ows, st.sampled_from([",", ",", ",,", ", ,"]), ows)
edges = st.sampled_from(["", "", ",", ", ,"])


def listed(draw, elements):
    """Write elements as a list, somehow (§5.6.1.2)."""
    text = draw(edges)
    for number, element in enumerate(elements):
        text += (draw(commas) if number else "") + element
    return text + draw(edges)


# --- conditions ---------------------------------------------------------------------------

TAGS = {
    "current": "<tag>",
    "current, weak": "W/<tag>",
    "other": '"x,y"',
    "other, weak": 'W/"z"',
}


@dataclass(frozen=True)
class TagList:
    text: str
    names: frozenset[str]
    is_any: bool = False


@st.composite
def tag_lists(draw):
    if draw(st.integers(0, 7)) == 0:
        return TagList("*", frozenset(), is_any=True)
    names = draw(st.lists(st.sampled_from(list(TAGS)), min_size=1, max_size=4))
    text = listed(draw, [TAGS[name] for name in names])
    if draw(st.integers(0, 7)) == 0:  # what is no list of tags matches nothing
        return TagList(text + draw(st.sampled_from([', "', ", x", ' ""x', ", *"])), frozenset())
    return TagList(text, frozenset(names))


@dataclass(frozen=True)
class Date:
    text: str
    order: int | None
    """-1, 0 or 1, as it is before, at or after the modification; None where it is no date."""


VALID_DATES = {"earlier": -1, "date": 0, "later": 1}
FORMS = ["", " rfc850", " asctime"]
dates = st.one_of(
    st.builds(
        lambda name, form: Date(f"<{name}{form}>", VALID_DATES[name]),
        st.sampled_from(list(VALID_DATES)),
        st.sampled_from(FORMS),
    ),
    st.sampled_from(["", "0", "<date utc>", "<date>, <date>", '"<date>"', "<date>x"]).map(
        lambda text: Date(text, None)
    ),
)


# --- ranges -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranges:
    text: str
    specs: tuple[tuple[int | None, int | None], ...] | None
    """First and last, either of which may be missing; None where it is to be ignored."""


numbers = st.one_of(st.integers(0, 20), st.sampled_from([2**63, 2**64, 10**700]))
numerals = st.tuples(numbers, st.sampled_from(["", "0", "000"])).map(
    lambda drawn: (drawn[0], drawn[1] + digits(drawn[0]))
)


def digits(number):
    """As str, which refuses numbers of many digits."""
    return "1" + "0" * 700 if number == 10**700 else str(number)


@st.composite
def ranges(draw):
    specs, elements = [], []
    for _ in range(draw(st.integers(1, 5))):
        first, first_text = draw(numerals)
        last, last_text = draw(numerals)
        kind = draw(st.sampled_from(["both", "both", "open", "suffix"]))
        if kind == "both" and last < first:
            (first, first_text), (last, last_text) = (last, last_text), (first, first_text)
        specs.append((None if kind == "suffix" else first, None if kind == "open" else last))
        elements.append(
            f"{'' if kind == 'suffix' else first_text}-{'' if kind == 'open' else last_text}"
        )
    unit = draw(st.sampled_from(["bytes", "bytes", "BYTES", "items"]))
    if draw(st.integers(0, 7)) == 0:
        elements.insert(draw(st.integers(0, len(elements))), draw(wrong_elements))
        return Ranges(f"{unit}={listed(draw, elements)}", None)
    return Ranges(f"{unit}={listed(draw, elements)}", None if unit == "items" else tuple(specs))


wrong_elements = st.sampled_from(["-", "5", "5-4", "+0-4", "0_0-4", "a-b", "0 -4", "--4"])


def runs_of(specs, length):
    """Return the runs of positions that are asked for, in the order in which they are.

    A suffix of nothing is asked for, though it has no position: so it is in the count.
    """
    asked = {}
    is_satisfiable = False
    for rank, (first, last) in enumerate(specs):
        if first is None:
            positions = range(max(length - last, 0), length) if last else range(0)
            is_satisfiable |= last > 0
        else:
            positions = range(
                min(first, length), length if last is None else min(last + 1, length)
            )
            is_satisfiable |= bool(positions)
        for position in positions:
            asked.setdefault(position, rank)
    runs = []
    for position in sorted(asked):
        if runs and runs[-1][-1] == position - 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    runs.sort(key=lambda run: min(asked[position] for position in run))
    return [slice(run[0], run[-1] + 1) for run in runs], is_satisfiable


# --- the model ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    method: str
    if_match: TagList | None
    if_none_match: TagList | None
    if_modified_since: Date | None
    if_unmodified_since: Date | None
    if_range: TagList | Date | None
    range: Ranges | None

    def lines(self):
        named = {
            "If-Match": self.if_match,
            "If-None-Match": self.if_none_match,
            "If-Modified-Since": self.if_modified_since,
            "If-Unmodified-Since": self.if_unmodified_since,
            "If-Range": self.if_range,
            "Range": self.range,
        }
        return [(name, value.text) for name, value in named.items() if value is not None]


def expected(request, length):
    """Return the status and the spans that §13.2.2, §14.2 and §15.5.17 ask for."""
    if request.if_match is not None:
        if not request.if_match.is_any and "current" not in request.if_match.names:
            return 412, None
    elif request.if_unmodified_since is not None and request.if_unmodified_since.order == -1:
        return 412, None
    if request.if_none_match is not None:
        names = request.if_none_match.names
        if request.if_none_match.is_any or names & {"current", "current, weak"}:
            return 304, None
    elif request.if_modified_since is not None and request.if_modified_since.order in (0, 1):
        return 304, None
    whole = 200, [slice(0, length)]
    if request.method != "GET" or request.range is None or request.range.specs is None:
        return whole
    match request.if_range:
        case Date(order=order) if order != 0:
            return whole
        case TagList(names=names) if names != {"current"}:
            return whole
    runs, is_satisfiable = runs_of(request.range.specs, length)
    if not is_satisfiable:
        return 416, None
    return (206, runs) if runs else whole


single_tags = st.sampled_from(list(TAGS)).map(
    lambda name: TagList(TAGS[name], frozenset([name]))
)
requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
    if_match=st.none() | st.none() | tag_lists(),
    if_none_match=st.none() | st.none() | tag_lists(),
    if_modified_since=st.none() | dates,
    if_unmodified_since=st.none() | dates,
    if_range=st.none() | single_tags | dates,
    range=st.none() | ranges() | ranges(),
)


@pytest.mark.parametrize("name", PLACES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(request=requests, length=st.sampled_from(LENGTHS))
def test_any_request_is_answered_as_the_model_says(places, name, request, length):
    place = places.find(name, length)
    response = place.ask(
        request.method, *((name, place.fill(value)) for name, value in request.lines())
    )
    status, spans = expected(request, length)
    assert response.status == status
    if request.method == "HEAD" or spans is None:
        return
    if status == 206 and len(spans) > 1:
        found = [(said, content) for _, said, content in parts_of(response)]
        assert found == [
            (content_range(span, place.content), place.content[span]) for span in spans
        ]
    else:
        assert response.content == place.content[spans[0]]
        said = content_range(spans[0], place.content) if status == 206 else None
        assert response.get("Content-Range") == said
