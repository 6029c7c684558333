"""A local file as something to be delivered: open once, and looked at only while open."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache

from tailrace import cached
from tailrace.blobs import BlobReader, BlobState, BlobStatus
from tailrace.blobs.directory import content
from tailrace.blobs.directory.threads import SharedFile, take
from tailrace.delivery.representations import Representation
from tailrace.errors import StorageUnavailable
from tailrace.protocol.validators import EntityTag, Validators
from tailrace.spans import Span

# A file changed twice within one tick of its file system's clock has the same times. So what
# is made of them is strong only when the last change is older than any tick in use.
_COARSEST_TICK_SECONDS = 2  # FAT; others count in nanoseconds or in seconds

# Up to here a read out of the page cache costs less than the way to a thread and back.
_SMALL_READ = 64 * 1024

# They wait for the disk, not for a core; started when they are first needed.
_threads = ThreadPoolExecutor(16, thread_name_prefix="tailrace-files")

# No file can be where there is no directory, or of a name that is too long.
_NO_FILE_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class LocalFile:
    """An open regular file, read as a sealed blob of the length it had when opened."""

    def __init__(self, file: SharedFile, found: os.stat_result) -> None:
        self._file = file
        self.found = found

    @property
    def status(self) -> BlobStatus:
        return BlobStatus(BlobState.SEALED, self.found.st_size)

    async def read(self, span: Span) -> bytes:
        if span.length <= _SMALL_READ:
            found = cached.read(self._file.fileno(), span.start, span.stop)
            if found is not None:
                return found
        # Whoever leaves does not wait for the read. The file stays open until it has ended.
        job = _threads.submit(_read, self._file.borrow(), span)
        job.add_done_callback(lambda _: self._file.give_back())
        return await asyncio.wrap_future(job)

    async def wait_beyond(self, length: int) -> BlobStatus:
        return self.status

    def fileno(self) -> int:
        return self._file.fileno()


@asynccontextmanager
async def open_file(path: str | os.PathLike[str]) -> AsyncIterator[LocalFile]:
    """Open a regular file.

    Raises:
        RuntimeError: there is none, as Starlette's `FileResponse` has it.
        OSError: it cannot be opened.
    """
    opened = _open_at_once(path)
    if opened is None:
        opened = await take(_threads.submit(_open, path), io.FileIO.close)
    file = SharedFile(opened)
    try:
        yield LocalFile(file, os.fstat(opened.fileno()))
    finally:
        _close(file)


def read_small_file(path: str | os.PathLike[str]) -> tuple[os.stat_result, bytes] | None:
    """Return what a regular file is at this moment, and all its bytes, without waiting.

    None where these are many, or where a thread has to do it, or to say why it cannot.
    """
    # Looked at first, here as below: merely to open a FIFO or a device may do something to it.
    return cached.read_regular(path, _SMALL_READ) if cached.is_regular(path) else None


def representation_of(found: os.stat_result, media_type: str, now: float) -> Representation:
    """Return what the file system tells of a file, seen at `now`, in seconds since 1970."""
    is_settled = now - max(found.st_mtime, found.st_ctime) >= _COARSEST_TICK_SECONDS
    opaque = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
    # A date must not lie in the future (RFC 9110 §8.8.2.1), and no datetime before the year
    # 1; file systems know both.
    modified_at = min(max(found.st_mtime_ns // 10**9, 0), int(now))
    return _representation(media_type, opaque, modified_at, is_settled)


@lru_cache(maxsize=512)
def _representation(
    media_type: str, opaque: str, modified_at: int, is_settled: bool
) -> Representation:
    return Representation(
        media_type=media_type,
        validators=Validators(
            EntityTag(opaque, weak=not is_settled), datetime.fromtimestamp(modified_at, UTC)
        ),
        has_weak_date=not is_settled,
    )


def _open_at_once(path: str | os.PathLike[str]) -> io.FileIO | None:
    return cached.open_regular(path, 0) if cached.is_regular(path) else None


def _open(path: str | os.PathLike[str]) -> io.FileIO:
    try:
        _require_regular(os.stat(path), path)
        file = io.FileIO(path, opener=_open_without_waiting)
    except (OSError, ValueError) as exc:  # ValueError: a name with NUL in it
        if isinstance(exc, OSError) and exc.errno not in _NO_FILE_THERE:
            raise
        raise RuntimeError(f"File at path {path} does not exist.") from exc
    try:
        _require_regular(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def _open_without_waiting(path: str, flags: int) -> int:
    # For the other end, should it be a FIFO by now.
    return os.open(path, flags | os.O_NONBLOCK)


def _close(file: SharedFile) -> None:
    # The last close of a removed file frees its bytes; for gigabytes that takes a while.
    has_name = False
    with suppress(OSError):
        has_name = os.fstat(file.fileno()).st_nlink > 0
    if has_name:
        file.close()
    else:
        _threads.submit(file.close)


def _require_regular(found: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RuntimeError(f"File at path {path} is not a file.")


def _read(descriptor: int, span: Span) -> bytes:
    try:
        found = content.read(descriptor, span)
    except OSError as exc:
        raise StorageUnavailable(f"the file cannot be read: {exc.strerror}") from exc
    if len(found) < span.length:
        raise StorageUnavailable(
            f"the file ended at {span.start + len(found)}, before {span.stop}"
        )
    return found


_: type[BlobReader] = LocalFile
