"""The files that messages name: `http.response.zerocopysend` and `http.response.pathsend`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tailrace.errors import StorageUnavailable
from tailrace.spans import Span


@contextmanager
def opened(message: Mapping[str, Any], limit: int | None) -> Iterator[tuple[int, Span]]:
    """Lend a descriptor of the file, and the span of it, that a message is about.

    The descriptor is ours alone, so that what the application does with its own changes
    nothing. Where the message gives no count it is all up to the end, but at most `limit`
    bytes: what a file gained since its length was promised is not sent.

    Raises:
        StorageUnavailable: there is no such file, it cannot be read, or it is shorter.
    """
    if message["type"] == "http.response.pathsend":
        descriptor = _open(message["path"])
        position = None
    else:
        position = _Position(message["file"]) if message.get("offset") is None else None
        descriptor = os.dup(descriptor_of(message["file"]))
    try:
        start = message.get("offset") or 0 if position is None else position.tell()
        span = _span(descriptor, start, message.get("count"), limit)
        yield descriptor, span
    finally:
        os.close(descriptor)
    if position is not None:
        position.move(span.stop)


@contextmanager
def lent(file: Any) -> Iterator[int]:
    """Lend a duplicate of a file's descriptor."""
    descriptor = os.dup(descriptor_of(file))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def descriptor_of(file: Any) -> int:
    """Return a descriptor that was given by its number, or by an object that has one."""
    return file if isinstance(file, int) else int(file.fileno())


def _span(descriptor: int, start: int, count: int | None, limit: int | None) -> Span:
    found = os.fstat(descriptor)
    if count is None:
        count = max(found.st_size - start, 0)
        count = count if limit is None else min(count, limit)
    span = Span(start, start + count)
    # Found out before the head has left, this can still be answered by a 500.
    if stat.S_ISREG(found.st_mode) and found.st_size < span.stop and span.length:
        raise StorageUnavailable(f"the file ends at {found.st_size}, before {span.stop}")
    return span


def _open(path: str) -> int:
    # Without waiting for the other end, should it be a FIFO. Opened here and not by a thread:
    # an application that promised a length has just looked at the file.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise StorageUnavailable(f"{path} cannot be opened: {exc.strerror}") from exc
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise StorageUnavailable(f"{path} is not a regular file")


class _Position:
    """Where a file is read next: that of the file object, which may have read ahead."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def tell(self) -> int:
        if hasattr(self._file, "tell"):
            return int(self._file.tell())
        return os.lseek(descriptor_of(self._file), 0, os.SEEK_CUR)

    def move(self, offset: int) -> None:
        if hasattr(self._file, "seek"):
            self._file.seek(offset)
        else:
            os.lseek(descriptor_of(self._file), offset, os.SEEK_SET)
