"""The digest of a file that is being written, computed behind the write front.

A thread reads back what has landed, out of the page cache, while the next bytes come: a
verified download takes hardly longer than another. It begins at the first byte of the file,
whoever wrote it, so a resumed download needs nothing more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Set
from typing import TYPE_CHECKING

from tailrace.errors import StorageUnavailable

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1024 * 1024


class FollowingDigest:
    """Digests of the bytes of `fd` below a front that never moves back.

    The algorithms have the names of RFC 9530. It ends in `finish` or `stop`, before `fd`
    is closed.
    """

    def __init__(self, fd: int, algorithms: Set[str]) -> None:
        self.algorithms = frozenset(algorithms)
        self._fd = fd
        self._hashes = _hashes(algorithms)
        self._moved = threading.Condition()
        self._front = 0
        self._is_final = False
        self._is_stopped = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        if self._hashes:
            self._thread.start()

    def advance(self, front: int) -> None:
        """Tell that the bytes below `front` are there, for good."""
        with self._moved:
            self._front = max(self._front, front)
            self._moved.notify()

    def finish(self, length: int) -> dict[str, bytes]:
        """Wait for, and return, the digests of the first `length` bytes.

        Raises:
            StorageUnavailable: they could not be read back.
        """
        with self._moved:
            self._front = length
            self._is_final = True
            self._moved.notify()
        if self._hashes:
            self._thread.join()
        if self._failure is not None:
            raise StorageUnavailable(self._failure)
        return {name: digest.digest() for name, digest in self._hashes.items()}

    def stop(self) -> None:
        """End without a result; may be called twice, and after `finish`."""
        with self._moved:
            self._is_stopped = True
            self._moved.notify()
        if self._hashes:
            self._thread.join()

    def _follow(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        offset = 0
        while (front := self._next_front(offset)) > offset:
            try:
                count = os.preadv(self._fd, [buffer[: front - offset]], offset)
            except OSError as exc:
                self._failure = f"what was written cannot be read back: {exc}"
                return
            if count == 0:
                self._failure = f"the file has only {offset} of {front} bytes"
                return
            for digest in self._hashes.values():
                digest.update(buffer[:count])
            offset += count

    def _next_front(self, offset: int) -> int:
        """Wait for bytes beyond `offset`; return it unchanged where none will come."""
        with self._moved:
            self._moved.wait_for(
                lambda: self._front > offset or self._is_final or self._is_stopped
            )
            return offset if self._is_stopped else self._front


def _hashes(algorithms: Set[str]) -> dict[str, _Hash]:
    if not algorithms:
        return {}
    import hashlib  # not before something is to be hashed: it loads OpenSSL

    return {name: hashlib.new(name.replace("-", "")) for name in algorithms}
