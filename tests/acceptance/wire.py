"""HTTP/1.1 octet by octet: requests as they are written, responses as they come.

It shares nothing with the project: what is wrong there must not be wrong here as well.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Self

SECONDS_FOR_ANYTHING = 20


class Cut(Exception):
    """The connection ended before the response did."""


@dataclass
class Response:
    status: int
    lines: list[tuple[str, str]]
    """Field lines as they came; names in lower case."""
    content: bytes = b""

    def get(self, name: str) -> str | None:
        """Return the value of a field that must not stand twice, or None."""
        values = [value for line_name, value in self.lines if line_name == name.lower()]
        assert len(values) < 2, f"{name} stands on {len(values)} lines"
        return values[0] if values else None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"there is no {name} in {self.lines}"
        return value


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS_FOR_ANYTHING)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def ask(self, method: str, target: str, *lines: tuple[str, str]) -> Response:
        fields = "".join(f"{name}: {value}\r\n" for name, value in [("Host", "a"), *lines])
        self.send(f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1"))
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Read a response to its end.

        Raises:
            Cut: it has none.
        """
        response = self.head()
        if method != "HEAD" and response.status >= 200 and response.status not in (204, 304):
            response.content = self._content(response)
        return response

    def head(self) -> Response:
        """Read a response up to its content."""
        status_line = self._line()
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1", status_line
        lines = []
        while line := self._line():
            name, colon, value = line.partition(":")
            assert colon, line
            lines.append((name.lower(), value.strip(" \t")))
        return Response(int(status), lines)

    def has_ended(self) -> bool:
        """Tell whether the other side closes, with nothing sent before."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def exactly(self, length: int) -> bytes:
        try:
            octets = self._file.read(length)
        except ConnectionResetError as exc:
            raise Cut from exc
        if len(octets) < length:
            raise Cut
        return octets

    def chunk(self) -> bytes:
        """Read a chunk; the last one is empty."""
        octets = self.exactly(int(self._line(), 16))
        assert self._line() == ""
        return octets

    def _content(self, response: Response) -> bytes:
        length, coding = response.get("content-length"), response.get("transfer-encoding")
        assert length is None or coding is None
        if length is not None:
            return self.exactly(int(length))
        if coding is None:
            return self._file.read()
        assert coding == "chunked"
        return b"".join(iter(self.chunk, b""))

    def _line(self) -> str:
        try:
            line = self._file.readline()
        except ConnectionResetError as exc:
            raise Cut from exc
        if not line.endswith(b"\r\n"):
            raise Cut
        return line[:-2].decode("latin-1")


def content_range(span: slice, content: bytes) -> str:
    return f"bytes {span.start}-{span.stop - 1}/{len(content)}"


def parts_of(response: Response) -> list[tuple[str, str, bytes]]:
    """Take multipart/byteranges apart: type, range and bytes of each (RFC 2046 §5.1.1)."""
    boundary = re.fullmatch(
        r"multipart/byteranges; *boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})",
        response["Content-Type"],
    )[1].encode()
    assert response.content.startswith(b"--" + boundary + b"\r\n")
    assert response.content.endswith(b"\r\n--" + boundary + b"--")
    inner = response.content.removesuffix(b"\r\n--" + boundary + b"--")
    parts = []
    for part in (b"\r\n" + inner).split(b"\r\n--" + boundary + b"\r\n")[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n"))
        assert set(fields) == {"Content-Type", "Content-Range"}
        parts.append((fields["Content-Type"], fields["Content-Range"], content))
    return parts
