"""Media types guessed from names."""

import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.intake.media_types import OCTET_STREAM, guess_media_type
from tailrace.protocol.media_types import parse_media_type

near_names = st.lists(
    st.one_of(
        st.sampled_from([".txt", ".tar", ".gz", ".", "/", "data:", "http://", ";", ",", "?"]),
        st.characters(),
    )
).map("".join)


# From the IANA registry of media types, but for the two of `x-`.
@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("A.TXT", "text/plain"),
        ("a.b.csv", "text/csv"),
        ("a.js", "text/javascript"),  # RFC 9239
        ("a.mjs", "text/javascript"),
        ("a.md", "text/markdown"),  # RFC 7763
        ("a.json", "application/json"),
        ("a.ndjson", "application/x-ndjson"),
        ("a.pdf", "application/pdf"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),  # RFC 9649
        ("a.mp3", "audio/mpeg"),
        ("a.flac", "audio/flac"),  # RFC 9639
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.zst", "application/zstd"),  # RFC 8878
        ("a.tar.gz", "application/gzip"),  # RFC 6713
        ("a.tgz", "application/gzip"),
        ("a.csv.bz2", "application/x-bzip2"),
        ("a.csv.xz", OCTET_STREAM),
        ("a", OCTET_STREAM),
        (".txt", OCTET_STREAM),
        ("a.", OCTET_STREAM),
        ("", OCTET_STREAM),
        ("a.unheard-of", OCTET_STREAM),
    ],
)
def test_the_extension_tells(name, media_type):
    assert guess_media_type(name) == media_type


@pytest.mark.parametrize("name", ["data:text/html,a.txt", "http://x/a.html?a.txt", "c:a.txt"])
def test_a_name_that_looks_like_a_url_is_a_name(name):
    assert guess_media_type(name) == "text/plain"


def test_what_the_machine_was_told_does_not_count(monkeypatch):
    monkeypatch.setitem(mimetypes.types_map, ".unheard-of", "text/html")
    monkeypatch.setitem(mimetypes.types_map, ".txt", "text/html")
    assert guess_media_type("a.unheard-of") == OCTET_STREAM
    assert guess_media_type("a.txt") == "text/plain"


@given(near_names)
def test_any_name_has_a_type_that_can_be_read(name):
    assert parse_media_type(guess_media_type(name)).essence
