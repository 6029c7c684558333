import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol import negotiation

FOLDER = Path(__file__).parents[1] / "vectors"
WEIGHTS = json.loads((FOLDER / "negotiation.json").read_text())
NAMED = json.loads((FOLDER / "named_types.json").read_text())

TYPES = ["text/html", "text/plain", "application/json", "application/octet-stream"]
near_ranges = st.tuples(
    st.sampled_from([*TYPES, "text/*", "*/*", "*", "*/html", "text", ""]),
    st.sampled_from(["", ";q=0", ";q=0.5", "; q=1", ";q=.3", ";q=2", ";a=b;q=0.1", ";"]),
)
near_accepts = st.lists(near_ranges.map("".join)).map(", ".join)
offers = st.lists(st.sampled_from(TYPES), unique=True)


@pytest.mark.parametrize("vector", WEIGHTS, ids=lambda vector: vector["name"])
def test_a_media_type_has_the_weight_of_the_most_specific_range(vector):
    for media_type, weight in vector["weights"].items():
        assert negotiation.weight(vector["accept"], media_type) == weight, media_type


@pytest.mark.parametrize("vector", NAMED, ids=lambda vector: vector["name"])
def test_a_media_type_is_named_only_by_itself(vector):
    assert negotiation.names(vector["accept"], vector["media_type"]) is vector["names"]


def test_the_offer_of_most_weight_is_preferred():
    accept = "text/plain;q=0.5, text/html"
    assert negotiation.preferred(accept, ["text/plain", "text/html"]) == "text/html"


def test_of_offers_liked_alike_the_earlier_is_preferred():
    assert negotiation.preferred("*/*", ["text/plain", "text/html"]) == "text/plain"
    assert negotiation.preferred(None, ["text/plain", "text/html"]) == "text/plain"


def test_where_no_offer_is_taken_none_is_preferred():
    assert negotiation.preferred("image/png", ["text/plain", "text/html"]) is None
    assert negotiation.preferred("text/plain;q=0", ["text/plain"]) is None
    assert negotiation.preferred("*/*", []) is None


@given(near_accepts, offers)
def test_no_offer_has_more_weight_than_the_preferred_one(accept, offers):
    preferred = negotiation.preferred(accept, offers)
    most = negotiation.weight(accept, preferred) if preferred else 0
    assert all(negotiation.weight(accept, offer) <= most for offer in offers)


@given(near_accepts, st.sampled_from(TYPES))
def test_what_is_named_is_acceptable(accept, media_type):
    if negotiation.names(accept, media_type):
        # A range with parameters names it and matches only with these.
        assert any(
            negotiation.weight(accept, media_type + parameters) > 0
            for parameters in ("", ";a=b")
        )


def test_an_element_that_cannot_be_read_is_left_out():
    ranges = negotiation.parse("text/html;q=0.5, text, */html, text/plain;q=9")
    assert [(each.range.essence, each.weight) for each in ranges] == [("text/html", 0.5)]
