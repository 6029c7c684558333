"""From a socket into a file without a copy in this program: `splice`, through a pipe."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from types import TracebackType
from typing import Self

# As much as moves in one call: 64 KiB costs a fifth more, and more gains nothing.
_BLOCK = 256 * 1024

IS_SUPPORTED = hasattr(os, "splice")  # Linux


class Pipe:
    """Pages on their way; empty between a `draw` and its `pour`."""

    def __init__(self) -> None:
        self._exit, self._entry = os.pipe()
        self._is_pourable = True
        with suppress(OSError):  # beyond the user's share it takes less at a time
            fcntl.fcntl(self._entry, fcntl.F_SETPIPE_SZ, _BLOCK)

    def draw(self, sock: int, limit: int) -> int:
        """Take what a non-blocking socket has, a block at most; 0 is its end.

        Raises:
            BlockingIOError: it has nothing now.
        """
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        return os.splice(sock, self._entry, min(limit, _BLOCK), flags=flags)

    def pour(self, fd: int, offset: int, length: int) -> None:
        """Write the `length` bytes that are in the pipe to a file.

        Raises:
            OSError: they cannot be written; the pipe is of no more use.
        """
        while length:
            moved = self._move(fd, offset, length)
            offset += moved
            length -= moved

    def close(self) -> None:
        os.close(self._exit)
        os.close(self._entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _move(self, fd: int, offset: int, length: int) -> int:
        if self._is_pourable:
            try:
                return os.splice(
                    self._exit, fd, length, offset_dst=offset, flags=os.SPLICE_F_MOVE
                )
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self._is_pourable = False  # a file system that takes no pages
        content = memoryview(os.read(self._exit, length))
        count = len(content)
        while content:
            written = os.pwrite(fd, content, offset)
            offset += written
            content = content[written:]
        return count
