import pytest

from tailrace.protocol.structured import Date, DisplayString, InnerList, Item, Token
from tailrace.protocol.structured.values import KEY, TOKEN


def test_texts_of_different_types_are_different_values():
    """RFC 9651 appendix B: the distinction between Tokens and Strings must be kept."""
    assert len({"a", Token("a"), DisplayString("a")}) == 3
    assert Date(1) != 1


def test_items_without_parameters_share_none():
    assert Item(1).parameters == {} == InnerList(()).parameters
    assert Item(1).parameters is not Item(1).parameters


def test_items_can_be_members_of_a_set():
    assert len({Item(1, {"a": 2}), Item(1, {"a": 2}), InnerList((Item(1),))}) == 2


@pytest.mark.parametrize("key", ["a", "*", "a0_-.*"])
def test_a_key_is_known(key):
    assert KEY.fullmatch(key)


@pytest.mark.parametrize("text", ["a", "*", "A0!#$%&'*+-.^_`|~:/"])
def test_a_token_is_known(text):
    assert TOKEN.fullmatch(text)
