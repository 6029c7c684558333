import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import MalformedField
from tailrace.intake.upload_records import (
    expected_of,
    hash_of,
    media_type_of,
    new_key,
    notes_of,
    record_of,
)
from tailrace.protocol.uploads import Concatenate, Create

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

# As `Fields` gives them: one character for one octet.
values = st.text(st.characters(max_codepoint=0xFF))
notes = st.lists(st.tuples(st.sampled_from(["Upload-Metadata", "X"]), values)).map(tuple)


def creation(**facts):
    described = {"name": "a.txt", "media_type": None, "digests": {}, **facts}
    return Create(complete_length=None, is_complete=False, content_length=None, **described)


def kept(command):
    return record_of(command, new_key(), "file", NOON, None)


@given(notes)
def test_notes_come_back_as_they_were_given(notes):
    assert notes_of(kept(creation(notes=notes))) == notes
    joined = Concatenate("a", None, {}, ("key",), notes)
    assert notes_of(kept(joined)) == notes


@given(st.dictionaries(st.just("sha-256"), st.binary(min_size=32, max_size=32)))
def test_digests_come_back_as_they_were_given(digests):
    assert expected_of(kept(creation(digests=digests))) == digests


def test_only_what_is_begun_as_a_part_is_one():
    assert kept(creation(is_partial=True)).is_partial
    assert not kept(creation()).is_partial
    assert not kept(Concatenate("a", None, {}, ("key",), ())).is_partial


def test_a_key_is_kept_as_its_hash_only():
    key = new_key()
    record = record_of(creation(), key, "file", NOON, None)
    assert record.key_hash == hash_of(key) == hashlib.sha256(key.encode()).digest()
    assert key not in repr(record)


def test_keys_are_never_the_same():
    assert len({new_key() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("a.txt", None, "text/plain"),
        ("a.txt", "application/octet-stream", "text/plain"),
        ("a.txt", "image/png", "image/png"),
        ("a", None, "application/octet-stream"),
    ],
)
def test_a_type_is_guessed_only_where_the_client_does_not_say(name, given, kept):
    assert media_type_of(creation(name=name, media_type=given)) == kept


def test_a_type_longer_than_any_is_refused():
    with pytest.raises(MalformedField):
        media_type_of(creation(media_type="a/" + "b" * 600))
