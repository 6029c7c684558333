"""The way in of one connection: octets through the parser, content past it.

socket ──► transport ──► parser ──► application's receive
   │
   └──────── splice ──► file        only while the transport does not read
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tailrace.server import pipes
from tailrace.server.digesting import Update
from tailrace.server.flow import Flow
from tailrace.server.landing import Landing
from tailrace.server.limits import Limits
from tailrace.server.transfer import LEFT, Disconnected
from tailrace.spans import Span

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, HTTPScope

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Content:
    """The content of one request, for an application that may have it brought into a file."""

    def __init__(self, cycle: RequestResponseCycle, inlet: Inlet) -> None:
        self._cycle = cycle
        self._inlet = inlet

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message for the application; not while content is landing."""
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


class Parsing(Protocol):
    """The protocol class of one connection, as far as content that goes past its parser."""

    def renew_parser(self) -> None:
        """Have a parser that has seen nothing of this request, and so expects the next."""

    def on_body(self, body: bytes) -> None: ...

    def on_message_complete(self) -> None: ...

    def refuse_stalled(self) -> None:
        """Refuse the request, because nothing comes of its content."""


class Inlet:
    """The way in of one connection."""

    __slots__ = (
        "_flow",
        "_has_landed",
        "_landing",
        "_lands",
        "_loop",
        "_parsing",
        "_socket",
        "_stall_seconds",
        "_transport",
        "past_parser",
        "received",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        flow: Flow,
        limits: Limits,
        parsing: Parsing,
        *,
        is_tls: bool,
    ) -> None:
        self.past_parser = 0
        """How many octets of content are to come that the parser must not see."""
        self.received = 0
        """How many octets of the content under way have come, by whichever way."""
        # Over TLS, the octets must be decrypted first.
        self._lands = pipes.IS_SUPPORTED and not is_tls
        self._loop = loop
        self._transport = transport
        self._flow = flow
        self._socket = transport.get_extra_info("socket")
        self._stall_seconds = limits.content_stall_seconds
        self._parsing: Parsing | None = parsing
        self._landing: Landing | None = None
        self._has_landed: asyncio.Event | None = None

    def begin(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Take note that a request's content begins.

        Of a longer one, or one of unknown length, nothing more is read until the application
        asks: it may land, and where hundreds begin at once, all that is read is in memory.
        """
        self.received = 0
        for name, value in fields:
            # Above this limit uvicorn stops reading as well.
            is_long = name == b"content-length" and int(value) > HIGH_WATER_LIMIT
            if is_long or name == b"transfer-encoding":
                self._flow.pause_reading()

    def takes(self, scope: HTTPScope) -> bool:
        """Tell whether `land` works for a request: its length must be declared."""
        return (
            self._lands
            and scope["method"] not in ("GET", "HEAD")
            and any(name == b"content-length" for name, _ in scope["headers"])
        )

    async def land(
        self,
        cycle: RequestResponseCycle,
        descriptor: int,
        offset: int,
        count: int | None,
        on_progress: Callable[[int], object] | None,
        update: Update | None,
    ) -> int:
        """Bring content of a request into a file; see `Content.land`."""
        if self._landing is not None:
            raise RuntimeError("The content is already landing.")
        if cycle.disconnected or cycle.response_complete or self._transport.is_closing():
            raise Disconnected(LEFT)
        in_socket = _declared(cycle) - self.received if cycle.more_body else 0
        coming = len(cycle.body) + in_socket
        count = coming if count is None else min(count, coming)
        if not count:
            return 0
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self._transport.write(CONTINUE)
        # A duplicate, since event loops refuse to watch a descriptor of a transport; and it
        # stays ours when the transport has closed its own.
        with self._held(), self._socket.dup() as connection:
            landing = self._landing = Landing(
                self._loop,
                connection.fileno(),
                descriptor,
                Span(offset, offset + count),
                _taken(cycle, count),
                on_progress,
                update,
            )
            try:
                await landing.run(self._stall_seconds, self._has_stalled)
            finally:
                self._landing = None
                if landing.rest:  # still to be received
                    cycle.body = bytearray(landing.rest) + cycle.body
                    cycle.message_event.set()
                if landing.drawn:
                    self.received += landing.drawn
                    self._go_on_past_parser(in_socket - landing.drawn)
        return landing.landed

    def take_past_parser(self, data: bytes) -> bytes:
        """Take the content from what was received, and return what lies behind it."""
        assert self._parsing is not None
        content, data = data[: self.past_parser], data[self.past_parser :]
        self.past_parser -= len(content)
        self._parsing.on_body(content)
        if not self.past_parser:
            self._parsing.on_message_complete()
        return data

    async def idle(self) -> None:
        """Return once nothing is landing."""
        while self._has_landed is not None:
            await self._has_landed.wait()

    def connection_lost(self) -> None:
        """Take note that nothing more comes, and wake whoever lands content."""
        self._parsing = None  # or the two would keep each other in memory
        if self._landing is not None:
            self._landing.interrupt(Disconnected(LEFT))

    def _go_on_past_parser(self, left: int) -> None:
        if self._parsing is None:
            return
        self._parsing.renew_parser()
        self.past_parser = left
        if not left:
            self._parsing.on_message_complete()

    def _has_stalled(self) -> None:
        if self._parsing is not None:
            self._parsing.refuse_stalled()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Have the transport read nothing, whoever asks it to."""
        self._flow.pause_reading()
        self._flow.is_held = True
        self._has_landed = asyncio.Event()
        try:
            yield
        finally:
            self._has_landed.set()
            self._has_landed = None
            self._flow.is_held = False
            self._flow.resume_reading()


def keep_uncopied(cycle: RequestResponseCycle) -> None:
    """Have the next piece of content added without a copy, where it is the only one.

    uvicorn collects pieces in a `bytearray`, which it copies into a message. But nothing and a
    piece are that very piece, and so are its bytes.
    """
    if not cycle.body:
        cycle.body = b""  # type: ignore[assignment]
    elif isinstance(cycle.body, bytes):
        cycle.body = bytearray(cycle.body)


def _declared(cycle: RequestResponseCycle) -> int:
    (length,) = (value for name, value in cycle.scope["headers"] if name == b"content-length")
    return int(length)


def _taken(cycle: RequestResponseCycle, count: int) -> bytes:
    taken, cycle.body = bytes(cycle.body[:count]), cycle.body[count:]
    return taken
