"""Noticing that nothing has begun for a time, at next to no cost for each beginning and end.

    idle ──begin──► busy ──end──► idle ──seconds──► on_idle

A timer for each time of idling would be made and cancelled with every request. So there is one
that runs on, and finds out when it fires whether it was for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleWatch:
    """Calls `on_idle` when it was idle for `seconds`. It is busy until its first `end`."""

    __slots__ = ("_idle_since", "_loop", "_on_idle", "_seconds", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, on_idle: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._on_idle = on_idle
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._idle_since = None

    def end(self) -> None:
        self._idle_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """Watch no more."""
        self._idle_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return  # the next end winds it again
        left = self._idle_since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._on_idle()
