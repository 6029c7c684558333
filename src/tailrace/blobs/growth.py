"""What those who follow growing blobs wait on.

    a writer here ──────publish──►┐
                                  ├──► Growth ──wakes──► each waiter whose wait is over
    a writer elsewhere ◄──Poll────┘

A blob that grows in this process is published by its writer, step by step. One that grows in
another process tells nobody: a `Poll` looks at all of those from one timer. Both belong to
one event loop; nothing here may be called from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tailrace.blobs.contract import BlobState, BlobStatus
from tailrace.errors import StorageError


class Growth:
    """The newest known status of one blob, and those who wait for a newer one."""

    __slots__ = ("__weakref__", "_status", "_waiters", "writers")

    def __init__(self, status: BlobStatus) -> None:
        self.writers = 0
        """How many writers live in this process: one, or two while one follows the other."""
        self._status = status
        self._waiters: dict[asyncio.Future[None], int] = {}

    @property
    def status(self) -> BlobStatus:
        return self._status

    @property
    def has_writer(self) -> bool:
        """Whether a writer in this process publishes each of its steps."""
        return self.writers > 0

    def publish(self, status: BlobStatus) -> None:
        """Make a status known and wake whom it concerns; one that is not newer is dropped."""
        if self._is_newer(status):
            self._status = status
            for waiter, length in self._waiters.items():
                if self.is_beyond(length) and not waiter.done():
                    waiter.set_result(None)

    def fail(self, error: StorageError) -> None:
        """Let everyone who waits now raise the error."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def is_beyond(self, length: int) -> bool:
        return self._status.length > length or self._status.state is not BlobState.GROWING

    async def wait_beyond(self, length: int) -> BlobStatus:
        """Return as soon as the blob is longer than length, or no longer growing."""
        if not self.is_beyond(length):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = length
            try:
                await waiter
            finally:
                del self._waiters[waiter]
        return self._status

    def _is_newer(self, status: BlobStatus) -> bool:
        # Lengths never fall and an end is final, so two statuses always have an order. They
        # come out of order when a look from outside and the writer's own step cross.
        if self._status.state is not BlobState.GROWING:
            return False
        return status.state is not BlobState.GROWING or status.length > self._status.length


Look = Callable[[], BlobStatus]
"""Returns the present status of one blob, at once; may raise StorageError."""


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    growth: Growth
    look: Look


class Poll:
    """Looks at the blobs that are waited for and written elsewhere, all from one timer."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._watches: set[_Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, growth: Growth, look: Look) -> Iterator[None]:
        """Publish what look returns, again and again, while the growth has no writer here."""
        watch = _Watch(growth, look)
        self._watches.add(watch)
        if not growth.has_writer:
            self.wind()
        try:
            yield
        finally:
            self._watches.remove(watch)
            if not self._watches and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def wind(self) -> None:
        """See to it that the timer runs; it stops by itself when it finds nothing to do.

        To be called when a writer here leaves a blob growing, for those who watch it.
        """
        if self._timer is None and self._watches:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval_seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        # One look a blob, through whichever of its watches.
        unattended = {
            watch.growth: watch.look for watch in self._watches if not watch.growth.has_writer
        }
        for growth, look in unattended.items():
            try:
                growth.publish(look())
            except StorageError as error:
                growth.fail(error)
        if unattended:
            self.wind()
