"""What a socket is told for the time of a long transfer, and what it knows of its peer.

By default some 4 MB of a fast transfer sit in flight, and so out of the processor's cache. A
small send buffer keeps them there, but it also bounds what is in flight to a far peer: 512 KiB
(the kernel doubles the value) are 10 MB/s at 50 ms. So it is for near peers only, and undone
afterwards, since setting it stops the kernel from tuning the buffer by itself.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Measured on loopback: 64 KiB loses, 1 MiB gains nothing.
SEND_BUFFER_BYTES = 256 * 1024

# Of less, so little is in flight that it does not matter.
_MUCH_BYTES = 2 * SEND_BUFFER_BYTES

# A round trip on one machine takes some 50 µs, in one rack 200.
NEAR_MICROSECONDS = 500

# tcpi_rtt in struct tcp_info of linux/tcp.h, in microseconds.
_RTT_OFFSET = 68
# tcpi_state, its first byte, in linux/tcp_states.h: neither side has anything left to do.
_TCP_CLOSE = 7
# What a closed socket raises: the system's error, or uvloop's for it.
_CLOSED = (OSError, ValueError)

# asm-generic/socket.h, since Linux 5.15; Python has no names for them.
_SO_BUF_LOCK = 72
_SOCK_SNDBUF_LOCK = 1


class SendBuffer:
    """The send buffer of one connection, kept small while much is sent to a near peer."""

    __slots__ = ("_carried", "_connection", "_locks")

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._carried = 0
        self._locks: int | None = None

    def carry(self, length: int) -> None:
        """Count what is going to be sent, and shrink the buffer once it is much."""
        is_much_already = self._carried > _MUCH_BYTES
        self._carried += length
        if self._carried > _MUCH_BYTES and not is_much_already:
            self._locks = _shrink_send_buffer(self._connection)

    def restore(self) -> None:
        """Undo it; what is counted begins anew."""
        self._carried = 0
        if self._locks is not None:
            with suppress(*_CLOSED):
                self._connection.setsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK, self._locks)
            self._locks = None


@contextmanager
def corked(connection: socket.socket) -> Iterator[None]:
    """Have full packets only be sent until the end, where the rest leaves at once.

    The head of a response shares its packet with the first bytes of a file.
    """
    if connection.family == socket.AF_UNIX:
        yield
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        with suppress(*_CLOSED):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def is_near(connection: socket.socket) -> bool:
    """Tell whether the peer is on this machine, or next to it."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_OFFSET + 4)
    round_trip = int.from_bytes(info[_RTT_OFFSET:], sys.byteorder)
    return 0 < round_trip < NEAR_MICROSECONDS


def unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes are under way that the peer's machine has not confirmed.

    On a connection that was reset there are none, though the kernel goes on counting them.
    """
    if _state(connection) == _TCP_CLOSE:
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def _state(connection: socket.socket) -> int | None:
    if connection.family == socket.AF_UNIX:
        return None
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def reset_on_close(connection: socket.socket) -> None:
    """Have the connection end by a reset, which no peer takes for the end of the content."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def end_on_close(connection: socket.socket) -> None:
    """Have the connection end in order again."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))


def _shrink_send_buffer(connection: socket.socket) -> int | None:
    """Return the locks to be restored, or None where the buffer was left as it is."""
    if connection.family == socket.AF_UNIX or not is_near(connection):
        return None
    try:
        locks = connection.getsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK)
    except OSError:  # an older kernel, where it could not be undone
        return None
    if locks & _SOCK_SNDBUF_LOCK:  # someone has chosen a length
        return None
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return locks
