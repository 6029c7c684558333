"""What a socket brings, buffered for heads and unbuffered for what follows them."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from tailrace.errors import ConnectionLost

if TYPE_CHECKING:
    from tailrace.client.pipes import Pipe

# Python runs signal handlers between its instructions, so a signal that comes just before a
# system call does not end it. Therefore none may take longer than this.
WAKE_SECONDS = 1.0

_BUFFER = 64 * 1024


class SocketStream:
    """The bytes of a connection in their order; whatever goes wrong is ConnectionLost.

    Each method returns less than it was asked for, or nothing, only where the other side
    has ended the connection; `readinto1` and `draw` return what there is.
    """

    def __init__(self, sock: socket.socket, stall_seconds: float, *, is_secure: bool) -> None:
        sock.settimeout(stall_seconds)  # any, for then no call on it blocks by itself
        self._socket = sock
        self._stall_seconds = stall_seconds
        self._is_secure = is_secure
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._stop = 0  # what of the buffer is still to be read

    @property
    def is_drawable(self) -> bool:
        """Whether the next bytes are still in the socket, and there as they are."""
        return self._start == self._stop and not self._is_secure

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, not even an end."""
        if self._start < self._stop:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def read(self, size: int, /) -> bytes:
        content = bytearray()
        while len(content) < size and self._fill():
            stop = min(self._stop, self._start + size - len(content))
            content += self._buffer[self._start : stop]
            self._start = stop
        return bytes(content)

    def readline(self, size: int, /) -> bytes:
        line = b""
        while len(line) < size and self._fill():
            stop = min(self._stop, self._start + size - len(line))
            piece, newline, _ = bytes(self._buffer[self._start : stop]).partition(b"\n")
            line += piece + newline
            self._start += len(piece) + len(newline)
            if newline:
                break
        return line

    def readinto1(self, buffer: memoryview, /) -> int:
        if self._start == self._stop:
            return self._receive(buffer)
        count = min(len(buffer), self._stop - self._start)
        buffer[:count] = self._buffer[self._start : self._start + count]
        self._start += count
        return count

    def draw(self, pipe: Pipe, limit: int, /) -> int:
        """Move bytes into an empty pipe; only while `is_drawable`."""
        waited = 0.0
        while True:
            try:
                return pipe.draw(self._socket.fileno(), limit)
            except BlockingIOError:
                waited = self._wait(waited)
            except OSError as exc:
                raise lost(exc, self._stall_seconds) from exc

    def close(self) -> None:
        self._socket.close()

    def _fill(self) -> bool:
        if self._start == self._stop:
            self._start = self._stop = 0
            self._stop = self._receive(self._buffer)
        return self._start < self._stop

    def _receive(self, buffer: memoryview) -> int:
        waited = 0.0
        while True:
            seconds = min(WAKE_SECONDS, self._stall_seconds - waited)
            try:
                self._socket.settimeout(seconds)
                return self._socket.recv_into(buffer)
            except TimeoutError as exc:
                waited += seconds
                if waited >= self._stall_seconds:
                    raise lost(exc, self._stall_seconds) from exc
            except OSError as exc:
                raise lost(exc, self._stall_seconds) from exc

    def _wait(self, waited: float) -> float:
        """Wait for bytes, and return for how long there were none."""
        seconds = min(WAKE_SECONDS, self._stall_seconds - waited)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if poll.poll(seconds * 1000):
            return 0.0
        if waited + seconds >= self._stall_seconds:
            raise lost(TimeoutError(), self._stall_seconds)
        return waited + seconds


def lost(exc: OSError, stall_seconds: float) -> ConnectionLost:
    if isinstance(exc, TimeoutError):
        return ConnectionLost(f"the server was silent for {stall_seconds:g} s")
    return ConnectionLost(f"the connection was cut: {words(exc)}")


def words(exc: OSError | ValueError) -> str:
    if isinstance(exc, TimeoutError):
        return "it takes too long"
    return getattr(exc, "strerror", None) or str(exc)
