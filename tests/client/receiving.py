"""A service that takes resumable uploads, and may be told to fail at a moment.

POST /uploads, then HEAD, PATCH and DELETE of /uploads/KEY, as the transcript in
tailrace.protocol.uploads.rufh has them
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Callable
from contextlib import suppress

from hostile import Hostile, Request, answer, end, response

Fault = Callable[["Receiving", socket.socket, Request], bool]
"""Whether it has dealt with the request; otherwise it is answered as it should be."""


class Receiving(Hostile):
    """`faults` meet one PATCH each; `content` is what has come of the newest file."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(self._reply)
        self.faults = list(faults)
        self.content = bytearray()
        self.files: list[bytes] = []
        """Those that came whole."""
        self.length: int | None = 0
        self.is_complete = False
        self.name = ""
        self.is_cancelled = False

    @property
    def address(self) -> str:
        return self.url("/mount")

    @property
    def link(self) -> str:
        return self.url("/mount/l/TOKEN/name")

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def description(self) -> bytes:
        digest = None
        if self.is_complete:
            digest = {
                "sha-256": base64.b64encode(hashlib.sha256(self.content).digest()).decode()
            }
        return json.dumps({"digest": digest, "links": [{"url": self.link}]}).encode()

    def state(self) -> list[tuple[str, str]]:
        return [
            ("Upload-Complete", "?1" if self.is_complete else "?0"),
            ("Upload-Offset", str(len(self.content))),
        ]

    def take(
        self, connection: socket.socket, request: Request, limit: int | None = None
    ) -> None:
        """Take the content of a request, or its first bytes."""
        left = int(request.fields["content-length"])
        left = left if limit is None else min(left, limit)
        begun = request.begun[:left]
        self.content += begun
        left -= len(begun)
        while left:
            piece = connection.recv(min(left, 65536))
            if not piece:
                return
            self.content += piece
            left -= len(piece)

    def _reply(self, connection: socket.socket, request: Request) -> None:
        match request.method:
            case "POST":
                self.content, self.is_complete = bytearray(), False
                length = request.fields.get("upload-length")
                self.length = None if length is None else int(length)
                self.name = request.fields["content-disposition"]
                fields = [("Location", "/mount/uploads/KEY"), *self.state()]
                answer("201 Created", fields, self.description())(connection, request)
            case "HEAD":
                connection.sendall(response("204 No Content", self.state()))
            case "DELETE":
                self.is_cancelled = True
                answer("204 No Content")(connection, request)
            case "PATCH":
                self._append(connection, request)

    def _append(self, connection: socket.socket, request: Request) -> None:
        if self.faults and self.faults.pop(0)(self, connection, request):
            return
        if int(request.fields["upload-offset"]) != len(self.content):
            answer("409 Conflict", self.state())(connection, request)
            return
        with suppress(ConnectionError):
            self.take(connection, request)
        if request.fields["upload-complete"] == "?0":
            answer("204 No Content", self.state())(connection, request)
            return
        digest = base64.b64encode(hashlib.sha256(self.content).digest()).decode()
        if request.fields["repr-digest"] != f"sha-256=:{digest}:":
            answer("400 Bad Request", self.state())(connection, request)
            return
        self.is_complete = True
        self.files.append(bytes(self.content))
        answer("200 OK", self.state(), self.description())(connection, request)


# --- faults -------------------------------------------------------------------------------


def cut_after(count: int, how: str = "reset") -> Fault:
    """Take so many bytes, and then cut the connection or stall."""

    def fault(service: Receiving, connection: socket.socket, request: Request) -> bool:
        service.take(connection, request, count)
        end(connection, how)
        return True

    return fault


def lost_answer(service: Receiving, connection: socket.socket, request: Request) -> bool:
    """Take all, and cut the connection before anything is said."""
    service.take(connection, request)
    end(connection, "reset")
    return True


def refused(
    status: str, *fields: tuple[str, str], content: bytes = b"", after: int = 0
) -> Fault:
    """Refuse while the content is still coming, and read no more of it."""

    def fault(service: Receiving, connection: socket.socket, request: Request) -> bool:
        service.take(connection, request, after)
        lines = [*fields, ("Content-Length", str(len(content)))]
        connection.sendall(response(status, lines, content))
        end(connection, "close")
        return True

    return fault


def interim(service: Receiving, connection: socket.socket, request: Request) -> bool:
    """Tell of the progress, and go on as usual."""
    connection.sendall(response("104 Upload Resumption Supported", [("Upload-Offset", "0")]))
    return False
