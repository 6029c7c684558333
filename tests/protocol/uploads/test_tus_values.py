import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import MalformedField
from tailrace.protocol.uploads.tus_values import (
    Final,
    parse_checksum,
    parse_concat,
    parse_metadata,
)

# "The key MUST NOT contain spaces and commas and MUST NOT be empty."
keys = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1
)
metadata = st.dictionaries(keys, st.binary(max_size=30), min_size=1, max_size=5)
segments = st.text(st.sampled_from("abcXYZ019-_"), min_size=1)
prefixes = st.sampled_from(["", "/", "/uploads/", "../", "https://example.com/share/uploads/"])
near_values = st.lists(
    st.sampled_from(["a", "YQ==", "YQ", " ", ",", "=", "é", "final;", "partial", "/", "sha1"])
).map("".join)


def encoded(data):
    return base64.b64encode(data).decode()


@given(metadata, st.booleans())
def test_metadata_is_what_its_client_wrote(written, with_spaces):
    pairs = [f"{key} {encoded(value)}" for key, value in written.items()]
    assert parse_metadata((", " if with_spaces else ",").join(pairs)) == written


@given(metadata)
def test_the_space_before_an_empty_value_may_be_left_out(written):
    value = ",".join(written)
    assert parse_metadata(value) == dict.fromkeys(written, b"")


@given(st.binary(min_size=20, max_size=20))
def test_a_checksum_is_the_digest_it_says(digest):
    assert parse_checksum(f"sha1 {encoded(digest)}").digest == digest


@given(st.binary(max_size=80).filter(lambda digest: len(digest) != 20))
def test_a_checksum_of_another_length_is_none(digest):
    with pytest.raises(MalformedField):
        parse_checksum(f"sha1 {encoded(digest)}")


@given(st.lists(st.tuples(prefixes, segments), min_size=1))
def test_the_keys_of_a_final_upload_are_in_the_order_of_its_urls(parts):
    urls = " ".join(prefix + segment for prefix, segment in parts)
    assert parse_concat(f"final;{urls}") == Final(tuple(segment for _, segment in parts))


@given(st.sampled_from([parse_metadata, parse_checksum, parse_concat]), near_values)
def test_whatever_is_sent_it_is_read_or_refused(parse, value):
    with contextlib.suppress(MalformedField):
        assert parse(value)
