"""The reader may leave at any time, also while there is nothing to send.

A server tells of it in two ways: to who calls `receive`, and, since ASGI 2.4, by an OSError
from `send`. Both become ClientDisconnected here.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive, Send

from tailrace.errors import ClientDisconnected


class UntilDisconnect:
    """Runs a block until its end or until the client leaves.

    A task calls `receive` and cancels the block when the client has left, in the way of
    `asyncio.timeout`: the block then raises ClientDisconnected, unless somebody else has
    cancelled it as well. If `receive` fails, the block is cancelled and raises that error.
    The task has ended when the block has. The end of the response must be sent after the
    block: a server tells of that, too, as a disconnect.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False
        self._interruption: Exception | None = None

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
        self._is_over = True
        interruption, self._interruption = self._interruption, None
        if interruption is None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))
        elif self._block.uncancel() <= self._cancels_before and isinstance(
            exc, asyncio.CancelledError
        ):
            raise interruption from exc

    async def _watch_for_disconnect(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass  # what is left of the request's own content
        except Exception as exc:
            if self._is_over:
                raise  # the event loop tells of it
            self._interrupt(exc)
        else:
            self._interrupt(ClientDisconnected("the client left before the end"))

    def _interrupt(self, interruption: Exception) -> None:
        if not self._is_over:
            self._interruption = interruption
            self._block.cancel()


def noticing_departure(send: Send) -> Send:
    """Return a `send` that raises ClientDisconnected where send tells that the client left."""

    async def noticing(message: Message) -> None:
        try:
            await send(message)
        except OSError as exc:
            raise ClientDisconnected("the client left before the end") from exc

    return noticing
