"""Arguments as they are kept."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import InvalidArguments
from tailrace.intake.jobs.arguments import from_text, to_text

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(st.dictionaries(texts, values))
def test_what_a_request_gives_is_read_back(given):
    assert from_text(to_text(given)) == given


def test_the_order_of_the_members_does_not_matter():
    assert to_text({"a": 1, "b": 2}) == to_text({"b": 2, "a": 1})


def test_a_value_of_python_is_kept_as_its_json():
    assert json.loads(to_text({"day": date(2026, 6, 1)})) == {"day": "2026-06-01"}


@pytest.mark.parametrize("value", [object(), b"\xff", "\ud800"])
def test_what_has_no_json_is_refused_by_its_name(value):
    with pytest.raises(InvalidArguments) as refusal:
        to_text({"ok": 1, "odd": value})
    assert [error["field"] for error in refusal.value.errors] == ["odd"]
