"""A small HTTP server that does what it is told, however wrong.

    with Hostile(whole(b"content"), cut(...)) as server:
        download(server.url("/name"))
        server.requests

Each connection gets the next of the replies; after the last one, the last one again. A reply
is a function of the connection and the request; those made here send bytes as they are, and
then close, reset, or wait for the client to leave.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    fields: dict[str, str]
    """By names in lower case."""
    begun: bytes
    """What of the content came together with the head."""

    @property
    def first(self) -> int:
        """The first position that Range asks for; 0 without Range."""
        asked = self.fields.get("range", "bytes=0-")
        return int(asked.removeprefix("bytes=").partition("-")[0])

    @property
    def last(self) -> int | None:
        """The last position that Range asks for; None where it is the end."""
        last = self.fields.get("range", "").partition("-")[2]
        return int(last) if last else None


Reply = Callable[[socket.socket, Request], None]


class Hostile:
    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port = self._listener.getsockname()[1]

    def url(self, target: str = "/file.bin", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{target}"

    def __enter__(self) -> Self:
        self._start(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a reply does not end"

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._answer(connection)
        with suppress(OSError):
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        request = read_request(connection)
        if request is None:
            return
        with self._lock:
            reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
            self.requests.append(request)
        reply(connection, request)


def read_request(connection: socket.socket) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return None
        received += more
    head, _, begun = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    return Request(method, target, {name.lower(): value for name, value in pairs}, begun)


# --- replies ------------------------------------------------------------------------------

Fields = Sequence[tuple[str, str]]


def raw(*pieces: bytes, then: str = "close") -> Reply:
    """Send bytes as they are, and then close, reset, or stall until the client has left."""

    def reply(connection: socket.socket, request: Request) -> None:
        for piece in pieces:
            connection.sendall(piece)
        end(connection, then)

    return reply


def end(connection: socket.socket, how: str) -> None:
    match how:
        case "close":
            # Not before the client has read all: what is unread here would reset it.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                while connection.recv(65536):
                    pass
        case "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        case "stall":
            while connection.recv(65536):
                pass


def response(status: str, fields: Fields = (), content: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join((*lines, "", "")).encode("utf-8") + content


def answer(
    status: str, fields: Fields = (), content: bytes = b"", then: str = "close"
) -> Reply:
    """Answer with a sound Content-Length."""
    fields = (*fields, ("Content-Length", str(len(content))))
    return raw(response(status, fields, content), then=then)


def whole(content: bytes, *fields: tuple[str, str]) -> Reply:
    return answer("200 OK", fields, content)


def cut(content: bytes, after: int, *fields: tuple[str, str], then: str = "close") -> Reply:
    """Promise all of the content and send only the first bytes of it."""
    fields = (*fields, ("Content-Length", str(len(content))))
    return raw(response("200 OK", fields, content[:after]), then=then)


def chunked(*chunks: bytes, is_complete: bool = True) -> bytes:
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return coded + (b"0\r\n\r\n" if is_complete else b"")


def honest(content: bytes, *fields: tuple[str, str]) -> Reply:
    """Answer as a good server does: with ranges, by If-Range where there is an ETag."""
    tag = dict(fields).get("ETag")

    def reply(connection: socket.socket, request: Request) -> None:
        first = request.first
        if_range = request.fields.get("if-range")
        if "range" not in request.fields or (if_range is not None and if_range != tag):
            whole(content, *fields)(connection, request)
        elif first >= len(content):
            unsatisfied = ("Content-Range", f"bytes */{len(content)}")
            answer("416 Range Not Satisfiable", (unsatisfied,))(connection, request)
        else:
            last = len(content) - 1
            if request.last is not None:
                last = min(last, request.last)
            span = ("Content-Range", f"bytes {first}-{last}/{len(content)}")
            partial = answer("206 Partial Content", (*fields, span), content[first : last + 1])
            partial(connection, request)

    return reply
