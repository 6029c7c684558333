"""A client that speaks to an application as a server does, and keeps what it answers."""

import asyncio
import contextlib
import json
import os
import urllib.parse
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from tailrace import Tailrace
from tailrace.asgi.app import application

PATIENCE_SECONDS = 20


class Exchange:
    """One request, and what it is answered with.

    With `content` None the chunks are sent by `send_chunk`. The client leaves when told to.
    """

    def __init__(self, app, scope, content):
        self.target = scope["path"]
        self.status = None
        self.lines = []
        self.content = b""
        self.is_ended = False
        self._is_head = scope["method"] == "HEAD"
        self._messages = asyncio.Queue()
        if content is not None:
            self.send_chunk(content, is_last=True)
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(app(scope, self._messages.get, self._send))
        self._task.add_done_callback(lambda _: self._changed.set())

    @property
    def fields(self):
        names = [name for name, _ in self.lines]
        assert len(set(names)) == len(names), "a field was sent twice"
        return dict(self.lines)

    @property
    def json(self):
        assert self.fields["content-type"] in ("application/json", "application/problem+json")
        return json.loads(self.content)

    @property
    def problem(self):
        """What kind of problem was told."""
        assert self.fields["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return self.json["type"].removeprefix("urn:tailrace:")

    def send_chunk(self, chunk, *, is_last=False):
        message = {"type": "http.request", "body": chunk, "more_body": not is_last}
        self._messages.put_nowait(message)

    def leave(self):
        self._messages.put_nowait({"type": "http.disconnect"})

    async def until(self, holds):
        """Wait until something holds, which is asked after each thing that came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                if self._task.done():
                    raise AssertionError("it was over before") from self._task.exception()
                self._changed.clear()
                await self._changed.wait()

    async def begins(self):
        """Wait until the client has the head."""
        await self.until(lambda: self.status is not None)

    async def has(self, length):
        """Wait until the client has so many bytes."""
        await self.until(lambda: len(self.content) >= length)

    async def ends(self):
        """Wait until the application is done; what it raises is raised here."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._task

    async def stop(self):
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _send(self, message):
        assert not self.is_ended, "the response had ended"
        if self.status is None:
            assert message["type"] == "http.response.start"
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                assert name == name.lower(), "ASGI wants names in lower case"
                self.lines.append((name.decode("latin-1"), value.decode("latin-1")))
        else:
            assert message["type"] == "http.response.body"
            self._take(message.get("body", b""), more=message.get("more_body", False))
        self._changed.set()

    def _take(self, chunk, *, more):
        if not self._is_head:  # a server sends none of it
            assert not (chunk and self.status in (204, 304)), f"a {self.status} has no content"
            self.content += chunk
            promised = self.fields.get("content-length")
            if not more and promised is not None and self.status != 304:
                assert len(self.content) == int(promised)
        self.is_ended = not more


class Client:
    """Asks one application, which is mounted by its server at `root_path`."""

    def __init__(self, app, root_path=""):
        self._app = app
        self._root_path = root_path
        self._exchanges = []

    def begin(self, method, target, fields=(), content=b"", **scope):
        """Begin an exchange; `target` is a path, or one of our own addresses, with a query."""
        target = urllib.parse.urlsplit(target)
        lines = [("Host", "testserver"), *dict(fields).items()]
        if content or (content is not None and method in ("POST", "PUT", "PATCH")):
            lines.append(("Content-Length", str(len(content))))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": urllib.parse.unquote(target.path),
            "raw_path": target.path.encode(),
            "query_string": target.query.encode(),
            "root_path": self._root_path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in lines],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            **scope,
        }
        exchange = Exchange(self._app, scope, content)
        self._exchanges.append(exchange)
        return exchange

    async def ask(self, method, target, fields=(), content=b"", **scope):
        """Return an exchange that has ended, or was cut."""
        exchange = self.begin(method, target, fields, content, **scope)
        await exchange.ends()
        return exchange

    async def get(self, target, **fields):
        return await self.ask("GET", target, _named(fields))

    async def post(self, target, given, **fields):
        """Send a JSON object, or bytes."""
        if not isinstance(given, bytes):
            fields.setdefault("content_type", "application/json")
            given = json.dumps(given).encode()
        return await self.ask("POST", target, _named(fields), given)

    async def put(self, name, content=b"content"):
        """Upload a file, and return it as JSON."""
        put = await self.ask("PUT", f"/uploads/{name}", {"Accept": "application/json"}, content)
        assert put.status == 201
        return put.json

    async def stop(self):
        for exchange in self._exchanges:
            await exchange.stop()


def _named(fields):
    return {name.replace("_", "-"): value for name, value in fields.items()}


@pytest.fixture(autouse=True)
def _plain_settings(monkeypatch):
    for name in os.environ:
        if name.startswith("TAILRACE_"):
            monkeypatch.delenv(name)


@pytest.fixture
async def client_of():
    """Make clients of applications; what they still wait for at the end is stopped."""
    clients = []

    def client_of(app, root_path=""):
        clients.append(Client(app, root_path))
        return clients[-1]

    yield client_of
    for client in clients:
        await client.stop()


@pytest.fixture
def make_tailrace(tmp_path):
    """Make a Tailrace whose data rests where this test has its own."""

    def make_tailrace(**settings):
        return Tailrace(tmp_path / "data", durability="crash", **settings)

    return make_tailrace


@pytest.fixture
def settings():
    """What is set in this test; a test module may say something else."""
    return {}


@pytest.fixture
async def tailrace(make_tailrace, settings) -> AsyncIterator[Tailrace]:
    """One that runs."""
    made = make_tailrace(**settings)
    async with made.lifespan():
        yield made


@pytest.fixture
def client(tailrace, client_of):  # in this order: clients are stopped before the service
    """A client of the application that is tailrace alone."""
    return client_of(application(tailrace))


class Clock:
    """Ahead of the true time by what the test says."""

    def __init__(self):
        self.ahead = timedelta(0)

    def now(self, zone):
        return datetime.now(zone) + self.ahead


@pytest.fixture
def clock(monkeypatch):
    """The clock of the service."""
    clock = Clock()
    monkeypatch.setattr("tailrace.service.datetime", clock)
    return clock


@pytest.fixture
def lifespan():
    """Run an application's lifespan as a server does, by messages."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        asked, told = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        running = asyncio.create_task(app(scope, asked.get, told.put))

        async def pass_through(moment):
            asked.put_nowait({"type": f"lifespan.{moment}"})
            assert (await told.get())["type"] == f"lifespan.{moment}.complete"

        await pass_through("startup")
        try:
            yield
        finally:
            await pass_through("shutdown")
            await running

    return lifespan
