"""What those who follow growing blobs wait on.

    a writer here ──────publish──►┐
                                  ├──► Growth ──wakes──► each waiter whose wait is over
    a writer elsewhere ◄──Poll────┘

A blob that grows in this process is published by its writer, step by step. At one that grows
in another process a `Poll` looks: when the system tells of a change, if it does, and from one
timer for all of those. Both belong to one event loop; nothing here may be called from another
thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tailrace.blobs.contract import BlobState, BlobStatus
from tailrace.errors import StorageError

# Fast enough for people, and for a file that is written at 100 MB/s a megabyte at a time.
_FASTEST_SECONDS = 0.01

# A look at a thousand blobs takes some five milliseconds.
_TOLD_SECONDS = 1.0


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

Ask = Callable[[], bool]
"""Asks for `Poll.look_at` to be called at each change of one blob; tells whether it will be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    look: Look
    ask: Ask


@dataclass(slots=True)
class _Watched:
    """A growth that is waited for, and through whose eyes it can be looked at."""

    watches: dict[_Watch, None]
    is_told: bool = False


class Poll:
    """Looks at the blobs that are waited for and written elsewhere, when told and now and then.

    All from one timer, whose pace follows what it finds: fast as long as it has news, slower
    with each look that has none, down to `seconds`, or `told_seconds` where it is only a net
    below those who tell. So those may be deaf to some writers without harm.
    """

    def __init__(self, seconds: float, *, told_seconds: float = _TOLD_SECONDS) -> None:
        self._seconds = seconds
        self._told_seconds = told_seconds
        self._pause = _FASTEST_SECONDS
        self._watched: dict[Growth, _Watched] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, growth: Growth, look: Look, ask: Ask = lambda: False) -> Iterator[None]:
        """Publish what look returns, again and again, while the growth has no writer here.

        What changes before this context has begun may be seen late.
        """
        watch = _Watch(look, ask)
        watched = self._watched.get(growth)
        if watched is None:
            watched = self._watched[growth] = _Watched({})
        watched.watches[watch] = None
        if not growth.has_writer:
            self._attend(watched)
        try:
            yield
        finally:
            del watched.watches[watch]
            if not watched.watches:
                del self._watched[growth]
            if not self._watched and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def writer_left(self, growth: Growth) -> None:
        """To be called when a writer here leaves a blob growing, for those who watch it."""
        watched = self._watched.get(growth)
        if watched is not None and not growth.has_writer:
            self._attend(watched)

    def look_at(self, growth: Growth) -> bool:
        """Look at one blob now, if it is watched and written elsewhere; tell if it has news."""
        watched = self._watched.get(growth)
        if watched is None or growth.has_writer:
            return False
        before = growth.status
        try:
            growth.publish(next(iter(watched.watches)).look())
        except StorageError as error:
            growth.fail(error)
        return growth.status != before

    def look_at_all(self) -> bool:
        """The same for each of them; tell if any has news."""
        return sum(self.look_at(growth) for growth in list(self._watched)) > 0

    def _attend(self, watched: _Watched) -> None:
        if not watched.is_told:
            watched.is_told = next(reversed(watched.watches)).ask()
        self._wind(self._seconds if not watched.is_told else self._told_seconds)

    def _wind(self, slowest: float) -> None:
        """See to it that the timer runs; it stops by itself when it finds nothing to do."""
        self._pause = min(self._pause, slowest)
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + self._pause:
                return
            self._timer.cancel()
        self._timer = loop.call_later(self._pause, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._pause = _FASTEST_SECONDS if self.look_at_all() else 2 * self._pause
        unattended = [
            watched for growth, watched in self._watched.items() if not growth.has_writer
        ]
        if unattended:
            are_all_told = all(watched.is_told for watched in unattended)
            self._wind(self._told_seconds if are_all_told else self._seconds)
