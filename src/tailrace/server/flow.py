"""When a connection is read and written, and what waits on it.

uvicorn's, made smaller: of its parts, an empty deque takes most of a KiB, and there may be
thousands of connections on which nothing ever waits.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """For a transport that must not read now and then, whoever asks for it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable: asyncio.Event | None = None
        self.read_paused = False
        self.write_paused = False
        self.is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()

    async def drain(self) -> None:
        if self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set()


class Pipeline(list[Any]):
    """The requests that wait for their turn, the last one first."""

    __slots__ = ()

    def appendleft(self, request: object) -> None:
        self.insert(0, request)

    def popleft(self) -> None:
        del self[0]
