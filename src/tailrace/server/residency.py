"""Which bytes of a file are in memory, and how to have them there without waiting.

`sendfile` on an event loop stops the whole loop while a disk is slow. So one byte in each
stride is looked for first, with a read that does not wait (`RWF_NOWAIT`); where one is missing,
a thread reads ahead. `cachestat` and `mincore` are no help: the one counts pages that are
still on their way, the other needs a mapping.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import Future, ThreadPoolExecutor

from tailrace import cached

# As much as is looked for, and read ahead, at a time. A look costs 2 to 4 % of the transfer.
WINDOW_BYTES = 4 * 1024 * 1024
# The kernel reads ahead at least this much at a time, so a missing page seldom comes alone.
_STRIDE_BYTES = 64 * 1024

# Reading waits for disks, not for processors; the threads start when they are needed.
_readers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="tailrace-read-ahead")


def resident_stop(descriptor: int, start: int, stop: int) -> int:
    """Return where the first byte lies, from start on, that may have to come from a disk.

    It is stop where there is none, and start where the file system cannot tell.
    """
    buffers = [bytearray(1)]
    flags = os.RWF_NOWAIT
    for offset in range(start, stop, _STRIDE_BYTES):
        try:
            os.preadv(descriptor, buffers, offset, flags)
        except BlockingIOError:
            return offset
        except OSError as exc:
            if exc.errno == errno.EOPNOTSUPP:
                return stop if cached.never_waits(descriptor) else start
            raise
    return stop


def read_ahead(descriptor: int, start: int, stop: int) -> Future[None]:
    """Have a span read into memory, by a thread."""
    # Should the caller leave and close its descriptor, the thread must not read another file.
    own = os.dup(descriptor)
    reading = _readers.submit(_touch, own, start, stop)
    reading.add_done_callback(lambda _: os.close(own))
    return reading


def _touch(descriptor: int, start: int, stop: int) -> None:
    # The disk should not rest while what was read is being sent. Asked stride by stride,
    # since the kernel cuts a longer request to what it reads ahead by itself.
    for offset in range(start, stop + WINDOW_BYTES, _STRIDE_BYTES):
        os.posix_fadvise(descriptor, offset, _STRIDE_BYTES, os.POSIX_FADV_WILLNEED)
    for offset in range(start, stop, _STRIDE_BYTES):
        os.pread(descriptor, 1, offset)
