"""What the kernel tells of files that other processes write: inotify(7).

One queue for all files of a store. A notice says only that something has changed; the inode
says what. Where there is no inotify, or no more of it for this user, nobody is told anything.

struct inotify_event, in the byte order of the machine:

    int wd; uint32_t mask; uint32_t cookie; uint32_t len; char name[len];
"""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import struct
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from tailrace.blobs.growth import Growth

_IN_MODIFY = 0x2  # it has more bytes
_IN_ATTRIB = 0x4  # it was sealed, or lost its name
_IN_Q_OVERFLOW = 0x4000

_EVENT = struct.Struct("=iIII")

# Some thousand notices; the kernel keeps up to 16,384 in its queue.
_READ_BYTES = 64 * 1024


class Notices:
    """Tells of changes to files. Belongs to the event loop that asks first."""

    def __init__(
        self, on_change: Callable[[Growth], object], on_overflow: Callable[[], object]
    ) -> None:
        self._on_change = on_change
        self._on_overflow = on_overflow
        self._queue: io.FileIO | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._growths: dict[int, weakref.ref[Growth]] = {}
        self._numbers: weakref.WeakKeyDictionary[Growth, int] = weakref.WeakKeyDictionary()

    def ask(self, growth: Growth, descriptor: int) -> bool:
        """Have on_change called at each change of an open file, as long as the growth lives.

        Returns whether that will be so.
        """
        if growth in self._numbers:
            return True
        if self._queue is None:
            self._queue = _open_queue()
            if self._queue is None:
                return False
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._queue, self._read)
        # By its descriptor, for its name may be that of another file by now, or of none.
        path = f"/proc/self/fd/{descriptor}".encode()
        number = _libc.inotify_add_watch(self._queue.fileno(), path, _IN_MODIFY | _IN_ATTRIB)
        if number < 0:
            return False
        self._numbers[growth] = number
        self._growths[number] = weakref.ref(growth, lambda ref: self._forget(number, ref))
        return True

    def close(self) -> None:
        """Let go of the queue."""
        if self._queue is not None and self._loop is not None:
            self._loop.remove_reader(self._queue)
            self._queue.close()
            self._queue = None

    def _forget(self, number: int, ref: weakref.ref[Growth]) -> None:
        # One file has one number; it may be that of a newer growth of the same blob.
        if self._growths.get(number) is not ref:
            return
        del self._growths[number]
        # In a store that nobody closed, the garbage collector may have done it before.
        if self._queue is not None and not self._queue.closed:
            _libc.inotify_rm_watch(self._queue.fileno(), number)

    def _read(self) -> None:
        assert self._queue is not None
        events = self._queue.read(_READ_BYTES)
        # Of several notices of one file the last one says it all.
        for number, mask in dict(_parsed(events or b"")).items():
            ref = self._growths.get(number)
            growth = None if ref is None else ref()
            if growth is not None:
                self._on_change(growth)
            elif mask & _IN_Q_OVERFLOW:
                self._on_overflow()


def _parsed(events: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(events):
        number, mask, _, length = _EVENT.unpack_from(events, offset)
        offset += _EVENT.size + length
        yield number, mask


def _open_queue() -> io.FileIO | None:
    if not hasattr(_libc, "inotify_init1"):
        return None
    descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)  # as IN_CLOEXEC, IN_NONBLOCK
    # As an object, so that one that is forgotten is closed and named by a ResourceWarning.
    return None if descriptor < 0 else io.FileIO(descriptor, "r")


_libc: Any = ctypes.CDLL(None)
