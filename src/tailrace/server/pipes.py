"""From a socket into a file without a copy in this program: `splice`, through a pipe."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import Final

# As much as moves in one call. Measured on loopback: 64 KiB is slower by a fifth, and after
# 1 MiB the first bytes have left the processor's cache before their digest is computed.
BLOCK_BYTES: Final = 256 * 1024

IS_SUPPORTED: Final = hasattr(os, "splice")  # Linux


class Pipe:
    """Pages on their way. Empty between two blocks."""

    def __init__(self) -> None:
        self._exit, self._entry = os.pipe()
        with contextlib.suppress(OSError):  # beyond the user's share, it takes less at a time
            fcntl.fcntl(self._entry, fcntl.F_SETPIPE_SZ, BLOCK_BYTES)

    def draw(self, connection: int, limit: int) -> int:
        """Take what a non-blocking socket has, a block at most, and return how much.

        Raises:
            BlockingIOError: it has nothing now.
        """
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        return os.splice(connection, self._entry, min(limit, BLOCK_BYTES), flags=flags)

    def pour(self, descriptor: int, offset: int, length: int) -> int:
        """Put some of the `length` bytes that are in the pipe into a file; return how many.

        Raises:
            OSError: EINVAL where the file, or its file system, cannot be written so.
        """
        flags = os.SPLICE_F_MOVE
        return os.splice(self._exit, descriptor, length, offset_dst=offset, flags=flags)

    def take_back(self, length: int) -> bytes:
        """Return the `length` bytes that are in the pipe."""
        content = b""
        while len(content) < length:
            content += os.read(self._exit, length - len(content))
        return content

    def close(self) -> None:
        os.close(self._exit)
        os.close(self._entry)


class _Own(threading.local):
    pipe: Pipe | None = None


_own = _Own()


@contextlib.contextmanager
def borrowed() -> Iterator[Pipe]:
    """Lend the pipe of this thread: so there are as many as threads, not as many as uploads."""
    pipe = _own.pipe
    if pipe is None:
        pipe = _own.pipe = Pipe()
    try:
        yield pipe
    except BaseException:  # it may not be empty
        _own.pipe = None
        pipe.close()
        raise
