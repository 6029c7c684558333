"""The reader may leave at any time, also while there is nothing to send."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

from tailrace.errors import ClientDisconnected


class UntilDisconnect:
    """Runs a block until its end or until the client leaves.

    A server tells of the leaving only to who calls `receive`. So a task does, and cancels
    the block (in the way of `asyncio.timeout`), which then raises ClientDisconnected. The
    end of the response must be sent after the block: a server tells of that, too, as a
    disconnect.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_left = False

    async def __aenter__(self) -> Self:
        block = asyncio.current_task()
        assert block is not None, "a response runs in a task"
        self._block = block
        self._cancels_before = block.cancelling()
        self._watch = asyncio.create_task(self._watch_for_disconnect())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.cancel()
        if (
            self._has_left
            and self._block.uncancel() <= self._cancels_before
            and isinstance(exc, asyncio.CancelledError)
        ):
            raise ClientDisconnected("the client left before the end") from exc

    async def _watch_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # what is left of the request's own content
        self._has_left = True
        self._block.cancel()
