"""What the kernel has at hand: files opened and read without ever waiting for a disk.

An event loop may call these. The way to a thread and back costs more than a small file, and a
file that is asked for often is in memory with its name. None means that it may have to be
waited for, or that nobody can tell: then a thread does it, which also finds out what is wrong.

Names are looked up by openat2(2) with RESOLVE_CACHED (Linux 5.12): it gives up rather than ask
a disk or, over NFS, a server. Bytes are read with RWF_NOWAIT (Linux 4.14).
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import stat
import struct
import sys
from contextlib import suppress
from functools import lru_cache

# asm-generic/unistd.h: on every architecture the same, since Linux 5.
_SYS_OPENAT2 = ctypes.c_long(437)
_AT_FDCWD = ctypes.c_int(-100)  # linux/fcntl.h
_RESOLVE_CACHED = 0x20  # linux/openat2.h

_CACHE_ONLY: int = getattr(os, "RWF_NOWAIT", 0)  # 0 where the system has no such flag


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_LENGTH = ctypes.c_size_t(ctypes.sizeof(_OpenHow))

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_syscall = None if _libc is None else _libc.syscall
_fstatfs = None if _libc is None else _libc.fstatfs

# f_type, the first member of struct statfs (statfs(2)): tmpfs and ramfs.
_IN_MEMORY = frozenset({0x01021994, 0x858458F6})
_STATFS_BYTES = 256  # more than the structure has anywhere


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Tell whether there is known to be a regular file at path.

    Only its name is looked up: what is there notices nothing.
    """
    descriptor = _open(path, os.O_PATH)
    if descriptor is None:
        return False
    try:
        return _find_regular(descriptor) is not None
    finally:
        os.close(descriptor)


def open_regular(path: str | os.PathLike[str], flags: int) -> io.FileIO | None:
    """Open the regular file at path, for reading."""
    descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
    if descriptor is None:
        return None
    if _find_regular(descriptor) is not None:
        with suppress(OSError):  # it takes a look of its own
            return io.FileIO(descriptor)
    os.close(descriptor)
    return None


def read_regular(
    path: str | os.PathLike[str], flags: int, limit_bytes: int
) -> tuple[os.stat_result, bytes] | None:
    """Return what the regular file at path is, and all its bytes, unless they are too many."""
    descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
    if descriptor is None:
        return None
    try:
        found = _find_regular(descriptor)
        if found is None or found.st_size > limit_bytes:
            return None
        content = read(descriptor, 0, found.st_size)
    finally:
        os.close(descriptor)
    return None if content is None else (found, content)


def read(descriptor: int, start: int, stop: int) -> bytes | None:
    """Return the bytes from start to stop, if all of them are there and in memory."""
    if not _CACHE_ONLY:
        return None
    content = bytearray(stop - start)
    try:
        count = os.preadv(descriptor, [content], start, _CACHE_ONLY)
    except OSError as exc:  # EAGAIN is: not in memory
        if exc.errno != errno.EOPNOTSUPP or not never_waits(descriptor):
            return None
        count = os.preadv(descriptor, [content], start)
    return bytes(content) if count == len(content) else None


def never_waits(descriptor: int) -> bool:
    """Tell whether the file is on a file system that is in memory, and has no other place.

    Those do not know RWF_NOWAIT. (What the system has swapped out is waited for all the same.)
    """
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if _fstatfs is None or _fstatfs(descriptor, found) != 0:
        return False
    (kind,) = struct.unpack_from("l", found)
    return kind in _IN_MEMORY


def _open(path: str | os.PathLike[str], flags: int) -> int | None:
    if _syscall is None:
        return None
    name = os.fsencode(path)
    if b"\0" in name:  # it would be taken for its beginning
        return None
    descriptor = int(_syscall(_SYS_OPENAT2, _AT_FDCWD, name, _how(flags), _HOW_LENGTH))
    return None if descriptor < 0 else descriptor


def _find_regular(descriptor: int) -> os.stat_result | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


@lru_cache
def _how(flags: int) -> object:
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_CACHED)
    return ctypes.byref(how)
