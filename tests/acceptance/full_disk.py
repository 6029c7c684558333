"""A disk that is full as soon as the file that TAILRACE_DISK_IS_FULL names is there."""

import errno
import os
import stat
from collections.abc import Iterator

import tailrace

FULL = os.environ["TAILRACE_DISK_IS_FULL"]


def limited(call, position):
    """Have a call fail whose argument at a position is the file that is written."""

    def limited(*arguments, **more):
        is_file = stat.S_ISREG(os.fstat(arguments[position]).st_mode)
        if is_file and os.path.exists(FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*arguments, **more)

    return limited


os.pwritev = limited(os.pwritev, 0)
os.pwrite = limited(os.pwrite, 0)
os.splice = limited(os.splice, 1)


@tailrace.producer(name="nothing.txt")
def nothing() -> Iterator[bytes]:
    """Give nothing; a module of producers has at least one."""
    yield b""
