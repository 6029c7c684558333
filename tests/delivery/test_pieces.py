import pytest

from tailrace.delivery.pieces import in_turn, length_of, pieces_of
from tailrace.protocol.byteranges import MultipartByteranges
from tailrace.spans import Span

pytestmark = pytest.mark.anyio


def test_multipart_content_is_heads_spans_and_a_closing():
    framing = MultipartByteranges((Span(0, 5), Span(7, 9)), "separator", "text/plain", 10)
    first, one, second, other, closing = pieces_of(framing)
    assert (one, other) == (Span(0, 5), Span(7, 9))
    assert b"Content-Range: bytes 0-4/10\r\n" in first
    assert b"Content-Range: bytes 7-8/10\r\n" in second
    assert closing == b"\r\n--separator--"
    assert length_of(pieces_of(framing)) == framing.content_length


@pytest.mark.parametrize(
    ("pieces", "length"), [([], 0), ([b"four"], 4), ([Span(3, 9), b"", b"x"], 7)]
)
def test_a_length_is_that_of_octets_and_spans_together(pieces, length):
    assert length_of(pieces) == length


async def test_pieces_come_in_turn():
    pieces = [b"one", Span(0, 2), b""]
    assert [piece async for piece in in_turn(pieces)] == pieces
