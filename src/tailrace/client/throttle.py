"""A rate that what several threads bring stays below, together."""

from __future__ import annotations

import threading
import time

# What comes at once is at most what may come in this time, so that nothing waits for longer.
_SLICE_SECONDS = 0.1


class Throttle:
    """Makes its callers wait. May be used by several threads at once."""

    def __init__(self, bytes_per_second: int) -> None:
        self.piece = max(1, int(bytes_per_second * _SLICE_SECONDS))
        """How many bytes may be brought at once, at most."""
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def pay(self, count: int) -> None:
        """Wait until more may come after so many bytes."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._bytes_per_second
            seconds = self._free_at - now
        time.sleep(seconds)
