import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import grammar

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "grammar.json").read_text())

TCHARS = "!#$%&'*+-.^_`|~09AZaz"
tokens = st.text(TCHARS, min_size=1)
quotable = st.text(st.characters(max_codepoint=0xFF).filter(lambda c: c == "\t" or c >= " "))
quotable = quotable.filter(lambda text: "\x7f" not in text)
# Shaped like lists of quoted strings, and broken in the ways such lists break.
near_elements = st.lists(
    st.sampled_from(["a", '"', "\\", ",", ";", " ", "\t", '"a,b"', "\xe9"])
)


def vectors(rule):
    chosen = [vector for vector in VECTORS if vector["rule"] == rule]
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["name"])


@vectors("token")
def test_a_token_is_known(vector):
    assert grammar.is_token(vector["text"]) is vector["is_token"]


@vectors("quoted-string")
def test_a_quoted_string_is_read(vector):
    assert grammar.unquote(vector["text"]) == vector["value"]


@vectors("quoted-string")
def test_a_quoted_string_is_written_with_no_more_quoted_pairs_than_needed(vector):
    if vector["value"] is not None:
        assert grammar.quote(vector["value"]) == vector.get("written", vector["text"])


@vectors("list")
def test_a_list_is_split_into_its_elements(vector):
    assert grammar.split_list(vector["text"]) == vector["elements"]


@vectors("parameters")
def test_parameters_are_read(vector):
    assert grammar.parse_parameters(vector["text"]) == vector["parameters"]


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x7f", "\u20ac"])
def test_what_no_quoted_string_can_hold_is_refused(text):
    with pytest.raises(ValueError, match="quoted-string"):
        grammar.quote(text)


def test_a_word_is_written_as_a_token_where_it_is_one():
    assert grammar.write_word("a") == "a"
    assert grammar.write_word("a b") == '"a b"'
    assert grammar.write_word("") == '""'


def test_a_text_that_is_neither_token_nor_quoted_string_is_no_word():
    assert grammar.parse_word("a b") is None


@given(quotable)
def test_what_is_quoted_is_read_back(text):
    assert grammar.unquote(grammar.quote(text)) == text


@given(quotable)
def test_a_word_that_is_written_is_read_back(text):
    assert grammar.parse_word(grammar.write_word(text)) == text


@given(st.lists(st.one_of(tokens, quotable.map(grammar.quote)), min_size=1))
def test_elements_that_are_joined_are_split_again(elements):
    assert grammar.split_list(", ".join(elements)) == elements
    assert grammar.split_semicolons("; ".join(elements)) == elements


@given(near_elements.map("".join))
def test_no_element_is_empty_or_has_whitespace_around_it(value):
    for element in grammar.split_list(value):
        assert element == element.strip(" \t") != ""


@given(near_elements.map("".join))
def test_splitting_loses_nothing_but_separators_and_whitespace(value):
    def rest(text):
        return [character for character in text if character not in ", \t"]

    assert rest("".join(grammar.split_list(value))) == rest(value)


@pytest.mark.parametrize(
    "value", ['"' * 100_001, '"\\' * 50_000, ", " * 50_000, '\\"a' * 50_000]
)
def test_no_value_takes_more_than_linear_time(value):
    # Quadratic time would be ten thousand million steps.
    grammar.split_list(value)
    grammar.parse_parameters(value)
