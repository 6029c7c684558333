"""The socket between a worker and its parent.

    parent ──► worker   a connection, STOP, HURRY, or the end of the stream: the parent is gone
    worker ──► parent   how many connections it has taken, and how many it has now, or that it
                        takes no more; the first such report says that it is ready

Each message of the parent is one octet; that of a connection has its descriptor beside it.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import struct

MORE_FILES = "raise its limit (LimitNOFILE in systemd, `ulimit -n` in a shell)"
"""What to do where a process may open no more files."""

_log = logging.getLogger("tailrace.workers")

_CONNECTION = b"c"
_REPORT = struct.Struct("=QQ")
_NO_MORE = 2**64 - 1

# Some messages, so that a worker of many connections has others' turn in between.
_MESSAGES = 16


class Order(enum.Enum):
    """What a parent tells its workers."""

    STOP = b"s"
    """Take nobody new, and let what is under way end within its grace."""
    HURRY = b"h"
    """Do not wait for it."""


class ParentsEnd:
    """What a parent holds of a worker, and what it knows of it. Nothing here blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.is_ready = False
        self.takes_more = False
        self._end = end
        self._given = 0
        self._taken = 0
        self._open = 0

    @property
    def load(self) -> int:
        """How many connections it has, or has been given and not taken yet."""
        return self._open + self._given - self._taken

    def fileno(self) -> int:
        return self._end.fileno()

    def give(self, connection: socket.socket) -> bool:
        """Give a connection to the worker; tell whether there was room for it."""
        try:
            socket.send_fds(self._end, [_CONNECTION], [connection.fileno()])
        except OSError:  # too many under way to it; or it has just ended
            return False
        self._given += 1
        return True

    def order(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            self._end.send(order.value)

    def hear(self) -> None:
        """Take note of what the worker reports."""
        with contextlib.suppress(OSError):
            reports = self._end.recv(256 * _REPORT.size)
            if reports:
                self._taken, self._open = _REPORT.unpack(reports[-_REPORT.size :])
                self.is_ready = True
                self.takes_more = self._open != _NO_MORE

    def close(self) -> None:
        self._end.close()


class WorkersEnd:
    """What a worker holds of its parent. Nothing here blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.is_cut = False
        """Whether the parent is gone; there is nothing more to receive then."""
        self._end = end
        self._taken = 0
        self._is_leaving = False

    def fileno(self) -> int:
        return self._end.fileno()

    def receive(self) -> list[socket.socket | Order]:
        """Return what has come: connections, which are the caller's from then on, and orders.

        A parent that is gone means to stop.
        """
        try:
            octets, descriptors, _, _ = socket.recv_fds(self._end, _MESSAGES, _MESSAGES)
        except BlockingIOError:
            return []
        except OSError:
            octets, descriptors = b"", []
        self.is_cut = not octets
        connections = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        given = octets.count(_CONNECTION)
        self._taken += given
        if given > len(connections):  # the kernel closes what it cannot hand over
            _log.warning(
                "connections were dropped: this process may open no more files; %s", MORE_FILES
            )
        orders = octets.replace(_CONNECTION, b"")
        if self.is_cut:
            return [Order.STOP]
        return [*connections, *(Order(bytes((octet,))) for octet in orders)]

    def report(self, connections: int) -> None:
        """Report how many connections there are now."""
        told = _NO_MORE if self._is_leaving else connections
        with contextlib.suppress(OSError):  # the next report tells; or no parent is left
            self._end.send(_REPORT.pack(self._taken, told))

    def leave(self) -> None:
        """Report that no more connections are to be given; what is on its way still comes."""
        self._is_leaving = True
        self.report(0)
