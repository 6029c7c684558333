"""Telling a peer that is slow from one that has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class StallWatch:
    """Calls back when nothing moves for a time, while its context lasts.

    `confirmed` returns how much the peer has confirmed so far, or None where nothing is under
    way to it. It is asked once in each `seconds`, so that a stall is seen after this time at
    the soonest, and after twice this time at the latest.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        confirmed: Callable[[], int | None],
        on_stall: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._confirmed = confirmed
        self._on_stall = on_stall
        self._last: int | None = None

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._look)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._confirmed()
        if now is not None and now == self._last:
            self._on_stall()
        else:
            self._last = now
            self._timer = self._loop.call_later(self._seconds, self._look)
