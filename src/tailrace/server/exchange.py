"""One request and its response: the messages of an application become octets.

    start ──► head held ──► content ──► (trailer fields) ──► complete

A head is held until the content begins, so that both leave in one packet, and an application
that fails in between can still be answered by a 500; but no longer than this turn of the event
loop: a client may be waiting for the head while the content is being made.

`http.response.pathsend` may have further keys, which are in no standard. `offset` and `count`
choose a span of the file. With `pieces` no path is opened: it is an async iterable of content,
each piece octets, or an offset and a count of what `file` holds, which is a descriptor or has a
`fileno()`. So all of a response is one message, which middleware passes on as it is, whether it
has several parts or grows for hours. (Who passes it on had better not know another meaning: so
the `path` beside `pieces` should be one that nobody can open.)

To requests that may have content, `tailrace.response.interim` is offered: its `send` takes the
status and the fields of an interim response, before the final one has begun.

What `send` promises beyond ASGI:

- It returns when the kernel has the octets, not when they are buffered here.
- When the client has left it returns, as uvicorn does, and the application goes on to its own
  end: the clean-up that stands behind a `send` runs. It raises an OSError, as ASGI asks since
  2.4, only for the messages of an application that knows this server:
  `http.response.zerocopysend`, and `http.response.pathsend` with an `offset` or a `count`. A
  file that was sent in part is then not taken for a delivery. Who gives `pieces` is told by
  them: the next is asked for when the kernel has the last, the end is reached when it has
  all, and when the client leaves they are closed, also while they wait for something.
- When a file cannot be read, or is shorter than was promised, it raises StorageUnavailable;
  when `pieces` raise, their error. The connection is cut, unless the head is still held.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from tailrace import cached
from tailrace.server import files, framing
from tailrace.server.framing import Framing, ResponseHead
from tailrace.server.receiving import Content, Inlet
from tailrace.server.sending import Outlet
from tailrace.server.transfer import LEFT, Disconnected
from tailrace.spans import Span

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

Message = Mapping[str, Any]

_START = "http.response.start"
_BODY = "http.response.body"
_INTERIM = "tailrace.response.interim"
_ZERO_COPY_SEND = "http.response.zerocopysend"
_PATH_SEND = "http.response.pathsend"
_TRAILERS = "http.response.trailers"
_LAND = "tailrace.request.land"

# Up to this length a file is read and leaves with the head in one call.
_SMALL_BYTES = 64 * 1024


class Exchange:
    """Stands between uvicorn and the application for one request, itself an application.

    `cycle` is uvicorn's part of it: who is connected, what is logged, what comes next.
    """

    __slots__ = (
        "_app",
        "_awaits_trailers",
        "_cycle",
        "_flushing",
        "_head",
        "_inlet",
        "_is_busy",
        "_is_content_complete",
        "_left",
        "_outlet",
        "_trailers",
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
        self._is_busy = False
        self._awaits_trailers = False
        self._trailers: list[tuple[bytes, bytes]] = []
        self._is_content_complete = False

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http":
            # Of uvicorn's own, if it gets some, none would be understood below.
            scope["extensions"] = extensions = _offered(self._outlet, scope["http_version"])
            if scope["http_version"] != "1.0" and scope["method"] not in ("GET", "HEAD"):
                extensions[_INTERIM] = {"send": self.send_interim}
            if self._inlet.takes(scope):
                content = Content(self._cycle, self._inlet)
                receive = content.receive
                extensions[_LAND] = {"land": content.land, "receive": receive}
        try:
            return await self._app(scope, receive, self.send)
        except Disconnected:  # told by us, so not an error to be logged (ASGI 2.4)
            self._cycle.disconnected = True
        finally:
            self._leave()

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
        if kind == _TRAILERS:
            self._send_trailers(message)
            return
        head = self._begin_content(kind)
        try:
            is_last = await self._send_content(head, kind, message)
        except Disconnected:
            self._cycle.disconnected = True
            if _tells(message):
                raise
            return
        if is_last:
            self._is_content_complete = True
            if not self._awaits_trailers:
                self._complete()

    async def send_interim(self, status: int, headers: framing.FieldLines) -> None:
        """Send an interim response, as often as there is something to tell.

        Raises:
            RuntimeError: the final response has begun, or this is none that can be sent.
        """
        if self._head is not None:
            raise RuntimeError("An interim response cannot follow the final one.")
        octets = framing.interim_head(status, headers)
        if not self._cycle.disconnected:
            self._outlet.write([octets])
            with contextlib.suppress(Disconnected):  # who reads the content is told
                await self._outlet.drained()

    async def _send_content(self, head: ResponseHead, kind: str, message: Message) -> bool:
        """Send what a message has; return whether that was the last of the content."""
        takes_files = self._outlet.takes_files
        if kind == _BODY:
            self._stop_flushing()
            is_last = not message.get("more_body", False)
            self._write(head, message.get("body", b""), is_last)
            await self._outlet.drained()
            return is_last
        if kind == _PATH_SEND and takes_files and "pieces" in message:
            await self._send_pieces(head, message)
            return True
        if kind in (_ZERO_COPY_SEND, _PATH_SEND) and takes_files:
            self._stop_flushing()
            is_last = kind == _PATH_SEND or not message.get("more_body", False)
            await self._send_file(head, message, is_last)
            return is_last
        raise RuntimeError(f"Unexpected ASGI message '{kind}'.")

    def _start(self, message: Message) -> None:
        cycle = self._cycle
        if self._head is not None:
            raise RuntimeError(f"Unexpected ASGI message '{_START}', a response has begun.")
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            if cycle.more_body and not cycle.body:
                # Whether the content will come all the same, nobody knows (RFC 9110 §10.1.1).
                cycle.keep_alive = False
        self._head = head = framing.response_head(
            message["status"],
            message.get("headers", ()),
            framing.dated(cycle.default_headers, time.time()),
            method=cycle.scope["method"],
            http_version=cycle.scope["http_version"],
            keep_alive=cycle.keep_alive,
        )
        self._left = head.content_length
        self._awaits_trailers = message.get("trailers", False)
        self._flushing = self._outlet.loop.call_soon(self._flush)

    def _begin_content(self, kind: str) -> ResponseHead:
        if self._head is None:
            raise RuntimeError(f"Expected ASGI message '{_START}', but got '{kind}'.")
        if self._cycle.response_complete or self._is_content_complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', the response is complete.")
        if self._is_busy:
            raise RuntimeError(f"Unexpected ASGI message '{kind}' while a file is sent.")
        return self._head

    def _stop_flushing(self) -> None:
        """Hold the head until it leaves with the content, or stays if the content is wrong."""
        if self._flushing is not None:
            self._flushing.cancel()

    def _write(self, head: ResponseHead, content: bytes, is_last: bool) -> None:
        if head.framing is Framing.NONE:
            content = b""
        before, after = self._around(head, len(content), is_last)
        self._outlet.write((before, content, after))

    def _around(self, head: ResponseHead, length: int, is_last: bool) -> tuple[bytes, bytes]:
        """Return what goes before and after some content: the head, and the framing."""
        self._account(length, is_last)
        is_end = is_last and not self._awaits_trailers
        before, after = framing.around(head.framing, length, is_last=is_end)
        return self._take(head) + before, after

    async def _send_file(self, head: ResponseHead, message: Message, is_last: bool) -> None:
        if head.framing is Framing.NONE:
            self._write(head, b"", is_last)
            return
        with files.opened(message, self._left) as (descriptor, span):
            content = _resident(descriptor, span)
            if content is None:
                await self._send_long(head, descriptor, span, is_last)
            else:
                self._write(head, content, is_last)
                await self._outlet.drained()

    async def _send_pieces(self, head: ResponseHead, message: Message) -> None:
        if head.framing is not Framing.NONE:
            self._is_busy = True
            pieces = message["pieces"]
            try:
                iterator = aiter(pieces)
                # Meanwhile the head is still held, but not until a file begins to grow.
                while True:
                    piece = await self._outlet.unless_lost(anext(iterator, None))
                    if piece is None:
                        break
                    await self._send_piece(head, piece, message)
            except BaseException:
                self._stop_flushing()
                if self._cycle.response_started:
                    self._outlet.cut("the content cannot be had to its end")
                raise
            finally:
                self._is_busy = False
                if hasattr(pieces, "aclose"):
                    await pieces.aclose()
        self._stop_flushing()
        self._write(head, b"", is_last=True)
        await self._outlet.drained()

    async def _send_piece(
        self, head: ResponseHead, piece: bytes | tuple[int, int], message: Message
    ) -> None:
        self._stop_flushing()
        if isinstance(piece, tuple):
            offset, count = piece
            span = Span(offset, offset + count)
            content = _resident(files.descriptor_of(message["file"]), span)
            if content is None:
                with files.lent(message["file"]) as descriptor:
                    await self._send_long(head, descriptor, span, is_last=False)
                return
            piece = content
        self._write(head, piece, is_last=False)
        await self._outlet.drained()

    async def _send_long(
        self, head: ResponseHead, descriptor: int, span: Span, is_last: bool
    ) -> None:
        before, after = self._around(head, span.length, is_last)
        is_busy, self._is_busy = self._is_busy, True
        try:
            await self._outlet.send_file(before, descriptor, span, after)
        finally:
            self._is_busy = is_busy

    def _send_trailers(self, message: Message) -> None:
        """Take trailer fields, which only chunked content has a place for (RFC 9112 §7.1.2)."""
        may_come = self._awaits_trailers and self._is_content_complete
        if self._head is None or not may_come or self._cycle.response_complete:
            raise RuntimeError(f"Unexpected ASGI message '{_TRAILERS}'.")
        self._trailers += message.get("headers", ())
        if message.get("more_trailers", False):
            return
        if self._head.framing is Framing.CHUNKED:
            self._outlet.write((framing.last_chunk(self._trailers),))
        self._complete()

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
        if head.framing is Framing.CLOSE:
            self._outlet.begin_unframed()
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
        self._outlet.end_response()
        if not cycle.keep_alive:
            self._outlet.close(in_stages=cycle.more_body)
        cycle.on_response()

    def _leave(self) -> None:
        """End what the application has begun and not completed.

        Where nothing was sent yet, uvicorn answers with a 500.
        """
        if self._cycle.response_started and not self._cycle.response_complete:
            self._outlet.cut("the response was not completed")


def _offered(outlet: Outlet, http_version: str) -> dict[str, dict[object, object]]:
    # The keys tell which further ones a message may have: those are not in the standard.
    further: dict[object, object] = {"offset": True, "count": True, "pieces": True}
    files = {_ZERO_COPY_SEND: {}, _PATH_SEND: further} if outlet.takes_files else {}
    return files if http_version == "1.0" else files | {_TRAILERS: {}}


def _resident(descriptor: int, span: Span) -> bytes | None:
    """Return what is not worth a transfer of its own, if there is no need to wait for it."""
    if span.length > _SMALL_BYTES:
        return None
    return cached.read(descriptor, span.start, span.stop)


def _tells(message: Message) -> bool:
    """Tell whether an application that sends this expects to be told of a disconnect."""
    kind = message["type"]
    return kind == _ZERO_COPY_SEND or (
        kind == _PATH_SEND and ("offset" in message or "count" in message)
    )
