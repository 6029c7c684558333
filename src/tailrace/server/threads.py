"""Threads that carry content from sockets into files, shared by all connections.

Each carries for whoever has something to carry, a turn at a time, so that a few are enough
for any number of clients.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Threads:
    """Threads, and whether someone waits for one. They start when they are needed."""

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def is_wanted(self) -> bool:
        """Whether there is a turn that no thread has begun."""
        return self._waiting > 0

    def begin(self, turn: Callable[[], None]) -> Future[None]:
        """Have a thread take a turn, as soon as one is free. It must not be cancelled."""
        with self._lock:
            job = self._executor.submit(self._take, turn)
            self._waiting += 1
        return job

    def _take(self, turn: Callable[[], None]) -> None:
        with self._lock:
            self._waiting -= 1
        turn()


async def ended(job: Future[None], on_cancel: Callable[[], None]) -> None:
    """Wait for the end of a job, and raise what it raised.

    A cancellation calls `on_cancel`, by which the job is asked to end soon, and is raised
    when it has.
    """
    end = asyncio.wrap_future(job)
    cancelled: asyncio.CancelledError | None = None
    while not end.done():
        try:
            await asyncio.wait((end,))  # unlike `await end`, leaves the job alone
        except asyncio.CancelledError as exc:
            cancelled = exc
            on_cancel()
    if cancelled is not None:
        end.exception()  # the job's own failure is known to have been seen
        raise cancelled
    end.result()
