import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import prefer
from tailrace.protocol.fields import Fields
from tailrace.protocol.prefer import Preferences

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "prefer.json").read_text())

waits = st.none() | st.integers(0, 2**31)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_preferences_are_read(vector):
    fields = Fields.of(*(("Prefer", line) for line in vector["lines"]))
    assert prefer.parse(fields) == Preferences(vector["respond_async"], vector["wait"])


def test_thousands_of_digits_are_2_to_the_31():
    fields = Fields.of(("Prefer", "wait=" + "9" * 5000))
    assert prefer.parse(fields).wait == 2**31


def test_what_was_applied_is_written():
    """RFC 7240 §3."""
    assert prefer.applied(Preferences(respond_async=True)) == "respond-async"
    assert prefer.applied(Preferences(wait=10)) == "wait=10"
    assert prefer.applied(Preferences(True, 10)) == "respond-async, wait=10"


def test_where_nothing_was_applied_there_is_no_field():
    assert prefer.applied(Preferences()) is None


@given(st.builds(Preferences, st.booleans(), waits))
def test_preferences_that_are_written_are_read_back(preferences):
    written = prefer.applied(preferences)
    lines = [("Prefer", written)] if written is not None else []
    assert prefer.parse(Fields.of(*lines)) == preferences
