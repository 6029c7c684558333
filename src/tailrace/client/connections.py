"""One connection to an origin or a proxy, and the responses that come over it.

Every way in which the other side can go away ends in ConnectionLost.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tailrace.client.messages import (
    Content,
    ResponseHead,
    framing,
    open_content,
    read_head,
    write_request,
)
from tailrace.client.moves import Framing
from tailrace.client.streams import SocketStream, lost
from tailrace.client.urls import Url
from tailrace.errors import MalformedContent

FieldLines = Sequence[tuple[str, str]]

# An upload is told of its progress in interim responses; nobody needs as many as this.
_MAX_INTERIM = 1000


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_seconds: float = 10.0
    """For each address, and for TLS."""
    stall_seconds: float = 30.0
    """Without one byte from the other side."""


class Response:
    """A response whose content is still to be read."""

    def __init__(
        self,
        connection: Connection,
        head: ResponseHead,
        framing: Framing,
        content_length: int | None,
        content: Content,
    ) -> None:
        self._connection = connection
        self.head = head
        self.framing = framing
        self.content_length = content_length
        self.content = content

    def read(self, limit: int) -> bytes:
        """Return the content, or its first `limit` bytes."""
        content = bytearray()
        buffer = memoryview(bytearray(min(limit, 64 * 1024)))
        while count := self.content.readinto(buffer[: limit - len(content)]):
            content += buffer[:count]
            if len(content) == limit:
                break
        return bytes(content)

    @property
    def url(self) -> Url:
        """What was asked for: after redirects, another one than at first."""
        url = self._connection.url
        assert url is not None, "a response follows a request"
        return url

    @property
    def is_reusable(self) -> bool:
        """Whether its connection may carry another exchange (RFC 9112 §9.3).

        Not where more has come than was promised: whose that is, nobody knows.
        """
        options = (self.head.fields.get("Connection") or "").lower()
        return (
            self.content.is_ended
            and self.head.version == 1
            and "close" not in (option.strip() for option in options.split(","))
            and self._connection.is_quiet
        )

    def close(self) -> None:
        self._connection.close()

    def detach(self) -> Connection:
        """Return its connection, for another exchange."""
        return self._connection


class Connection:
    """One connection, for one request after the other.

    `proxy` is the forward proxy at its other end, where there is one.
    """

    def __init__(
        self, sock: socket.socket, timeouts: Timeouts, proxy: Url | None, *, is_secure: bool
    ) -> None:
        self.socket = sock
        self.is_secure = is_secure
        self.timeouts = timeouts
        self.url: Url | None = None
        """Of the newest request."""
        self._proxy = proxy
        self._stream = SocketStream(sock, timeouts.stall_seconds, is_secure=is_secure)

    def send_head(self, method: str, url: Url, fields: FieldLines) -> None:
        """Send the head of a request; its content, if any, is the caller's to send."""
        self.url = url
        target, more = url.target, list[tuple[str, str]]()
        if self._proxy is not None:  # absolute-form (RFC 9112 §3.2.2)
            target = str(url)
            if self._proxy.credentials:
                more.append(("Proxy-Authorization", self._proxy.credentials))
        host = ("Host", url.origin.host_field)
        if not any(name.lower() == "user-agent" for name, _ in fields):
            more.append(("User-Agent", "tailrace"))
        head = write_request(method, target, (host, *more, *fields))
        try:
            self.socket.settimeout(self.timeouts.stall_seconds)
            self.socket.sendall(head)
        except OSError as exc:
            raise lost(exc, self.timeouts.stall_seconds) from exc

    def read_response(self, method: str) -> Response:
        """Read the head of the final response."""
        for _ in range(_MAX_INTERIM):
            response = self.read_next(method)
            if response is not None:
                return response
        raise MalformedContent("the server sends interim responses only")

    def read_next(self, method: str) -> Response | None:
        """Read one head; None where it was that of an interim response (1xx)."""
        head = read_head(self._stream)
        if head.status < 200:
            return None
        kind, length = framing(method, head)
        return Response(self, head, kind, length, open_content(self._stream, kind, length))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, not even an end."""
        return self._stream.is_quiet

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
