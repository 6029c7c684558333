"""The way out of one connection: octets through the transport, files past it.

    write ─────────────────────────► socket ──► peer
      └──► transport's buffer ─────►   ▲
    send_file ──────── sendfile ───────┘   both only while the transport's buffer is empty

The buffer holds what the kernel did not take of one `write`. Who waits for `drained` before
the next one keeps no more than that in memory for a slow reader. Past an empty buffer octets
go to the socket at once: a transport may leave them for the end of the event loop's turn, and
a file must not overtake them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from uvicorn.protocols.http.flow_control import FlowControl

from tailrace.server import tcp
from tailrace.server.limits import Limits
from tailrace.server.stalls import StallWatch
from tailrace.server.transfer import LEFT, TURN_BYTES, Disconnected, Transfer
from tailrace.spans import Span

T = TypeVar("T")

# Up to this length, one more packet costs more than a copy.
_JOINED_BYTES = 64 * 1024

# What a message costs by itself, compared with its octets.
_MESSAGE_BYTES = 16 * 1024

# asyncio would buffer 512 KiB for each reader over TLS.
_TLS_BUFFER_BYTES = 64 * 1024


class Outlet:
    """The way out of one connection. Its methods must not be called at once by two tasks."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_flow",
        "_is_unframed",
        "_limits",
        "_loss",
        "_socket",
        "_transfer",
        "_transport",
        "_turn",
        "_waiting",
        "_written",
        "loop",
        "takes_files",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        flow: FlowControl,
        limits: Limits,
        *,
        is_tls: bool,
    ) -> None:
        self.takes_files = not is_tls
        """Whether `send_file` works. Over TLS, the octets would have to be encrypted first."""
        self.loop = loop
        self._transport = transport
        self._flow = flow
        self._socket = transport.get_extra_info("socket")
        self._limits = limits
        self._written = 0
        self._turn = 0  # how much was written since others had their turn
        self._transfer: Transfer | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._buffer = tcp.SendBuffer(self._socket)
        self._loss: str | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._is_unframed = False
        # With 0, writing is paused until the buffer is empty again. Not so over TLS, where
        # asyncio would take the empty buffer for a full one.
        transport.set_write_buffer_limits(_TLS_BUFFER_BYTES if is_tls else 0)

    @property
    def is_closing_in_stages(self) -> bool:
        """Whether what the client still sends is of no interest any more."""
        return self._closing is not None

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._loss is not None

    @property
    def written(self) -> int:
        """How much was handed over by `write`."""
        return self._written

    @property
    def is_idle(self) -> bool:
        """Whether all that was to be sent has arrived on the client's machine."""
        return self._transfer is None and self._confirmed() is None

    def write(self, pieces: Sequence[bytes]) -> None:
        """Hand octets over; `drained` waits until the kernel has them."""
        if self._loss is not None:
            return
        length = sum(map(len, pieces))
        self._written += length
        self._turn += length + _MESSAGE_BYTES
        if self.takes_files and not self._transport.get_write_buffer_size():
            pieces = self._written_past(pieces)
            if not pieces:
                return
        if length <= _JOINED_BYTES:
            self._transport.write(b"".join(pieces))
        else:
            for piece in pieces:
                self._transport.write(piece)

    async def drained(self) -> None:
        """Return once the kernel has taken all that was written.

        From time to time others have their turn, or an application that never waits for
        anything else would keep it for as long as its client is fast.

        Raises:
            Disconnected: it never will.
        """
        if self._transport.is_closing():  # of which we are told in a later turn
            self.connection_lost()
        if self._loss is not None:
            raise Disconnected(self._loss)
        if self._flow.write_paused:
            with self._stall_watch():
                await self._flow.drain()
            self._turn = 0
        elif self._turn > TURN_BYTES:
            await asyncio.sleep(0)
            self._turn = 0
        if self._loss is not None:
            raise Disconnected(self._loss)

    async def unless_lost(self, waiting: Awaitable[T]) -> T:
        """Return what is waited for, in this task, but not once nobody will get it.

        Whatever it is that waits is cancelled then, in the way of `asyncio.timeout`.

        Raises:
            Disconnected: the connection was lost.
        """
        if self._loss is not None:
            raise Disconnected(self._loss)
        task = asyncio.current_task()
        assert task is not None, "a response runs in a task"
        cancels_before = task.cancelling()
        self._waiting = task
        try:
            result = await waiting
        except asyncio.CancelledError as exc:
            if self._waiting is None and task.uncancel() <= cancels_before:
                raise Disconnected(self._loss) from exc
            raise
        except BaseException:
            if self._waiting is None:
                task.uncancel()
            raise
        else:
            if self._waiting is None:  # it ended before it could be cancelled
                task.uncancel()
            return result
        finally:
            self._waiting = None

    async def send_file(self, before: bytes, descriptor: int, span: Span, after: bytes) -> None:
        """Send octets, a span of a file, and octets again, as one stream of full packets.

        If it raises or is cancelled, the connection is cut: how much of the file has arrived,
        nobody could tell.

        Raises:
            Disconnected: the client left, or was cut off.
            StorageUnavailable: the file cannot be read, or has become shorter.
        """
        try:
            await self.drained()
            self._turn += span.length
            self._buffer.carry(span.length)
            with tcp.corked(self._socket):
                self.write([before])
                await self.drained()
                await self._transferred(descriptor, span)
                self.write([after])
            await self.drained()
        except BaseException:
            self.cut("a file could not be sent to its end")
            raise

    async def _transferred(self, descriptor: int, span: Span) -> None:
        transfer = Transfer(self.loop, self._socket.fileno(), descriptor, span)
        if not transfer.begin():
            self._transfer = transfer
            try:
                # A duplicate, since event loops refuse to watch a descriptor of a transport;
                # and it stays ours when the transport has closed its own.
                with self._socket.dup() as own, self._stall_watch():
                    await transfer.run(own.fileno())
            finally:
                self._transfer = None
        self._written += span.length

    def end_response(self) -> None:
        """Leave the connection to the next response as this one has found it."""
        if self._loss is not None:
            return
        self._buffer.restore()
        if self._is_unframed:
            tcp.end_on_close(self._socket)

    def close(self, *, in_stages: bool) -> None:
        """End the connection once all that was written has been sent.

        With `in_stages`, receiving goes on for a while (RFC 9112 §9.6): a socket that is
        closed with something unread resets the connection, and so takes the response away
        from a client that is still sending.
        """
        if in_stages and self._transport.can_write_eof():
            self._transport.write_eof()
            self._closing = self.loop.call_later(
                self._limits.closing_seconds, self._transport.abort
            )
        else:
            self._transport.close()

    def begin_unframed(self) -> None:
        """Take note that the end of the connection will be the end of the content.

        Should this process be killed, the kernel closes the connection; no peer must take
        that for the end.
        """
        self._is_unframed = True
        tcp.reset_on_close(self._socket)

    def cut(self, reason: str) -> None:
        """End the connection now, whatever is under way."""
        if self._loss is not None:
            return
        self.connection_lost(reason)
        self._transport.abort()

    def connection_lost(self, reason: str = LEFT) -> None:
        """Take note that nothing can be sent any more, and wake whoever sends a file."""
        if self._loss is None:
            self._loss = reason
            if self._closing is not None:
                self._closing.cancel()
            if self._transfer is not None:
                self._transfer.interrupt(Disconnected(reason))
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                waiting.cancel()

    def _written_past(self, pieces: Sequence[bytes]) -> Sequence[bytes]:
        """Write to the socket what it takes at once, and return what is left."""
        if self._transport.is_closing():
            return pieces
        try:
            count = os.writev(self._socket.fileno(), pieces)
        except OSError:  # full, or broken; of the latter the transport will tell
            return pieces
        for index, piece in enumerate(pieces):
            if count < len(piece):
                return [piece[count:], *pieces[index + 1 :]]
            count -= len(piece)
        return ()

    def _stall_watch(self) -> StallWatch:
        return StallWatch(
            self.loop,
            self._limits.sending_stall_seconds,
            self._confirmed,
            self._has_stalled,
        )

    def _confirmed(self) -> int | None:
        buffered = self._transport.get_write_buffer_size()
        under_way = buffered + tcp.unacknowledged(self._socket)
        if not under_way:
            return None
        sent = self._transfer.sent if self._transfer is not None else 0
        return self._written + sent - under_way

    def _has_stalled(self) -> None:
        seconds = self._limits.sending_stall_seconds
        self.cut(f"the client took nothing for {seconds:g} s")
