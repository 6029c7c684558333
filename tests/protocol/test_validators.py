import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol.validators import AnyTag, EntityTag, parse_entity_tags

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "validators.json").read_text())


def vectors(key):
    """The vectors of one kind: each kind has a key of its own."""
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


@pytest.mark.parametrize("vector", vectors("field"))
def test_an_entity_tag_is_read(vector):
    expected = EntityTag(vector["opaque"], weak=vector["weak"])
    assert EntityTag.from_field(vector["field"]) == expected


@pytest.mark.parametrize("vector", vectors("field"))
def test_an_entity_tag_is_written(vector):
    assert EntityTag(vector["opaque"], weak=vector["weak"]).to_field() == vector["field"]


@pytest.mark.parametrize("vector", vectors("malformed"))
def test_a_malformed_entity_tag_is_not_read(vector):
    assert EntityTag.from_field(vector["malformed"]) is None


@pytest.mark.parametrize("vector", vectors("tags"))
def test_entity_tags_compare(vector):
    one, other = map(EntityTag.from_field, vector["tags"])
    assert one.matches_strongly(other) is vector["strong"]
    assert one.matches_weakly(other) is vector["weak_match"]


@pytest.mark.parametrize("vector", vectors("any"))
def test_any_tag_is_read(vector):
    assert parse_entity_tags(vector["list"]) is AnyTag.ANY


@pytest.mark.parametrize("vector", vectors("members"))
def test_a_list_of_entity_tags_is_read(vector):
    assert parse_entity_tags(vector["list"]) == tuple(
        map(EntityTag.from_field, vector["members"])
    )


@pytest.mark.parametrize("opaque", ['"', 'a"b', "a b", "\t", "\x7f", "\r\n", "\u0100"])
def test_an_entity_tag_that_cannot_be_written_cannot_be_made(opaque):
    with pytest.raises(ValueError, match="no entity tag"):
        EntityTag(opaque)


etagc = st.one_of(
    st.just("!"),
    st.characters(min_codepoint=0x23, max_codepoint=0x7E),
    st.sampled_from("\x80ÿ,\\"),
)
entity_tags = st.builds(EntityTag, st.text(etagc, max_size=8), st.booleans())
separators = st.sampled_from([",", ", ", " ,", "\t,\t", ",,", ", ,,"])


@given(entity_tags)
def test_what_is_written_reads_back(tag):
    assert EntityTag.from_field(tag.to_field()) == tag


@given(st.lists(entity_tags, min_size=1, max_size=6), separators)
def test_a_list_that_is_written_reads_back(tags, separator):
    written = separator.join(tag.to_field() for tag in tags)
    assert parse_entity_tags(written) == tuple(tags)


@given(st.text(st.sampled_from('W/"a, *\\'), max_size=16))
def test_a_list_has_no_members_or_all_that_stand_between_its_quotes(value):
    tags = parse_entity_tags(value)
    if tags is not AnyTag.ANY and tags:
        assert 2 * len(tags) == value.count('"')
        assert [tag.opaque for tag in tags] == value.split('"')[1::2]


@pytest.mark.parametrize("filler", [" ", "\t", ",", '"', '"",', "W/"])
def test_a_long_value_that_breaks_at_its_end_is_read_in_linear_time(filler):
    # In the square of this length it would take minutes.
    assert parse_entity_tags('"a", ' + filler * 200_000 + "b") == ()


def test_each_vector_is_of_one_kind():
    kinds = ("field", "malformed", "tags", "any", "members")
    assert all(sum(kind in each for kind in kinds) == 1 for each in VECTORS)
