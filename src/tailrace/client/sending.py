"""Sending a span of a file over a connection, without copying it where that can be."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from tailrace.client.connections import Connection, Response
from tailrace.client.streams import WAKE_SECONDS
from tailrace.errors import ConnectionLost, LengthMismatch
from tailrace.spans import Span

# What one call may take from the kernel: small enough that progress moves.
_PIECE = 1024 * 1024


class Sending:
    """The content of one request, on its way.

    Iterating sends it, and gives the offset after each piece. It ends before the stop of
    the span where the other side answers before it has heard all, which leaves `response`,
    or closes the connection, which leaves an answer to be read or none.

    Raises:
        ConnectionLost: nothing could be sent for too long.
        LengthMismatch: the file is shorter than the span says.
    """

    def __init__(self, connection: Connection, fd: int, span: Span, method: str) -> None:
        self.response: Response | None = None
        self._connection = connection
        self._fd = fd
        self._span = span
        self._method = method

    def __iter__(self) -> Iterator[int]:
        pieces = self._encrypted() if self._connection.is_secure else self._plain()
        offset = self._span.start
        try:
            for count in pieces:
                if count == 0:
                    raise LengthMismatch(self._span.stop, offset)
                offset += count
                yield offset
        except TimeoutError as exc:
            raise ConnectionLost("the server takes no more bytes") from exc
        except OSError:
            return  # it closed the connection, most often after an answer

    def _plain(self) -> Iterator[int]:
        sock = self._connection.socket
        sock.setblocking(False)
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        offset = self._span.start
        while offset < self._span.stop:
            if self._wait(poll) & ~select.POLLOUT:
                self.response = self._connection.read_next(self._method)
                if self.response is not None:
                    return
                sock.setblocking(False)
                continue
            count = min(self._span.stop - offset, _PIECE)
            try:
                sent = os.sendfile(sock.fileno(), self._fd, offset, count)
            except BlockingIOError:  # less room than poll had promised
                continue
            offset += sent
            yield sent

    def _wait(self, poll: select.poll) -> int:
        """Return what the socket is ready for."""
        left = self._connection.timeouts.stall_seconds
        while left > 0:
            seconds = min(left, WAKE_SECONDS)
            for _, events in poll.poll(seconds * 1000):
                return events
            left -= seconds
        raise TimeoutError

    def _encrypted(self) -> Iterator[int]:
        # That bytes have come proves nothing here: they may be session tickets.
        buffer = memoryview(bytearray(_PIECE))
        self._connection.socket.settimeout(self._connection.timeouts.stall_seconds)
        offset = self._span.start
        while offset < self._span.stop:
            count = os.preadv(self._fd, [buffer[: self._span.stop - offset]], offset)
            self._connection.socket.sendall(buffer[:count])
            offset += count
            yield count
