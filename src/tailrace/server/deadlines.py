"""The deadline of a connection: one at a time, for what its client owes.

    owed           limit                  runs from
    a head         head_seconds           when it is first awaited; octets do not prolong it
    content        content_stall_seconds  the last octets, or when there is again room for them
    to be there    half_closed_seconds    when all that was sent has arrived

The latter two are looked at when their time is over, and not wound again with every octet. So
what had happened in between, since when there is room or all has arrived, may be seen late:
then it is up to twice the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailrace.server.limits import Limits


class Deadlines:
    """Calls `on_overdue` when what was awaited last has not come in time."""

    __slots__ = ("_content_at", "_limits", "_loop", "_on_overdue", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: Limits, on_overdue: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._on_overdue = on_overdue
        self._timer: asyncio.TimerHandle | None = None
        self._content_at = 0.0

    def await_head(self) -> None:
        """Give a head its time, unless something is awaited already."""
        if self._timer is None:
            self._wind(self._limits.head_seconds, self._overdue)

    def await_content(self, is_held_up: Callable[[], bool]) -> None:
        """Give content its time from now on, the time excepted in which it is held up here."""
        self.note_content()
        if self._timer is None:
            self._wind(self._limits.content_stall_seconds, self._look_for_content, is_held_up)

    def note_content(self) -> None:
        """Take note that some content has come, if any is awaited."""
        self._content_at = self._loop.time()

    def await_departure(self, arrived: Callable[[], int | None]) -> None:
        """Give the client's side of a response its time, in place of all else.

        `arrived` tells how much has reached the client, or None while more is under way.
        """
        self.disarm()
        self._wind(
            self._limits.half_closed_seconds, self._look_for_departure, arrived, arrived()
        )

    def disarm(self) -> None:
        """Await nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wind(self, seconds: float, callback: Callable[..., None], *arguments: object) -> None:
        self._timer = self._loop.call_later(seconds, callback, *arguments)

    def _overdue(self) -> None:
        self._timer = None
        self._on_overdue()

    def _look_for_content(
        self, is_held_up: Callable[[], bool], was_held_up: bool = False
    ) -> None:
        limit = self._limits.content_stall_seconds
        if is_held_up():
            self._wind(limit, self._look_for_content, is_held_up, True)
            return
        if was_held_up:  # until when, nobody has seen
            self.note_content()
        left = self._content_at + limit - self._loop.time()
        if left > 0:
            self._wind(left, self._look_for_content, is_held_up)
        else:
            self._overdue()

    def _look_for_departure(
        self, arrived: Callable[[], int | None], before: int | None
    ) -> None:
        now = arrived()
        if now is not None and now == before:
            self._overdue()
        else:
            self._wind(self._limits.half_closed_seconds, self._look_for_departure, arrived, now)
