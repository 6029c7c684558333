import email
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.protocol.ranges import ContentRange
from tailrace.spans import Span

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "byteranges.json").read_text())
GOOD = {
    "spans": [[0, 2], [5, 10]],
    "boundary": "separator",
    "media_type": "text/plain",
    "complete_length": 10,
}


def vectors(key):
    """The vectors of one kind: each kind has a key of its own."""
    return [pytest.param(each, id=each["name"]) for each in VECTORS if key in each]


def framing_of(vector):
    return MultipartByteranges(
        tuple(Span(*pair) for pair in vector["spans"]),
        vector["boundary"],
        vector["media_type"],
        vector["complete_length"],
    )


@pytest.mark.parametrize("vector", vectors("heads"))
def test_spans_are_framed(vector):
    framing = framing_of(vector)
    assert [head.decode() for head, _ in framing.parts()] == vector["heads"]
    assert framing.closing.decode() == vector["closing"]


@pytest.mark.parametrize("vector", vectors("heads"))
def test_each_head_comes_with_its_span(vector):
    assert [[s.start, s.stop] for _, s in framing_of(vector).parts()] == vector["spans"]


@pytest.mark.parametrize("vector", vectors("heads"))
def test_the_response_is_described(vector):
    framing = framing_of(vector)
    assert framing.content_type == vector["content_type"]
    assert framing.content_length == vector["content_length"]


@pytest.mark.parametrize("vector", vectors("refused"))
def test_what_cannot_be_framed_is_refused(vector):
    framing_of(GOOD)
    with pytest.raises(ValueError, match=r"^no "):
        framing_of(GOOD | vector["refused"])


def produce(framing, representation):
    pieces = []
    for head, span in framing.parts():
        pieces += [head, representation[span.start : span.stop]]
    return b"".join([*pieces, framing.closing])


# Line ends, hyphens and boundary-like lines are what could upset a reader of the framing.
chunks = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"--", b"--x", b"\r\n--", b"text", b"\x00\xff"]
)
representations = st.lists(chunks, min_size=1, max_size=30).map(b"".join)
boundaries = st.text("0123456789abcdefXYZ'+_.-", min_size=16, max_size=70)


@st.composite
def framed(draw):
    representation = draw(representations)
    length = len(representation)
    starts = draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=6))
    spans = tuple(Span(start, draw(st.integers(start + 1, length))) for start in starts)
    media_type = draw(st.sampled_from(["text/plain", "application/octet-stream"]))
    return MultipartByteranges(spans, draw(boundaries), media_type, length), representation


@given(framed())
def test_the_length_promised_is_the_length_produced(case):
    framing, representation = case
    assert framing.content_length == len(produce(framing, representation))


@given(framed())
def test_a_mime_parser_reads_the_parts_back(case):
    framing, representation = case
    content = produce(framing, representation)
    head = f"MIME-Version: 1.0\r\nContent-Type: {framing.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + content)
    assert not message.defects
    parts = message.get_payload()
    assert [part.get_content_type() for part in parts] == [framing.media_type] * len(parts)
    ranges = [ContentRange.from_field(part["Content-Range"]) for part in parts]
    assert tuple(each.span for each in ranges) == framing.spans
    assert all(each.complete_length == len(representation) for each in ranges)
    assert [part.get_payload(decode=True) for part in parts] == [
        representation[span.start : span.stop] for span in framing.spans
    ]


def test_each_vector_is_of_one_kind():
    assert all(("heads" in each) != ("refused" in each) for each in VECTORS)
