"""The bytes of an open file, read and written at offsets. Each function blocks.

A file that is read may be growing: what is asked for must lie below a length known before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence

from tailrace.errors import StorageUnavailable
from tailrace.spans import Span

# How many chunks one pwritev takes on Linux, macOS and the BSDs (IOV_MAX).
_MAX_CHUNKS = 1024

# Not between these files, on this file system or with this kernel; read and write do it.
_CANNOT_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_COPIED_BYTES = 1024 * 1024


def read(descriptor: int, span: Span) -> bytes:
    """Return the bytes of a span, fewer if the file ends before."""
    parts = []
    offset = span.start
    while offset < span.stop and (part := os.pread(descriptor, span.stop - offset, offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)  # of one part, without a copy


def write(descriptor: int, offset: int, chunks: Sequence[bytes]) -> Iterator[int]:
    """Write all chunks at offset; yield the length reached after each call to the system."""
    views = [memoryview(chunk) for chunk in chunks if chunk]
    while views:
        written = os.pwritev(descriptor, views[:_MAX_CHUNKS], offset)
        offset += written
        yield offset
        views = _without(views, written)


def copy(source: int, span: Span, descriptor: int, offset: int) -> Iterator[int]:
    """Copy a span of another file to offset; yield the length reached after each call.

    On file systems with shared extents (Btrfs, XFS) no byte is moved.

    Raises:
        StorageUnavailable: the source ends before the span does.
    """
    start = span.start
    while start < span.stop:
        count = _copy_some(source, start, descriptor, offset, span.stop - start)
        if count == 0:
            raise StorageUnavailable(f"the bytes end at {start}, before {span.stop}")
        start += count
        offset += count
        yield offset


def _copy_some(source: int, start: int, descriptor: int, offset: int, count: int) -> int:
    if hasattr(os, "copy_file_range"):  # Linux
        try:
            return os.copy_file_range(source, descriptor, count, start, offset)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
    return os.pwrite(descriptor, os.pread(source, min(count, _COPIED_BYTES), start), offset)


def _without(views: list[memoryview], written: int) -> list[memoryview]:
    for index, view in enumerate(views):
        if written < len(view):
            return [view[written:], *views[index + 1 :]]
        written -= len(view)
    return []
