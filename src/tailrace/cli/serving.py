"""One process of a service: it serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, assert_never

import uvicorn

from tailrace.asgi.app import Tailrace, application
from tailrace.cli.lines import Order, WorkersEnd
from tailrace.cli.listening import is_loopback, local_names
from tailrace.errors import ConfigurationError
from tailrace.server import Protocol

_log = logging.getLogger("tailrace.workers")

# To give up a file takes some milliseconds.
_SECONDS_TO_CUT = 5.0


def serve(
    tailrace: Tailrace, host: str, listening: socket.socket, announce: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once it is ready.

    Raises:
        ConfigurationError: it cannot start; the message says what to do.
        KeyboardInterrupt: it was SIGINT.
    """
    _run(tailrace, host, _Server(_config(tailrace, host), tailrace, announce), [listening])


def serve_over(line: WorkersEnd, tailrace: Tailrace, host: str) -> None:
    """Serve what comes over a line, until the parent at its other end, or SIGTERM, says so.

    Raises:
        ConfigurationError: it cannot start; the message says what to do.
    """
    _run(tailrace, host, _Worker(_config(tailrace, host), tailrace, line), [])


def _config(tailrace: Tailrace, host: str) -> uvicorn.Config:
    settings = tailrace.settings
    return uvicorn.Config(
        application(tailrace, local_names(host, settings.public_url)),
        log_config=None,
        access_log=False,  # it would write the tokens of links
        lifespan="off",  # entered below, where its errors are told in a sentence
        timeout_graceful_shutdown=settings.grace_seconds,  # type: ignore[arg-type]  # any number does
        server_header=False,
        http=Protocol,
    )


def _run(
    tailrace: Tailrace, host: str, server: uvicorn.Server, listening: list[socket.socket]
) -> None:
    # Until the server takes signals itself; then it puts this back and raises them again.
    signal.signal(signal.SIGTERM, server.handle_exit)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as loop:
        loop.run(_serve(tailrace, host, server, listening))


async def _serve(
    tailrace: Tailrace, host: str, server: uvicorn.Server, listening: list[socket.socket]
) -> None:
    async with tailrace.lifespan():
        if not is_loopback(host) and not await tailrace.service.catalogue.credentials():
            raise ConfigurationError(
                f"listening on {host} without a key would let anyone in: make one with"
                f" `tailrace key add NAME --data {tailrace.settings.data}`, or listen on"
                " 127.0.0.1"
            )
        try:
            await server.serve(sockets=listening)
        finally:
            await _cut(server.server_state.tasks)


async def _cut(requests: set[asyncio.Task[None]]) -> None:
    """End the requests that the server has left, while there is still a service for them."""
    for request in requests:
        request.cancel()
    if requests:
        await asyncio.wait(requests, timeout=_SECONDS_TO_CUT)


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(
        self, config: uvicorn.Config, tailrace: Tailrace, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tailrace = tailrace
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Side by side, so that transfers and runs have one grace time, not two.
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._tailrace.service.jobs.stop())
            await super().shutdown(sockets)
            if self.force_exit:  # asked twice
                stopping.cancel()


class _Worker(_Server):
    """A server that is given its connections, and its orders, by a parent."""

    def __init__(self, config: uvicorn.Config, tailrace: Tailrace, line: WorkersEnd) -> None:
        super().__init__(config, tailrace, self._begin)
        self._line = line
        self._connecting: set[asyncio.Task[object]] = set()
        self.server_state.connections = _Connections(line)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._line.leave()
        if self._connecting:
            await asyncio.wait(self._connecting)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:  # a terminal sends it to all; the parent says what it means
            super().handle_exit(sig, frame)

    def _begin(self) -> None:
        asyncio.get_running_loop().add_reader(self._line, self._receive)
        self._line.report(0)

    def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        for received in self._line.receive():
            match received:
                case socket.socket():
                    self._connect(received)
                case Order.STOP:
                    self.should_exit = True
                case Order.HURRY:
                    self.should_exit = self.force_exit = True
                case _:
                    assert_never(received)
        if self._line.is_cut:
            loop.remove_reader(self._line)

    def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[object]) -> None:
        self._connecting.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.warning("a connection was lost before it began: %s", error)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, self.lifespan.state)


class _Connections(set[Any]):
    """The connections of a worker; each change is reported."""

    def __init__(self, line: WorkersEnd) -> None:
        super().__init__()
        self._line = line

    def add(self, connection: object) -> None:
        super().add(connection)
        self._line.report(len(self))

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._line.report(len(self))
