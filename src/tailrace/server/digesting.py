"""Reading what is being written, close behind, for a digest.

    socket ──► file ──────────────► front
                 └── update ──► passed        at most LAG_BYTES behind

Out of the page cache, which costs less than to receive into this program's memory and write
from there: a digest in the same thread would halve the rate, one in another thread needs only
not to fall behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from tailrace.errors import StorageUnavailable
from tailrace.server.pipes import BLOCK_BYTES
from tailrace.server.threads import Threads

Update = Callable[[memoryview], object]
"""Takes in the next bytes; they are only lent. Called by one thread at a time."""

# What lies further behind may have left memory before it is read.
LAG_BYTES: Final = 64 * 1024 * 1024

# They keep processors busy, and none waits for another.
_threads = Threads(min(8, os.cpu_count() or 1), "tailrace-digest")


class Trail:
    """Hands the bytes of a file to `update`, in order and each once, from start on.

    `follow`, `catch_up` and `finish` block, and raise what reading or `update` has raised; they
    must not be called at once by two threads.
    """

    def __init__(self, descriptor: int, start: int, update: Update) -> None:
        self._descriptor = descriptor
        self._update = update
        self._passed = start
        self._front = start
        self._job: Future[None] | None = None
        self._is_stopped = False

    def follow(self, front: int) -> None:
        """Take note of how far the file is written; wait where the digest is too far behind."""
        self._front = front
        lag = front - self._passed
        if lag < BLOCK_BYTES:
            return
        if self._job is None or self._job.done():
            self._await_job()
            self._job = _threads.begin(self._pass)
        elif lag > LAG_BYTES:
            self._await_job()

    def catch_up(self) -> None:
        """Hand over what was written, unless another thread is at it."""
        if self._job is None or self._job.done():
            self._await_job()
            self._pass()

    def finish(self) -> None:
        """Hand over all that was written."""
        self._await_job()
        self._pass()

    def stop(self) -> Future[None] | None:
        """Hand over no more; return what still runs, and will end soon."""
        self._is_stopped = True
        return self._job

    def _await_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def _pass(self) -> None:
        buffer = _own.buffer
        while self._passed < self._front and not self._is_stopped:
            limit = min(len(buffer), self._front - self._passed)
            try:
                length = os.preadv(self._descriptor, [buffer[:limit]], self._passed)
            except OSError as exc:
                raise StorageUnavailable(f"the file cannot be read: {exc.strerror}") from exc
            if not length:
                raise StorageUnavailable(f"the file ended at {self._passed} while it grew")
            self._update(buffer[:length])
            self._passed += length


class _Own(threading.local):
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(BLOCK_BYTES))


_own = _Own()
