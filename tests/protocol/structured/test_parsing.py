import base64
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tailrace.protocol import structured
from tailrace.protocol.structured import Date, DisplayString, InnerList, Item, Token

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "structured.json").read_text())
WELL_FORMED = [vector for vector in VECTORS if "malformed" not in vector]
MALFORMED = [vector for vector in VECTORS if "malformed" in vector]

PARSE = {
    "item": structured.parse_item,
    "list": structured.parse_list,
    "dictionary": structured.parse_dictionary,
}
TAGGED = {
    "token": Token,
    "date": Date,
    "display": DisplayString,
    "decimal": Decimal,
    "bytes": base64.b64decode,
}


def bare_item(value):
    if isinstance(value, dict):
        ((tag, inner),) = value.items()
        return TAGGED[tag](inner)
    return value


def parameters(values):
    return {key: bare_item(value) for key, value in values.items()}


def member(value):
    inner, inner_parameters = value
    if isinstance(inner, list):
        return InnerList(tuple(map(member, inner)), parameters(inner_parameters))
    return Item(bare_item(inner), parameters(inner_parameters))


def expected(vector):
    match vector["type"]:
        case "item":
            return member(vector["value"])
        case "list":
            return tuple(map(member, vector["value"]))
        case "dictionary":
            return {key: member(value) for key, value in vector["value"].items()}


def exactly(value):
    """Equal is not enough: True is 1, and the order of members counts."""
    match value:
        case Item(inner, inner_parameters):
            return Item, exactly(inner), exactly(inner_parameters)
        case InnerList(items, inner_parameters):
            return InnerList, exactly(items), exactly(inner_parameters)
        case dict():
            return [(key, exactly(inner)) for key, inner in value.items()]
        case tuple():
            return [exactly(inner) for inner in value]
        case _:
            return type(value), value


@pytest.mark.parametrize("vector", WELL_FORMED, ids=lambda vector: vector["name"])
def test_a_structured_field_is_read(vector):
    value = PARSE[vector["type"]](vector["text"])
    assert exactly(value) == exactly(expected(vector))


@pytest.mark.parametrize("vector", MALFORMED, ids=lambda vector: vector["name"])
def test_a_fault_spoils_the_whole_field(vector):
    with pytest.raises(structured.Malformed):
        PARSE[vector["type"]](vector["text"])


def test_a_token_is_not_the_string_of_the_same_text():
    assert structured.parse_item("a") != structured.parse_item('"a"')


def test_the_error_says_what_was_expected_and_where():
    with pytest.raises(structured.Malformed, match="expected a key at character 3, found '1'"):
        structured.parse_dictionary("a, 1")
    with pytest.raises(structured.Malformed, match="found the end"):
        structured.parse_item("")


@pytest.mark.parametrize(
    ("parse", "text", "count"),
    [
        (structured.parse_list, ", ".join(["1"] * 1024), 1024),
        (structured.parse_dictionary, ", ".join(f"a{n}" for n in range(1024)), 1024),
        (lambda text: structured.parse_list(text)[0].items, f"({'1 ' * 256})", 256),
        (
            lambda text: structured.parse_item(text).parameters,
            "1" + "".join(f";a{n}" for n in range(256)),
            256,
        ),
        (lambda text: structured.parse_item(text).value, '"' + "a" * 1024 + '"', 1024),
        (lambda text: structured.parse_item(text).value.text, "a" * 512, 512),
        (lambda text: structured.parse_item(text).value, f":{'AAAA' * 5462}:", 16386),
        (lambda text: next(iter(structured.parse_dictionary(text))), "a" * 64, 64),
    ],
    ids=["members", "keys", "items", "parameters", "string", "token", "bytes", "key"],
)
def test_sizes_that_every_parser_must_support(parse, text, count):
    """RFC 9651 §3.1 to §3.3.5."""
    assert len(parse(text)) == count


@pytest.mark.parametrize("text", ["1" * 100_000, '"' + "\\" * 100_000, "(" + "1 " * 50_000])
def test_long_nonsense_is_refused_at_once(text):
    with pytest.raises(structured.Malformed):
        structured.parse_list(text)
