"""One request and its response: the messages of an application become octets.

    start ──► head held ──► content ──► complete

A head is held until the content begins, so that both leave in one packet, and an application
that fails in between can still be answered by a 500; but no longer than this turn of the event
loop: a client may be waiting for the head while the content is being made.

What `send` promises beyond ASGI:

- It returns when the kernel has the octets, not when they are buffered here.
- When the client has left it returns, as uvicorn does, and the application goes on to its own
  end: the clean-up that stands behind a `send` runs. It raises an OSError, as ASGI asks since
  2.4, only for the messages of an application that knows this server:
  `http.response.zerocopysend`, and `http.response.pathsend` with an `offset` or a `count`. A
  file that was sent in part is then not taken for a delivery.
- When a file cannot be read, or is shorter than was promised, it raises StorageUnavailable.
  The connection is cut, unless the head is still held.

Content is received by `receive`, or brought into a file by `land`, of `tailrace.request.land`;
the one goes on where the other has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from tailrace.server import cache, files, framing
from tailrace.server.digesting import Update
from tailrace.server.framing import Framing, ResponseHead
from tailrace.server.receiving import Inlet
from tailrace.server.sending import Outlet
from tailrace.server.transfer import LEFT, Disconnected

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

Message = Mapping[str, Any]

_START = "http.response.start"
_BODY = "http.response.body"
_ZERO_COPY_SEND = "http.response.zerocopysend"
_PATH_SEND = "http.response.pathsend"
_LAND = "tailrace.request.land"

# Up to this length a file is read and leaves with the head in one call.
_SMALL_BYTES = 64 * 1024


class Exchange:
    """Stands between uvicorn and the application for one request, itself an application.

    `cycle` is uvicorn's part of it: who is connected, what is logged, what comes next.
    """

    __slots__ = (
        "_app",
        "_cycle",
        "_flushing",
        "_head",
        "_inlet",
        "_is_sending_file",
        "_left",
        "_outlet",
    )

    def __init__(
        self,
        app: ASGI3Application,
        cycle: RequestResponseCycle,
        inlet: Inlet,
        outlet: Outlet,
    ) -> None:
        self._app = app
        self._cycle = cycle
        self._inlet = inlet
        self._outlet = outlet
        self._head: ResponseHead | None = None
        self._flushing: asyncio.Handle | None = None
        self._left: int | None = None  # of the Content-Length, if there is one
        self._is_sending_file = False

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http":
            # Of uvicorn's own, if it gets some, none would be understood below.
            scope["extensions"] = extensions = _offered(self._outlet)
            if self._inlet.lands and _has_length(scope):
                receive = self.receive
                extensions[_LAND] = {"land": self.land, "receive": receive}
        try:
            return await self._app(scope, receive, self.send)
        except Disconnected:  # told by us, so not an error to be logged (ASGI 2.4)
            self._cycle.disconnected = True
        finally:
            self._leave()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message for the application; content only while none is landing."""
        await self._inlet.idle()
        return await self._cycle.receive()

    async def land(
        self,
        descriptor: int,
        offset: int,
        count: int | None = None,
        *,
        on_progress: Callable[[int], object] | None = None,
        update: Update | None = None,
    ) -> int:
        """Bring what is to come of the content, at most `count` bytes, into a file at offset.

        Returns how many bytes that were. However it ends, also by a cancellation, the file
        is then no longer touched, `on_progress` has been told how many bytes of this call lie
        in it, and what does not can still be received, unless the client has left.

        `on_progress` is called on the event loop, not more often than is useful to others
        who read the file. `update` is called in other threads, with the bytes in order, and
        has seen all of them when this returns; the descriptor must be readable for it. Either
        may stop the landing by raising.

        Raises:
            Disconnected: the client left before the end, or was too slow.
            StorageFull: there is no room for more.
            StorageUnavailable: the file cannot be written, or not be read for `update`.
        """
        try:
            return await self._inlet.land(
                self._cycle, descriptor, offset, count, on_progress, update
            )
        except Disconnected:
            self._cycle.disconnected = True
            raise

    async def send(self, message: Message) -> None:
        """Take a message from the application; see the module's text for its promises."""
        kind = message["type"]
        if self._cycle.disconnected or self._outlet.is_lost:
            if _tells(message):
                raise Disconnected(LEFT)
            # Who watches for the disconnect must have a turn, or an application that never
            # waits for anything else would go on for ever.
            await asyncio.sleep(0)
            return
        if kind == _START:
            self._start(message)
            return
        head = self._begin_content(kind)
        try:
            if kind == _BODY:
                is_last = not message.get("more_body", False)
                self._write(head, message.get("body", b""), is_last)
                await self._outlet.drained()
            elif kind in (_ZERO_COPY_SEND, _PATH_SEND) and self._outlet.takes_files:
                is_last = kind == _PATH_SEND or not message.get("more_body", False)
                await self._send_file(head, message, is_last)
            else:
                raise RuntimeError(f"Unexpected ASGI message '{kind}'.")
        except Disconnected:
            self._cycle.disconnected = True
            if _tells(message):
                raise
            return
        if is_last:
            self._complete()

    def _start(self, message: Message) -> None:
        cycle = self._cycle
        if self._head is not None:
            raise RuntimeError(f"Unexpected ASGI message '{_START}', a response has begun.")
        cycle.waiting_for_100_continue = False
        self._head = head = framing.response_head(
            message["status"],
            [*cycle.default_headers, *message.get("headers", ())],
            method=cycle.scope["method"],
            http_version=cycle.scope["http_version"],
            keep_alive=cycle.keep_alive,
        )
        self._left = head.content_length
        self._flushing = asyncio.get_running_loop().call_soon(self._flush)

    def _begin_content(self, kind: str) -> ResponseHead:
        if self._head is None or self._flushing is None:
            raise RuntimeError(f"Expected ASGI message '{_START}', but got '{kind}'.")
        if self._cycle.response_complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', the response is complete.")
        if self._is_sending_file:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' while a file is sent.")
        self._flushing.cancel()  # the head leaves now, or stays if this message is wrong
        return self._head

    def _write(self, head: ResponseHead, content: bytes, is_last: bool) -> None:
        if head.framing is Framing.NONE:
            content = b""
        self._account(len(content), is_last)
        before, after = framing.around(head.framing, len(content), is_last=is_last)
        self._outlet.write((self._take(head), before, content, after))

    async def _send_file(self, head: ResponseHead, message: Message, is_last: bool) -> None:
        if head.framing is Framing.NONE:
            self._write(head, b"", is_last)
            return
        with files.opened(message, self._left) as (descriptor, span):
            self._account(span.length, is_last)
            before, after = framing.around(head.framing, span.length, is_last=is_last)
            before = self._take(head) + before
            content = None
            if span.length <= _SMALL_BYTES:
                content = cache.read_resident(descriptor, span.start, span.stop)
            if content is not None:
                self._outlet.write((before, content, after))
                await self._outlet.drained()
                return
            self._is_sending_file = True
            try:
                await self._outlet.send_file(before, descriptor, span, after)
            finally:
                self._is_sending_file = False

    def _account(self, length: int, is_last: bool) -> None:
        """Check content against the Content-Length, before any of it is sent."""
        if self._left is None:
            return
        if length > self._left:
            raise RuntimeError("Response content longer than Content-Length")
        if is_last and length < self._left:
            raise RuntimeError("Response content shorter than Content-Length")
        self._left -= length

    def _take(self, head: ResponseHead) -> bytes:
        """Return the head if it is still held; from here on it counts as sent."""
        cycle = self._cycle
        if cycle.response_started:
            return b""
        cycle.response_started = True
        cycle.keep_alive = cycle.keep_alive and head.keep_alive
        if cycle.access_log:
            cycle.access_logger.info(
                '%s - "%s %s HTTP/%s" %d',
                get_client_addr(cycle.scope),
                cycle.scope["method"],
                get_path_with_query_string(cycle.scope),
                cycle.scope["http_version"],
                head.status,
            )
        return head.octets

    def _flush(self) -> None:
        if self._head is not None and not self._cycle.disconnected:
            self._outlet.write((self._take(self._head),))

    def _complete(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._outlet.close(in_stages=cycle.more_body)
        cycle.on_response()

    def _leave(self) -> None:
        """End what the application has begun and not completed.

        Where nothing was sent yet, uvicorn answers with a 500.
        """
        cycle = self._cycle
        if self._head is not None and cycle.response_started and not cycle.response_complete:
            # Where the end of the connection is the end of the content, a part of it must not
            # look like the whole.
            self._outlet.cut(
                "the response was not completed",
                reset=self._head.framing is Framing.CLOSE,
            )


def _has_length(scope: HTTPScope) -> bool:
    """Tell whether the length of the request's content is declared."""
    return scope["method"] not in ("GET", "HEAD") and any(
        name == b"content-length" for name, _ in scope["headers"]
    )


def _offered(outlet: Outlet) -> dict[str, dict[object, object]]:
    if not outlet.takes_files:
        return {}
    # The keys tell which further ones a message may have: those are not in the standard.
    return {_ZERO_COPY_SEND: {}, _PATH_SEND: {"offset": True, "count": True}}


def _tells(message: Message) -> bool:
    """Tell whether an application that sends this expects to be told of a disconnect."""
    kind = message["type"]
    return kind == _ZERO_COPY_SEND or (
        kind == _PATH_SEND and ("offset" in message or "count" in message)
    )
