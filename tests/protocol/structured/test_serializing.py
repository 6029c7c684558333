import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import structured
from tailrace.protocol.structured import Date, DisplayString, InnerList, Item, Token

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "structured.json").read_text())
WELL_FORMED = [vector for vector in VECTORS if "malformed" not in vector]

PARSE = {
    "item": structured.parse_item,
    "list": structured.parse_list,
    "dictionary": structured.parse_dictionary,
}
SERIALIZE = {
    "item": structured.serialize_item,
    "list": structured.serialize_list,
    "dictionary": structured.serialize_dictionary,
}

LARGEST = 999_999_999_999_999
integers = st.integers(-LARGEST, LARGEST)
keys = st.from_regex(r"[a-z*][a-z0-9_\-.*]*", fullmatch=True)
bare_items = st.one_of(
    integers,
    integers.map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    st.from_regex(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*", fullmatch=True).map(Token),
    st.binary(),
    st.booleans(),
    integers.map(Date),
    st.text().map(DisplayString),
)
parameters = st.dictionaries(keys, bare_items, max_size=3)
items = st.builds(Item, bare_items, parameters)
inner_lists = st.builds(InnerList, st.lists(items, max_size=3).map(tuple), parameters)
members = st.one_of(items, inner_lists)


@pytest.mark.parametrize("vector", WELL_FORMED, ids=lambda vector: vector["name"])
def test_a_structured_field_is_written(vector):
    value = PARSE[vector["type"]](vector["text"])
    assert SERIALIZE[vector["type"]](value) == vector.get("written", vector["text"])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.0005", "0.0"),
        ("0.0015", "0.002"),
        ("0.0025", "0.002"),
        ("0.00251", "0.003"),
        ("-0.0001", "0.0"),
        ("1", "1.0"),
        ("1E+3", "1000.0"),
        ("999999999999.9994", "999999999999.999"),
    ],
)
def test_a_decimal_is_rounded_to_three_places_and_to_even(value, written):
    """RFC 9651 §4.1.5."""
    assert structured.serialize_item(Item(Decimal(value))) == written


@pytest.mark.parametrize(
    "value",
    [
        LARGEST + 1,
        -LARGEST - 1,
        10**5000,
        Decimal("1000000000000"),
        Decimal("999999999999.9995"),
        Decimal("-1E+5000"),
        Decimal("NaN"),
        Decimal("Infinity"),
        "a\n",
        "\x7f",
        "\xfc",
        Token(""),
        Token("1a"),
        Token("a b"),
        Token("a\n"),
        Date(LARGEST + 1),
        DisplayString("\ud800"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_field_can_hold_is_not_written(value):
    with pytest.raises(structured.Malformed):
        structured.serialize_item(Item(value))
    with pytest.raises(structured.Malformed):
        structured.serialize_list([Item(1, {"a": value})])


@pytest.mark.parametrize("key", ["", "A", "1", "a b", "\xe4", "a\n"])
def test_what_is_no_key_is_not_written(key):
    with pytest.raises(structured.Malformed):
        structured.serialize_dictionary({key: Item(1)})
    with pytest.raises(structured.Malformed):
        structured.serialize_item(Item(1, {key: True}))


@given(items)
def test_an_item_that_is_written_is_read_back(item):
    assert structured.parse_item(structured.serialize_item(item)) == item


@given(st.lists(members, max_size=4).map(tuple))
def test_a_list_that_is_written_is_read_back(value):
    assert structured.parse_list(structured.serialize_list(value)) == value


@given(st.dictionaries(keys, members, max_size=4))
def test_a_dictionary_that_is_written_is_read_back_in_its_order(value):
    read = structured.parse_dictionary(structured.serialize_dictionary(value))
    assert list(read.items()) == list(value.items())


@given(items)
def test_a_value_that_is_read_back_has_its_type(item):
    read = structured.parse_item(structured.serialize_item(item))
    assert type(read.value) is type(item.value)
