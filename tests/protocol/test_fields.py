import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol.fields import Fields

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "fields.json").read_text())
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])

names = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1)
values = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0"))
lines = st.lists(st.tuples(names, values))


@vectors
def test_a_field_is_found_by_its_name(vector):
    fields = Fields.of(*map(tuple, vector["lines"]))
    assert fields.get(vector["field"]) == vector["value"]
    assert fields.get_all(vector["field"]) == tuple(vector["values"])
    assert (vector["field"] in fields) is (vector["value"] is not None)


@vectors
def test_fields_of_asgi_say_the_same(vector):
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in vector["lines"]]
    assert Fields.from_raw(raw) == Fields.of(*map(tuple, vector["lines"]))


def test_asgi_takes_names_in_lower_case_and_lines_in_order():
    fields = Fields.of(("ETag", '"1"'), ("Accept-Ranges", "bytes"), ("etag", '"2"'))
    assert fields.to_raw() == [
        (b"etag", b'"1"'),
        (b"accept-ranges", b"bytes"),
        (b"etag", b'"2"'),
    ]


def test_no_fields_are_no_lines():
    assert Fields.of() == Fields() == Fields.from_raw([])
    assert Fields().to_raw() == []


@pytest.mark.parametrize("dangerous", [b"\r\n", b"\n", b"\r", b"\0"])
def test_what_is_dangerous_in_a_received_value_is_read_as_spaces(dangerous):
    """RFC 9110 §5.5."""
    fields = Fields.from_raw([(b"a", b"b" + dangerous + b"c: d")])
    assert fields.get("a") == "b" + " " * len(dangerous) + "c: d"


@pytest.mark.parametrize("value", ["b\r\nc: d", "b\n", "\0", "\u20ac"])
def test_a_value_that_cannot_be_sent_is_refused(value):
    with pytest.raises(ValueError, match="the field a cannot have the value"):
        Fields.of(("a", value))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "\xe9"])
def test_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(ValueError, match="not a field name"):
        Fields.of((name, "b"))


@given(lines)
def test_fields_that_are_sent_are_received(lines):
    fields = Fields.of(*lines)
    assert Fields.from_raw(fields.to_raw()) == fields


@given(lines)
def test_every_line_is_found_by_its_name_in_any_case(lines):
    fields = Fields.of(*lines)
    for name, value in lines:
        assert value.strip(" \t") in fields.get_all(name.swapcase())
