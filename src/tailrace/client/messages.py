"""HTTP/1.1 messages on a stream: a request head is written, a response is read (RFC 9112).

    status-line  = HTTP-version SP status-code SP [ reason-phrase ]        §4
    field-line   = field-name ":" OWS field-value OWS                      §5
    obs-fold     = OWS CRLF RWS                                            §5.2
    chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF           §7.1
    last-chunk   = 1*("0") [ chunk-ext ] CRLF

The standard library's http.client is not used, for it takes a cut for an end where a chunk
size is cut after a leading zero, accepts signs, underscores and `0x` as numbers, lets one
bad line hide all fields below it, and knows no interim response but 100. Here whatever is
cut raises ConnectionLost, and whatever is not HTTP raises MalformedContent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tailrace.client.moves import Framing
from tailrace.errors import ConnectionLost, MalformedContent
from tailrace.protocol.fields import Fields

if TYPE_CHECKING:
    from tailrace.client.pipes import Pipe

# A head of a megabyte is an attack; http.client and nginx stop at 64 KiB a line.
_MAX_HEAD = 64 * 1024

# A chunk extension nobody reads may be this long.
_MAX_CHUNK_LINE = 4096

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?\n")


class ResponseHead(NamedTuple):
    version: int
    """1 for HTTP/1.1, 0 for HTTP/1.0."""
    status: int
    reason: str
    fields: Fields


class ByteStream(Protocol):
    """What a connection brings, as SocketStream gives it."""

    @property
    def is_drawable(self) -> bool: ...
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...
    def readinto1(self, buffer: memoryview, /) -> int: ...
    def draw(self, pipe: Pipe, limit: int, /) -> int: ...


class Content(Protocol):
    """The content of one response."""

    def readinto(self, buffer: memoryview) -> int:
        """Read what there is, at least one byte; 0 is the orderly end.

        Raises:
            ConnectionLost: the content was cut.
            MalformedContent: its framing is broken.
        """

    @property
    def is_ended(self) -> bool:
        """Whether all of it has been read, so that what follows is the next response."""


def write_request(method: str, target: str, fields: Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a request.

    Raises:
        ValueError: a field or the target cannot be written.
    """
    if not re.fullmatch(r"[\x21-\x7e]+", target):
        raise ValueError(f"{target!r} is not a request target")
    lines = [f"{method} {target} HTTP/1.1".encode("ascii")]
    for name, value in Fields.of(*fields).to_raw():
        lines.append(name.title() + b": " + value)
    return b"\r\n".join((*lines, b"", b""))


def read_head(stream: ByteStream) -> ResponseHead:
    """Read the head of the next response; it may be an interim one (1xx)."""
    budget = _MAX_HEAD
    line = _read_line(stream, budget)
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedContent(f"the answer is not HTTP/1: it begins with {line[:40]!r}")
    budget -= len(line)
    lines: list[tuple[bytes, bytes]] = []
    while line := _read_line(stream, budget):
        budget -= len(line)
        if line[0] in b" \t" and lines:  # obs-fold, to be read as a space (§5.2)
            name, value = lines.pop()
            lines.append((name, value + b" " + line.strip()))
            continue
        field = _FIELD_LINE.fullmatch(line)
        if field is None:
            raise MalformedContent(f"the answer has a line that is no field: {line[:40]!r}")
        lines.append((field[1], field[2]))
    version, status, reason = match.groups()
    fields = Fields.from_raw(lines)
    return ResponseHead(int(version), int(status), (reason or b"").decode("latin-1"), fields)


def framing(method: str, head: ResponseHead) -> tuple[Framing, int | None]:
    """Tell what marks the end of the content, and its length if that does (§6.3).

    Raises:
        MalformedContent: the fields contradict each other, as they do where somebody
            smuggles; or the content is coded in a way nobody asked for.
    """
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return Framing.LENGTH, 0
    codings = head.fields.get("Transfer-Encoding")
    lengths = head.fields.get("Content-Length")
    if codings is not None:
        if lengths is not None or head.version == 0 or codings.lower() != "chunked":
            raise MalformedContent(
                f"the answer's Transfer-Encoding {codings!r} contradicts its Content-Length"
                f" {lengths!r} or its version, or is not chunked"
            )
        return Framing.CHUNKED, None
    if lengths is None:
        return Framing.CLOSE, None
    # The same length twice is one length (§6.3 rule 5).
    different = {length.strip(" \t") for length in lengths.split(",")}
    if len(different) > 1 or not re.fullmatch(r"[0-9]{1,18}", length := different.pop()):
        raise MalformedContent(f"the answer's Content-Length is {lengths[:60]!r}")
    return Framing.LENGTH, int(length)


def open_content(stream: ByteStream, framing: Framing, length: int | None) -> Content:
    match framing:
        case Framing.CHUNKED:
            return _ChunkedContent(stream)
        case Framing.LENGTH | Framing.CLOSE:
            return PlainContent(stream, length)


class PlainContent:
    """Content up to its length, or to the close of the connection."""

    def __init__(self, stream: ByteStream, length: int | None) -> None:
        self._stream = stream
        self._left = length

    def readinto(self, buffer: memoryview) -> int:
        if self._left == 0:
            return 0
        return self._count(self._stream.readinto1(buffer[: self._left]))

    @property
    def is_drawable(self) -> bool:
        """Whether `draw` may be used now."""
        return self._stream.is_drawable

    @property
    def is_ended(self) -> bool:
        return self._left == 0

    def draw(self, pipe: Pipe, limit: int) -> int:
        """Do as `readinto`, but move the bytes into an empty pipe."""
        if self._left == 0:
            return 0
        limit = limit if self._left is None else min(limit, self._left)
        return self._count(self._stream.draw(pipe, limit))

    def _count(self, count: int) -> int:
        if self._left is not None:
            if count == 0:
                raise ConnectionLost("the connection was cut")
            self._left -= count
        return count


class _ChunkedContent:
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._left = 0  # of this chunk
        self._is_begun = False
        self._is_last = False

    def readinto(self, buffer: memoryview) -> int:
        if self._left == 0 and not self._is_last:
            self._begin_chunk()
        if self._is_last:
            return 0
        count = self._stream.readinto1(buffer[: self._left])
        if count == 0:
            raise ConnectionLost("the connection was cut in a chunk")
        self._left -= count
        return count

    @property
    def is_ended(self) -> bool:
        """Not even at its end: nobody knows how long its trailer is."""
        return False

    def _begin_chunk(self) -> None:
        if self._is_begun and (end := self._stream.read(2)) != b"\r\n":
            raise _cut_or_malformed(end, is_cut=len(end) < 2)
        line = self._stream.readline(_MAX_CHUNK_LINE)
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            is_cut = not line.endswith(b"\n") and len(line) < _MAX_CHUNK_LINE
            raise _cut_or_malformed(line, is_cut=is_cut)
        self._is_begun = True
        self._left = int(match[1], 16)
        # The content is complete with the last chunk (§8). The trailer is left unread: a
        # cut or a stall in it takes nothing away.
        self._is_last = self._left == 0


def _cut_or_malformed(found: bytes, *, is_cut: bool) -> ConnectionLost | MalformedContent:
    if is_cut:
        return ConnectionLost("the connection was cut between chunks")
    return MalformedContent(f"the content is not chunked as it says: found {found[:40]!r}")


def _read_line(stream: ByteStream, budget: int) -> bytes:
    """Return a line of a head without its end; a bare LF counts as one (§2.2)."""
    line = stream.readline(budget + 2)
    if not line.endswith(b"\n"):
        if len(line) >= budget:
            raise MalformedContent(f"the answer's head is longer than {_MAX_HEAD} bytes")
        raise ConnectionLost("the connection was cut before the answer's head was complete")
    return line.removesuffix(b"\n").removesuffix(b"\r")
