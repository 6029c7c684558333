"""A server in a thread, and a client that sees every octet.

with Served(loop="uvloop") as served:
    served.app = answering(b"content")
    with served.connect() as client:
        client.send(GET)
        client.response().content
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import uvicorn

from tailrace.server import Protocol

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_1_0 = b"GET / HTTP/1.0\r\n\r\n"
BODY = "http.response.body"
ZERO_COPY_SEND = "http.response.zerocopysend"
PATH_SEND = "http.response.pathsend"
TRAILERS = "http.response.trailers"

SECONDS_FOR_ANYTHING = 10


def start(status=200, **fields):
    """The message that starts a response; `content_length` becomes `content-length`."""
    lines = [
        (name.replace("_", "-").encode(), str(value).encode()) for name, value in fields.items()
    ]
    return {"type": "http.response.start", "status": status, "headers": lines}


def answering(content):
    async def app(scope, receive, send):
        await send(start(content_length=len(content)))
        await send({"type": BODY, "body": content})

    return app


def sending(*messages):
    """An application that sends these, whatever it is asked."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


class Waiting:
    """An application that answers when it is told to, and sees whether the client is there."""

    def __init__(self):
        self.has_begun = threading.Event()
        self.may_answer = threading.Event()

    async def __call__(self, scope, receive, send):
        self.has_begun.set()
        await asyncio.to_thread(self.may_answer.wait)
        await answering(b"waited")(scope, receive, send)


class Served:
    def __init__(self, loop: str, **config) -> None:
        self.app = None
        # A class of its own, for limits of its own.
        self.protocol = type("Protocol", (Protocol,), {})
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tls = None
        self._server = _Server(
            uvicorn.Config(
                self._ask,
                port=0,
                loop=loop,
                http=self.protocol,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                **config,
            ),
            self,
        )
        self._thread = threading.Thread(target=self._server.run)

    async def _ask(self, scope, receive, send):
        await self.app(scope, receive, send)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def config(self) -> uvicorn.Config:
        return self._server.config

    @property
    def connections(self):
        return self._server.server_state.connections

    def connect(self, receive_buffer: int | None = None) -> Client:
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(SECONDS_FOR_ANYTHING)
        connection.connect(("127.0.0.1", self.port))
        return Client(connection if self.tls is None else self.tls.wrap_socket(connection))

    async def listen(self, listener: socket.socket) -> asyncio.Server:
        """Listen on one more socket."""
        return await self.loop.create_unix_server(
            lambda: self.protocol(self._server.config, self._server.server_state, {}),
            sock=listener,
        )

    def get(self, request=GET) -> Response:
        with self.connect() as client:
            client.send(request)
            return client.response(request.split()[0].decode())

    def run(self, coroutine):
        """Run a coroutine on the server's loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(
            SECONDS_FOR_ANYTHING
        )

    def call(self, function, *arguments):
        """Call a function on the server's loop, and return its result."""

        async def called():
            return function(*arguments)

        return self.run(called())

    def settle(self) -> None:
        """Wait until all connections and tasks have ended."""
        state = self._server.server_state
        until(lambda: not state.connections and not state.tasks)
        self.run(asyncio.sleep(0))  # the transports close what they have after that


class _Server(uvicorn.Server):
    def __init__(self, config, served):
        super().__init__(config)
        self._served = served

    async def startup(self, sockets=None):
        self._served.loop = asyncio.get_running_loop()
        await super().startup(sockets)


class Cut(Exception):
    """The connection ended before the response did. `content` is what had come of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(f"the connection ended after {len(content)} octets of content")
        self.content = content


@dataclass
class Response:
    status: int
    fields: dict[str, str]
    """By names in lower case."""
    content: bytes
    trailers: dict[str, str] = field(default_factory=dict)
    """Those of chunked content."""


class Client:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.file = connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def reset(self) -> None:
        """Leave as a process does that is killed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, *octets: bytes) -> None:
        self.socket.sendall(b"".join(octets))

    def response(self, method: str = "GET") -> Response:
        """Read one response to its end.

        Raises:
            Cut: the connection ended before.
        """
        response = self.head()
        if method != "HEAD" and response.status not in (204, 304):
            response.content = self._content(response)
        return response

    def head(self) -> Response:
        status_line = self.file.readline()
        if not status_line:
            raise Cut(b"")
        return Response(int(status_line.split()[1]), self._fields(), b"")

    def _fields(self) -> dict[str, str]:
        fields = {}
        while (line := self.file.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            assert name not in fields
            fields[name.lower()] = value.strip()
        return fields

    def has_ended(self) -> bool:
        """Whether the server closes, and sends nothing before."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def _content(self, response: Response) -> bytes:
        assert not (
            "content-length" in response.fields and "transfer-encoding" in response.fields
        )
        if "content-length" in response.fields:
            return self._exactly(int(response.fields["content-length"]), b"")
        if "transfer-encoding" in response.fields:
            return self._chunks(response)
        return self.file.read()

    def _chunks(self, response: Response) -> bytes:
        content = b""
        while True:
            size = self.file.readline()
            if not size.endswith(b"\r\n"):
                raise Cut(content)
            length = int(size, 16)
            if not length:
                response.trailers = self._fields()
                return content
            content += self._exactly(length, content)
            end = self.file.readline()
            if end != b"\r\n":
                raise Cut(content)

    def _exactly(self, length: int, before: bytes) -> bytes:
        try:
            content = self.file.read(length)
        except ConnectionResetError:
            raise Cut(before) from None
        if len(content) < length:
            raise Cut(before + content)
        return content


def until(condition) -> None:
    """Wait for a condition that will come true."""
    deadline = time.monotonic() + SECONDS_FOR_ANYTHING
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.002)
