"""One process of a service: it serves until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from tailrace.asgi.app import Tailrace, application
from tailrace.cli.listening import is_loopback, local_names
from tailrace.cli.workers import Line, Order
from tailrace.errors import ConfigurationError
from tailrace.server import Protocol

# To give up a file takes some milliseconds.
_SECONDS_TO_CUT = 5.0


def serve(
    tailrace: Tailrace,
    host: str,
    listening: socket.socket,
    announce: Callable[[], None],
    line: Line | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent at the other end of the line says so.

    `announce` is called once it is ready.

    Raises:
        ConfigurationError: it cannot start; the message says what to do.
        KeyboardInterrupt: it was SIGINT, and there is no parent.
    """
    config = uvicorn.Config(
        application(tailrace, local_names(host, tailrace.settings.public_url)),
        log_config=None,
        access_log=False,  # it would write the tokens of links
        lifespan="off",  # entered below, where its errors are told in a sentence
        timeout_graceful_shutdown=tailrace.settings.grace_seconds,  # type: ignore[arg-type]  # any number does
        server_header=False,
        http=Protocol,
    )
    server = _Server(config, tailrace, announce, line)
    # Until the server takes signals itself; then it puts this back and raises them again.
    signal.signal(signal.SIGTERM, server.handle_exit)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as loop:
        loop.run(_serve(tailrace, server, host, listening))


async def _serve(
    tailrace: Tailrace, server: uvicorn.Server, host: str, listening: socket.socket
) -> None:
    async with tailrace.lifespan():
        if not is_loopback(host) and not await tailrace.service.catalogue.credentials():
            raise ConfigurationError(
                f"listening on {host} without a key would let anyone in: make one with"
                f" `tailrace key add NAME --data {tailrace.settings.data}`, or listen on"
                " 127.0.0.1"
            )
        try:
            await server.serve(sockets=[listening])
        finally:
            await _cut(server.server_state.tasks)


async def _cut(requests: set[asyncio.Task[None]]) -> None:
    """End the requests that the server has left, while there is still a service for them."""
    for request in requests:
        request.cancel()
    if requests:
        await asyncio.wait(requests, timeout=_SECONDS_TO_CUT)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        tailrace: Tailrace,
        announce: Callable[[], None],
        line: Line | None,
    ) -> None:
        super().__init__(config)
        self._tailrace = tailrace
        self._announce = announce
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._line is not None:
            asyncio.get_running_loop().add_reader(self._line, self._heed, self._line)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Side by side, so that transfers and runs have one grace time, not two.
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(self._tailrace.service.jobs.stop())
            await super().shutdown(sockets)
            if self.force_exit:  # asked twice
                stopping.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # What a terminal sends to all, the parent hears, and says what it means.
        if self._line is None or sig != signal.SIGINT:
            super().handle_exit(sig, frame)

    def _heed(self, line: Line) -> None:
        for order in line.orders():
            self.should_exit = True
            self.force_exit = self.force_exit or order is Order.HURRY
        if line.is_cut:
            asyncio.get_running_loop().remove_reader(line)
