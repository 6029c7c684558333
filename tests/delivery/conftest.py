"""Servers for the tests of delivery: one that records an exchange, and the real one."""

import asyncio
import contextlib
import os

import pytest
import uvicorn
from uvicorn.server import ServerState

from tailrace.blobs.directory import DirectoryBlobs
from tailrace.blobs.memory import MemoryBlobs
from tailrace.server import Limits, Protocol


class Exchange:
    """One request, and what it was answered with; as strict as servers are, and stricter.

    The client leaves when told to, or by itself once it has `leaves_at` bytes; then `send`
    does nothing, or raises what ASGI 2.4 wants if `tells` is set. While `stalled`, `send`
    waits for the client to take what there is.
    """

    def __init__(self, method="GET", fields=(), *, leaves_at=None, tells=False, extensions=()):
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4" if tells else "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "server": ("test", 80),
            "extensions": {name: {} for name in extensions},
            "client": ("test", 12345),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in fields
            ],
        }
        self.status = None
        self.lines = []
        self.chunks = []
        self.is_ended = False
        self.trailers = None
        self.has_left = False
        self.received = 0
        self._leaves_at = leaves_at
        self._tells = tells
        self._left = asyncio.Event()
        self._grown = asyncio.Event()
        self._moving = asyncio.Event()
        self._moving.set()

    @property
    def fields(self):
        names = [name for name, _ in self.lines if name != "set-cookie"]
        assert len(names) == len(set(names)), "a field was sent twice"
        return dict(self.lines)

    @property
    def content(self):
        return b"".join(self.chunks)

    def leave(self):
        self.has_left = True
        self._left.set()
        self._moving.set()

    def stall(self):
        self._moving.clear()

    def go_on(self):
        self._moving.set()

    async def begins(self):
        """Wait until the client has the head."""
        while self.status is None:
            self._grown.clear()
            await self._grown.wait()

    async def has(self, length):
        """Wait until the client has so many bytes."""
        while len(self.content) < length:
            self._grown.clear()
            await self._grown.wait()

    async def receive(self):
        self.received += 1
        if self.received == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await self._moving.wait()
        if self.has_left:
            if self._tells:
                raise OSError("the client is gone")
            return
        assert not self.is_ended, "the response had ended"
        if self.status is None:
            self._begin(message)
        elif message["type"] == "http.response.body":
            self._go_on(message["body"], message.get("more_body", False))
            self.is_ended = self.is_ended and not self._awaits_trailers
        elif message["type"] == "http.response.trailers":
            assert self._awaits_trailers
            self.trailers = message["headers"]
            self.is_ended = True
        else:
            raise RuntimeError(f"not expected: {message['type']}")

    def _begin(self, message):
        assert message["type"] == "http.response.start"
        self._awaits_trailers = message.get("trailers", False)
        assert not self._awaits_trailers or "http.response.trailers" in self.scope["extensions"]
        self.status = message["status"]
        for name, value in message["headers"]:
            assert isinstance(name, bytes)
            assert name == name.lower(), "ASGI wants names in lower case"
            self.lines.append((name.decode("latin-1"), value.decode("latin-1")))
        self._grown.set()

    def _go_on(self, chunk, more):
        if len(chunk):
            assert isinstance(chunk, bytes)
            assert self.scope["method"] != "HEAD", "a HEAD has no content"
            assert self.status not in (204, 304), f"a {self.status} has no content"
            self.chunks.append(chunk)
        promised = self.fields.get("content-length")
        if promised is not None and self.scope["method"] != "HEAD" and self.status != 304:
            assert len(self.content) <= int(promised), "more than was promised"
            assert more or len(self.content) == int(promised), "less than was promised"
        self.is_ended = not more
        self._grown.set()
        if self._leaves_at is not None and len(self.content) >= self._leaves_at:
            self.leave()

    async def of(self, app):
        """Have the application answer, and see that nothing of it goes on."""
        before = asyncio.all_tasks()
        try:
            await app(self.scope, self.receive, self.send)
        finally:
            assert asyncio.all_tasks() <= before, "a task was left behind"
        return self

    async def whole(self, app):
        """Have the application answer to the end."""
        await self.of(app)
        assert self.is_ended, "the response was not ended"
        return self


@pytest.fixture(scope="session")
def exchange():
    """Make an exchange."""
    return Exchange


@pytest.fixture(params=["memory", "directory"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryBlobs()
    else:
        store = DirectoryBlobs(tmp_path / "blobs", poll_seconds=0.002)
        yield store
        await store.close()


@pytest.fixture
async def writer(store):
    return await store.create("blob")


@pytest.fixture(scope="session")
def bytes_of():
    """Return so many bytes, of which no two stretches are alike for long."""
    return lambda length: bytes(range(251)) * (length // 251) + bytes(range(length % 251))


@pytest.fixture
def sealed(store, writer, bytes_of):
    """Make a sealed blob and open it."""

    @contextlib.asynccontextmanager
    async def sealed(length):
        await writer.append(0, [bytes_of(length)])
        await writer.seal()
        async with store.open("blob") as reader:
            yield reader

    return sealed


@pytest.fixture
def open_files(tmp_path):
    """Return the names of all files below `tmp_path` that this process has open."""

    def open_files():
        names = []
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # that of the listing itself
                names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return [name for name in names if name.startswith(str(tmp_path))]

    return open_files


@pytest.fixture
def closed(open_files):
    """Wait until no file is open: the last read of one may still be under way in a thread."""

    async def closed():
        async with asyncio.timeout(10):
            while open_files():  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.001)

    return closed


@pytest.fixture(autouse=True)
def no_file_is_left_open(open_files):
    yield
    assert open_files() == []


class Connection:
    """A client that speaks HTTP/1.1 octet by octet."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    def ask(self, *lines, method="GET"):
        request = [f"{method} / HTTP/1.1", "Host: test", *lines, "", ""]
        self._writer.write("\r\n".join(request).encode("latin-1"))

    async def head(self):
        head = await self._reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        return int(status_line.split()[1]), fields

    async def exactly(self, length):
        return await self._reader.readexactly(length)

    async def rest(self):
        """Return everything up to the end of the connection."""
        return await self._reader.read()

    async def close(self):
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class RealServer:
    def __init__(self, server, state):
        self._address = server.sockets[0].getsockname()
        self._state = state

    @contextlib.asynccontextmanager
    async def connection(self):
        connection = Connection(*await asyncio.open_connection(*self._address))
        try:
            yield connection
        finally:
            await connection.close()

    async def is_idle(self):
        """Wait until every request has been dealt with."""
        await asyncio.gather(*self._state.tasks, return_exceptions=True)


class ImpatientProtocol(Protocol):
    """Soon believes that a client has left."""

    limits = Limits(half_closed_seconds=0.01)


@pytest.fixture(
    params=["httptools", "h11", ImpatientProtocol], ids=["httptools", "h11", "tailrace"]
)
def serve(request):
    """uvicorn on a free port, in this event loop."""

    @contextlib.asynccontextmanager
    async def serve(app):
        config = uvicorn.Config(app, http=request.param, log_config=None, lifespan="off")
        config.load()
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
            "127.0.0.1",
            0,
        )
        try:
            yield RealServer(server, state)
            await asyncio.gather(*state.tasks, return_exceptions=True)
        finally:
            server.close()
            await server.wait_closed()

    return serve
