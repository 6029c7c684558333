"""Stopping a transfer from another thread, at once."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Cancelled(Exception):
    """Whoever asked for the transfer does not want it any more."""


class Cancellation:
    """A request to stop, which also wakes a transfer that waits for the other side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = threading.Event()
        self._socket: socket.socket | None = None

    def cancel(self) -> None:
        """Stop the transfer; may be called by any thread, and more than once."""
        with self._lock:
            self._is_cancelled.set()
            if self._socket is not None:
                # A shutdown wakes whoever sleeps in connect, recv or send; a close does not.
                # Not the method of ssl.SSLSocket: it would let the reader go on without TLS.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def watch(self, sock: socket.socket) -> None:
        """Name the socket that the transfer depends on from now on.

        Raises:
            Cancelled: it is too late.
        """
        with self._lock:
            self._socket = sock
        self.check()

    def check(self) -> None:
        """Raise Cancelled if that is so."""
        if self._is_cancelled.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until Cancelled is raised."""
        ends_at = time.monotonic() + seconds
        # In slices, for a signal that comes just before a wait does not end it.
        while (left := ends_at - time.monotonic()) > 0 and not self._is_cancelled.is_set():
            self._is_cancelled.wait(min(left, 1.0))
        self.check()
