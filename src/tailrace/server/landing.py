"""Content on its way from a socket into a file.

    turn ──► end
     │ ▲
     │ └──────────── the socket has something again: the event loop begins a turn
     └─► it has nothing, and nothing comes for a moment

A turn is taken by a thread: writing to a file may wait for a disk. Between turns an upload
that does not move holds no thread and no memory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import time
from collections.abc import Callable
from typing import Final

from tailrace.errors import StorageError, StorageFull, StorageUnavailable
from tailrace.no_room import NO_ROOM
from tailrace.server import pipes
from tailrace.server.digesting import Trail, Update
from tailrace.server.pipes import Pipe
from tailrace.server.threads import Threads, ended
from tailrace.server.transfer import LEFT, Disconnected
from tailrace.spans import Span

# A thread stays so long with a socket that has nothing, if nobody else needs it: to leave and
# come back takes the time in which a fast client sends a hundred kilobytes.
PATIENCE_SECONDS: Final = 0.02

# How soon after a byte came to lie in the file others are told, at the latest. Sooner, the
# telling would cost more than the carrying.
REPORT_SECONDS: Final = 0.002

# What one client may send before another's turn comes: some 10 ms on loopback.
TURN_BYTES: Final = 16 * 1024 * 1024

# They keep cores busy as long as the disk takes what they write, and wait for it otherwise.
_threads = Threads(min(8, 2 + (os.cpu_count() or 1)), "tailrace-landing")


class Landing:
    """Brings content into a span of a file, once.

    `connection` is a non-blocking socket that nothing else reads from or watches meanwhile.
    `buffered` are the first bytes, which have been read from it before.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: int,
        descriptor: int,
        span: Span,
        buffered: bytes,
        on_progress: Callable[[int], object] | None,
        update: Update | None,
    ) -> None:
        self.landed = 0
        """How many bytes lie in the file so far."""
        self.drawn = 0
        """How many were taken out of the socket."""
        self.rest = buffered
        """What was taken out of it and does not lie in the file."""
        self._loop = loop
        self._connection = connection
        self._descriptor = descriptor
        self._span = span
        self._on_progress = on_progress
        self._trail = None if update is None else Trail(descriptor, span.start, update)
        self._reported = 0
        self._reported_at = time.monotonic()
        self._is_report_due = False
        self._is_dry = False
        self._is_stopped = False
        self._failure: Exception | None = None
        self._waiting: asyncio.Future[None] = loop.create_future()

    async def run(self, stall_seconds: float, on_stall: Callable[[], object]) -> None:
        """Fill the span. Also if it raises or is cancelled, no thread is at work afterwards,
        and `on_progress` has been told how many bytes lie in the file.

        `on_stall` is called before it raises because nothing came for `stall_seconds`.

        Raises:
            Disconnected: the content ended before, or the client was too slow.
            StorageFull: there is no room for more.
            StorageUnavailable: the file cannot be written, or not be read for `update`.
            Exception: what `on_progress` or `update` raises.
        """
        try:
            while True:
                await ended(_threads.begin(self._take_turn), self._stop)
                self._check()
                if self.landed == self._span.length:
                    break
                if self._is_dry:
                    await self._await_more(stall_seconds, on_stall)
        finally:
            self._stop()
            await self._digest_ended()
            self._report()
        self._check()

    def interrupt(self, failure: Exception) -> None:
        """Have `run` raise failure soon."""
        self._failure = self._failure or failure
        self._stop()
        if not self._waiting.done():
            self._waiting.set_result(None)

    def _stop(self) -> None:
        self._is_stopped = True

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _digest_ended(self) -> None:
        job = self._trail and self._trail.stop()
        if job:
            await ended(job, self._stop)

    async def _await_more(self, seconds: float, on_stall: Callable[[], object]) -> None:
        self._waiting = self._loop.create_future()
        stalled = self._loop.call_later(seconds, self._has_stalled, seconds, on_stall)
        self._loop.add_reader(self._connection, self._has_more)
        try:
            await self._waiting
        finally:
            self._loop.remove_reader(self._connection)
            stalled.cancel()
        self._check()

    def _has_more(self) -> None:
        if not self._waiting.done():
            self._waiting.set_result(None)

    def _has_stalled(self, seconds: float, on_stall: Callable[[], object]) -> None:
        on_stall()
        self.interrupt(Disconnected(f"the client sent nothing for {seconds:g} s"))

    def _report(self) -> None:
        self._is_report_due = False
        if self._on_progress is not None and self.landed > self._reported:
            self._reported = self.landed
            try:
                self._on_progress(self.landed)
            except Exception as exc:
                self.interrupt(exc)

    # --- in a thread ----------------------------------------------------------------------

    def _take_turn(self) -> None:
        self._is_dry = False
        try:
            self._write_rest()
            if self._left:
                with pipes.borrowed() as pipe:
                    self._carry(pipe)
        finally:
            self._report_soon()
        if self._trail is not None:
            if self._left:
                self._trail.catch_up()
            else:
                self._trail.finish()

    @property
    def _left(self) -> int:
        return self._span.length - self.landed

    def _carry(self, pipe: Pipe) -> None:
        arrival = select.poll()
        arrival.register(self._connection, select.POLLIN)
        turn_stop = self.landed + TURN_BYTES
        while self._left and not self._is_stopped:
            if self.landed >= turn_stop and _threads.is_wanted:
                return
            try:
                length = pipe.draw(self._connection, self._left)
            except BlockingIOError:
                if self._comes_soon(arrival):
                    continue
                self._is_dry = True
                return
            except OSError as exc:
                raise Disconnected(f"the connection broke: {exc.strerror}") from exc
            if not length:
                raise Disconnected(LEFT)
            self.drawn += length
            self._pour(pipe, length)

    def _pour(self, pipe: Pipe, length: int) -> None:
        stop = self.landed + length
        while self.landed < stop:
            offset = self._span.start + self.landed
            try:
                poured = pipe.pour(self._descriptor, offset, stop - self.landed)
            except OSError as exc:
                self.rest = pipe.take_back(stop - self.landed)
                if exc.errno != errno.EINVAL:
                    raise _failure_of(exc) from exc
                self._write_rest()
            else:
                self._has_landed(poured)

    def _write_rest(self) -> None:
        while self.rest:
            try:
                offset = self._span.start + self.landed
                written = os.pwrite(self._descriptor, self.rest[: pipes.BLOCK_BYTES], offset)
            except OSError as exc:
                raise _failure_of(exc) from exc
            self.rest = self.rest[written:]
            self._has_landed(written)

    def _has_landed(self, length: int) -> None:
        self.landed += length
        if self._trail is not None:
            self._trail.follow(self._span.start + self.landed)
        if time.monotonic() >= self._reported_at + REPORT_SECONDS:
            self._report_soon()

    def _comes_soon(self, arrival: select.poll) -> bool:
        """Wait a moment for more, and tell whether it came."""
        if _threads.is_wanted:
            return False
        if self.landed > self._reported:
            if arrival.poll(REPORT_SECONDS * 1000):
                return True
            self._report_soon()
        return bool(arrival.poll(PATIENCE_SECONDS * 1000))

    def _report_soon(self) -> None:
        self._reported_at = time.monotonic()
        if not self._is_report_due:
            self._is_report_due = True
            self._loop.call_soon_threadsafe(self._report)


def _failure_of(exc: OSError) -> StorageError:
    if exc.errno in NO_ROOM:
        return StorageFull(f"the file cannot become longer: {exc.strerror}")
    return StorageUnavailable(f"the file cannot be written: {exc.strerror}")
