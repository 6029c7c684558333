"""multipart/byteranges: how several spans of one representation travel in one content.

Framing (RFC 9110 §14.6, RFC 2046 §5.1.1):

    content   = part *( CRLF part ) CRLF "--" boundary "--"
    part      = head bytes-of-the-span
    head      = "--" boundary CRLF
                "Content-Type: " media-type-of-the-representation CRLF
                "Content-Range: " content-range CRLF
                CRLF
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.protocol.ranges import ContentRange
from tailrace.spans import Span

# What RFC 2046 §5.1.1 lets a boundary be, less the characters that would have to be
# quoted in Content-Type: some recipients mishandle a quoted boundary (RFC 9110 §14.6).
_BOUNDARY = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class MultipartByteranges:
    """The framing of a content of several spans; its length is known before its first byte.

    The content is, for each of `parts()`, the head and then the bytes of the span, and
    after the last the `closing`. The boundary must not occur in the bytes sent. Nobody
    looks, so take one that cannot be guessed, of 100 random bits or more.

    Raises:
        ValueError: the boundary or the media type cannot be written in a field, or a span
            is empty or ends past the complete length.
    """

    spans: tuple[Span, ...]
    boundary: str
    media_type: str
    complete_length: int

    def __post_init__(self) -> None:
        if _BOUNDARY.fullmatch(self.boundary) is None:
            raise ValueError(f"no boundary can be {self.boundary!r}")
        if _FIELD_VALUE.fullmatch(self.media_type) is None:
            raise ValueError(f"no media type can be {self.media_type!r}")
        for span in self.spans:
            ContentRange(span, self.complete_length)

    @property
    def content_type(self) -> str:
        """The value of the Content-Type field of the response."""
        return f"multipart/byteranges; boundary={self.boundary}"

    @property
    def content_length(self) -> int:
        """The length of the whole content, framing included."""
        parts = sum(len(head) + span.length for head, span in self.parts())
        return parts + len(self.closing)

    def parts(self) -> Iterator[tuple[bytes, Span]]:
        """Yield for each span, in order, what to send before its bytes."""
        delimiter = f"--{self.boundary}"
        for span in self.spans:
            lines = (
                delimiter,
                f"Content-Type: {self.media_type}",
                f"Content-Range: {ContentRange(span, self.complete_length).to_field()}",
                "",
                "",
            )
            yield "\r\n".join(lines).encode("latin-1"), span
            delimiter = f"\r\n--{self.boundary}"

    @property
    def closing(self) -> bytes:
        """What to send after the last part."""
        return f"\r\n--{self.boundary}--".encode("ascii")
