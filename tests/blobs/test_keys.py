"""The form of a blob's key; the forms themselves are tried on every store in `contracts`."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.blobs import BlobKey
from tailrace.blobs.keys import checked

SIGNS = string.ascii_lowercase + string.digits


@given(st.text(SIGNS, min_size=1, max_size=64))
def test_a_key_is_given_back_as_it_is(key: str) -> None:
    assert checked(BlobKey(key)) == key


@given(
    st.text(SIGNS, max_size=63), st.characters(exclude_characters=SIGNS), st.text(max_size=3)
)
def test_one_foreign_sign_spoils_a_key(before: str, sign: str, after: str) -> None:
    with pytest.raises(ValueError, match="not a blob key"):
        checked(BlobKey(before + sign + after))


def test_a_long_key_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match="not a blob key") as refusal:
        checked(BlobKey("A" * 10_000))
    assert len(str(refusal.value)) < 200
