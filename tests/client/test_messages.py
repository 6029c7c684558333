"""HTTP/1.1 on a stream that may end, or be wrong, anywhere."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.messages import framing, open_content, read_head, write_request
from tailrace.client.moves import Framing
from tailrace.errors import ConnectionLost, MalformedContent

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "response_messages.json").read_text()
)


def stream_of(octets):
    return io.BufferedReader(io.BytesIO(octets), 64)


def read_response(octets, method="GET", size=7):
    """Return the content of a response, read a few bytes at a time."""
    stream = stream_of(octets)
    head = read_head(stream)
    content = open_content(stream, *framing(method, head))
    buffer = memoryview(bytearray(size))
    read = b""
    while count := content.readinto(buffer):
        read += buffer[:count]
    return head, read


@pytest.mark.parametrize(
    "vector", [pytest.param(each, id=each["name"]) for each in VECTORS if "content" in each]
)
def test_a_response_is_read(vector):
    head, content = read_response(
        vector["octets"].encode("latin-1"), vector.get("method", "GET")
    )
    assert head.status == vector["status"]
    assert content.decode("latin-1") == vector["content"]
    for name, value in vector.get("fields", {}).items():
        assert head.fields.get(name) == value


@pytest.mark.parametrize(
    "vector", [pytest.param(each, id=each["name"]) for each in VECTORS if "error" in each]
)
def test_a_response_is_refused(vector):
    error = {"cut": ConnectionLost, "malformed": MalformedContent}[vector["error"]]
    with pytest.raises(error):
        read_response(vector["octets"].encode("latin-1"))


chunk_lists = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
zeros = st.integers(0, 3)


def coded(chunks, leading_zeros=0):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    sizes = [b"0" * leading_zeros + b"%X" % len(chunk) for chunk in (*chunks, b"")]
    pieces = zip(sizes, (*chunks, b""), strict=True)
    return head, b"".join(size + b"\r\n" + chunk + b"\r\n" for size, chunk in pieces)


@given(chunk_lists, zeros, st.integers(1, 50))
def test_whatever_the_chunks_the_content_is_the_same(chunks, leading_zeros, size):
    head, octets = coded(chunks, leading_zeros)
    _, content = read_response(head + octets, size=size)
    assert content == b"".join(chunks)


@given(chunk_lists, zeros, st.data())
def test_chunked_content_that_is_cut_never_ends_in_order(chunks, leading_zeros, data):
    head, octets = coded(chunks, leading_zeros)
    # Whole is what has the last chunk; of the empty line after it nothing depends.
    cut = data.draw(st.integers(0, len(octets) - 3))
    with pytest.raises(ConnectionLost):
        read_response(head + octets[:cut])


@given(st.binary(max_size=60), st.data())
def test_content_with_a_length_that_is_cut_never_ends_in_order(content, data):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(content) + 1)
    with pytest.raises(ConnectionLost):
        read_response(head + content[: data.draw(st.integers(0, len(content)))])


octets_like_a_head = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 ",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n",
            b"\n",
            b" ",
            b":",
            b"5",
            b"0\r\n\r\n",
            b"-",
            b"hello",
            b"\x00",
            b"\xff",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(octets_like_a_head)
def test_whatever_comes_it_is_read_or_refused(octets):
    try:
        read_response(octets)
    except (ConnectionLost, MalformedContent):
        pass


def test_a_head_without_end_is_refused():
    with pytest.raises(MalformedContent, match="longer than"):
        read_head(stream_of(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000))


def test_a_line_without_end_is_refused():
    with pytest.raises(MalformedContent, match="longer than"):
        read_head(stream_of(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000))


def test_a_length_of_thousands_of_digits_is_refused():
    with pytest.raises(MalformedContent):
        read_response(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_content(status):
    head = read_head(stream_of(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status))
    assert framing("GET", head) == (Framing.LENGTH, 0)


# --- requests -----------------------------------------------------------------------------


def test_a_request_is_written():
    assert write_request("GET", "/a?b", [("Host", "h"), ("If-Range", '"x"')]) == (
        b'GET /a?b HTTP/1.1\r\nHost: h\r\nIf-Range: "x"\r\n\r\n'
    )


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/a b", ("Host", "h")),
        ("/\r\nX: y", ("Host", "h")),
        ("", ("Host", "h")),
        ("/", ("Host", "h\r\nX: y")),
        ("/", ("Ho st", "h")),
        ("/", ("Host", "\u20ac")),
    ],
)
def test_nothing_can_be_smuggled_into_a_request(target, field):
    with pytest.raises(ValueError, match=r"target|field"):
        write_request("GET", target, [field])
