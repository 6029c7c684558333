import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import MalformedField
from tailrace.protocol.fields import Fields
from tailrace.protocol.media_types import MediaType, essence_of, parse_media_type

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "media_types.json").read_text())
WELL_FORMED = [vector for vector in VECTORS if "malformed" not in vector]
MALFORMED = [vector for vector in VECTORS if "malformed" in vector]

names = st.text("!#$%&'*+-.^_`|~09az", min_size=1)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
media_types = st.builds(MediaType, names, names, st.dictionaries(names, values))


@pytest.mark.parametrize("vector", WELL_FORMED, ids=lambda vector: vector["name"])
def test_a_media_type_is_read_and_written(vector):
    media_type = parse_media_type(vector["value"])
    assert media_type == MediaType(vector["type"], vector["subtype"], vector["parameters"])
    assert media_type.to_field() == vector["written"]


@pytest.mark.parametrize("vector", MALFORMED, ids=lambda vector: vector["name"])
def test_what_is_no_media_type_is_refused(vector):
    with pytest.raises(MalformedField) as raised:
        parse_media_type(vector["value"])
    assert (raised.value.name, raised.value.value) == ("Content-Type", vector["value"])


def test_the_error_names_the_field_that_was_read():
    with pytest.raises(MalformedField) as raised:
        parse_media_type("text", "Upload-Metadata")
    assert raised.value.name == "Upload-Metadata"


def test_the_essence_is_without_parameters():
    assert parse_media_type("Text/HTML; charset=utf-8").essence == "text/html"


def test_media_types_can_be_members_of_a_set():
    assert len({MediaType("a", "b", {"c": "d"}), MediaType("a", "b", {"c": "d"})}) == 1


def test_a_value_that_no_field_can_hold_is_not_written():
    with pytest.raises(ValueError, match="quoted-string"):
        MediaType("text", "plain", {"name": "a\r\nb"}).to_field()


@given(media_types)
def test_a_media_type_that_is_written_is_read_back(media_type):
    assert parse_media_type(media_type.to_field()) == media_type


@pytest.mark.parametrize(
    ("lines", "essence"),
    [
        ([], ""),
        ([("Content-Type", "text/plain")], "text/plain"),
        ([("content-type", "Text/HTML \t; charset=x")], "text/html"),
        ([("Content-Type", "nonsense")], "nonsense"),
    ],
)
def test_the_essence_of_content_is_its_type_without_parameters(lines, essence):
    assert essence_of(Fields.of(*lines)) == essence
