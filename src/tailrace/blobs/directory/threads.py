"""Blocking steps in threads, and what follows from it that a thread cannot be interrupted.

Who writes waits for the end of the step even when cancelled, because it must know what was
written and nothing may touch its file afterwards: `finish`. Who reads leaves at once; what
the step still uses stays open until the step is through: `take` and `SharedFile`.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tailrace.blobs.directory.faults import translated

T = TypeVar("T")


class Threads:
    """The threads of one store."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="tailrace-blobs")

    def begin(self, place: str, step: Callable[[], T]) -> Future[T]:
        """Begin a step. An OSError in it becomes our error, with the words `at place`."""
        return self._executor.submit(_run, place, step)

    async def close(self) -> None:
        """Wait for all steps to end, and let go of the threads."""
        await asyncio.to_thread(self._executor.shutdown)


def _run(place: str, step: Callable[[], T]) -> T:
    with translated(place):
        return step()


async def finish(job: Future[T]) -> T:
    """Wait for the end of a job and return its result; a cancellation goes on only then."""
    end = asyncio.wrap_future(job)
    cancelled: asyncio.CancelledError | None = None
    while not end.done():
        try:
            await asyncio.wait((end,))  # unlike `await end`, leaves the job alone if cancelled
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        end.exception()  # the job's own error is known to have been seen
        raise cancelled
    return end.result()


async def take(job: Future[T], undo: Callable[[T], object]) -> T:
    """Return the result of a job. If cancelled, leave at once.

    What the job then still gives is for undo, called in the job's thread.
    """
    try:
        return await asyncio.wrap_future(job)
    except asyncio.CancelledError:
        job.add_done_callback(lambda job: _undo(job, undo))
        raise


def _undo(job: Future[T], undo: Callable[[T], object]) -> None:
    if not job.cancelled() and job.exception() is None:
        undo(job.result())


class SharedFile:
    """An open file that the last of its users closes: its owner, or a step in a thread."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._users = 1
        self._is_open = True

    def fileno(self) -> int:
        """Return the descriptor.

        Raises:
            ValueError: the owner has closed the file.
        """
        if not self._is_open:
            raise ValueError("the file is closed")
        return self._file.fileno()

    def borrow(self) -> int:
        """Return the descriptor, open until it is given back, whatever the owner does.

        Raises:
            ValueError: the owner has closed the file.
        """
        with self._lock:
            descriptor = self.fileno()
            self._users += 1
            return descriptor

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self._file.close()

    def close(self) -> None:
        """End the owner's use. Must not be called twice."""
        self._is_open = False
        self.give_back()
