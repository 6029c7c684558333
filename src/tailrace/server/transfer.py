"""A span of a file on its way into a socket.

begin: push ──► end
        │ ▲
        │ └──────── the socket can take more: the event loop calls push again
        └─► a byte is not in memory: a thread reads ahead, then push
"""

from __future__ import annotations

import asyncio
import errno
import os

from tailrace.errors import ClientDisconnected, StorageUnavailable
from tailrace.server import residency
from tailrace.spans import Span

# What one connection sends before the others have their turn: some 0.3 ms on loopback.
TURN_BYTES = 1024 * 1024

_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN})


LEFT = "the client left before the end"


class Disconnected(ClientDisconnected, OSError):
    """The client left, or was cut off: the OSError of a server that ASGI speaks of."""


class Transfer:
    """Sends a span of a file, once.

    `connection` is a non-blocking socket that nothing else writes to or watches meanwhile.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: int, descriptor: int, span: Span
    ) -> None:
        self.sent = 0
        """How many bytes the kernel has taken so far."""
        self._loop = loop
        self._connection = connection
        self._descriptor = descriptor
        self._start = span.start
        self._stop = span.stop
        self._resident_stop = span.start
        self._failure: Exception | None = None
        self._waiting = loop.create_future()

    def begin(self) -> bool:
        """Send what can be sent at once, and return whether that was all; if not, `run`."""
        self._push()
        return self.sent == self._stop - self._start

    async def run(self, connection: int | None = None) -> None:
        """Send the rest, and return when the kernel has taken all of it.

        `connection`, where it is given, is the descriptor of the socket from here on.

        Raises:
            Disconnected: the connection is broken.
            StorageUnavailable: the file cannot be read, or has become shorter than the span.
        """
        self._check()
        if connection is not None:
            self._connection = connection
        while True:
            await self._push_resident()
            if self._start + self.sent == self._stop:
                return
            await self._read_ahead()

    def interrupt(self, failure: Exception) -> None:
        """Have `run` raise failure now."""
        self._failure = self._failure or failure
        if not self._waiting.done():
            self._waiting.set_result(None)

    async def _push_resident(self) -> None:
        """Push up to the end, or to the first byte that would have to come from a disk."""
        self._waiting = self._loop.create_future()
        self._push()  # most often the socket takes something at once
        if not self._waiting.done():
            self._loop.add_writer(self._connection, self._push)
            try:
                await self._waiting
            finally:
                self._loop.remove_writer(self._connection)
        self._check()

    def _push(self) -> None:
        if self._waiting.done():
            return
        offset = self._start + self.sent
        try:
            if offset == self._resident_stop:
                stop = min(offset + residency.WINDOW_BYTES, self._stop)
                self._resident_stop = residency.resident_stop(self._descriptor, offset, stop)
            turn = min(self._resident_stop - offset, TURN_BYTES)
            if not turn:
                self._waiting.set_result(None)
                return
            sent = os.sendfile(self._connection, self._descriptor, offset, turn)
        except BlockingIOError:
            return
        except OSError as exc:
            self.interrupt(_failure_of(exc))
            return
        self.sent += sent
        if not sent:
            self.interrupt(
                StorageUnavailable(f"the file ended at {offset}, before {self._stop}")
            )
        elif offset + sent == self._stop:
            self._waiting.set_result(None)

    async def _read_ahead(self) -> None:
        """Have a thread read the next window.

        Not waited for longer than the connection lasts: a disk may never answer.
        """
        start = self._start + self.sent
        stop = min(start + residency.WINDOW_BYTES, self._stop)
        self._waiting = waiting = self._loop.create_future()
        reading = asyncio.wrap_future(
            residency.read_ahead(self._descriptor, start, stop), loop=self._loop
        )
        reading.add_done_callback(self._has_read)
        try:
            await waiting
        finally:
            reading.cancel()
        self._check()
        self._resident_stop = stop  # not looked at again: some file systems cannot tell

    def _has_read(self, reading: asyncio.Future[None]) -> None:
        if reading.cancelled():
            return
        exc = reading.exception()
        if exc is not None:
            failure = StorageUnavailable(f"the file cannot be read: {exc}")
            failure.__cause__ = exc
            self.interrupt(failure)
        elif not self._waiting.done():
            self._waiting.set_result(None)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


def _failure_of(exc: OSError) -> Exception:
    failure: Exception
    if isinstance(exc, ConnectionError | TimeoutError) or exc.errno in _UNREACHABLE:
        failure = Disconnected(LEFT)
    else:
        failure = StorageUnavailable(f"the file cannot be sent: {exc}")
    failure.__cause__ = exc
    return failure
