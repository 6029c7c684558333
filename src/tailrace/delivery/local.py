"""A local file as something to be delivered: open once, and looked at only while open."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
import sys
import time
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
# is made of them is strong only when the last change is older than a tick. Linux stamps files
# with a clock that moves every 1 to 10 ms, as it was built; one more is for the time between a
# look at the file and one at the clock.
_CLOCK_REALTIME_COARSE = 5
_TICK_SECONDS = (
    time.clock_getres(_CLOCK_REALTIME_COARSE) if sys.platform == "linux" else 0.01
) + 0.001
_MOST_TICKS = 3  # of a file that is written all the time nobody waits for the end
_TICK_NS = round(_TICK_SECONDS * 10**9)
_COARSEST_TICK_NS = 2 * 10**9  # FAT; others count whole seconds

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

    def path(self) -> None:
        """Return None: another file may take this one's place."""


@asynccontextmanager
async def open_file(path: str | os.PathLike[str]) -> AsyncIterator[LocalFile]:
    """Open a regular file.

    One that was changed in this very tick is looked at when that is over: who gets a file that
    was just made can then go on after a cut.

    Raises:
        RuntimeError: there is none, as Starlette's `FileResponse` has it.
        OSError: it cannot be opened.
    """
    opened = _open_at_once(path)
    if opened is None:
        opened = await take(_threads.submit(_open, path), io.FileIO.close)
    file = SharedFile(opened)
    try:
        yield LocalFile(file, await _look(opened.fileno()))
    finally:
        _close(file)


def representation_of(found: os.stat_result, media_type: str, now: float) -> Representation:
    """Return what the file system tells of a file, seen at `now`, in seconds since 1970."""
    is_settled = _is_settled(found, int(now * 10**9))
    opaque = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
    # A date must not lie in the future (RFC 9110 §8.8.2.1), and no datetime before the year
    # 1; file systems know both.
    modified_at = min(max(found.st_mtime_ns // 10**9, 0), int(now))
    entity_tag = EntityTag(opaque, weak=not is_settled)
    is_second_over = now >= modified_at + 1  # a change may still come in the one it names
    return _representation(media_type, entity_tag, modified_at, is_settled and is_second_over)


@lru_cache(maxsize=512)
def _representation(
    media_type: str, entity_tag: EntityTag, modified_at: int, is_date_strong: bool
) -> Representation:
    return Representation(
        media_type=media_type,
        validators=Validators(entity_tag, datetime.fromtimestamp(modified_at, UTC)),
        has_weak_date=not is_date_strong,
    )


def _open_at_once(path: str | os.PathLike[str]) -> io.FileIO | None:
    # Looked at first, for merely to open a FIFO or a device may do something to it.
    return cached.open_regular(path, 0) if cached.is_regular(path) else None


async def _look(descriptor: int) -> os.stat_result:
    found = os.fstat(descriptor)
    for _ in range(_MOST_TICKS):
        if not _settles_soon(found):
            break
        await asyncio.sleep(_TICK_SECONDS)  # uvloop may wake up a millisecond too early
        found = os.fstat(descriptor)
    return found


def _settles_soon(found: os.stat_result) -> bool:
    """Tell whether to wait for a tick is all that it takes."""
    now_ns = time.time_ns()
    return not _is_settled(found, now_ns) and _is_settled(found, now_ns + _TICK_NS)


def _is_settled(found: os.stat_result, now_ns: int) -> bool:
    """Tell whether another change would be seen in the times."""
    changed_ns = found.st_ctime_ns
    if found.st_mtime_ns <= now_ns:  # who set it into the future did so by hand
        changed_ns = max(changed_ns, found.st_mtime_ns)
    tick_ns = _TICK_NS if changed_ns % 10**9 else _COARSEST_TICK_NS
    return now_ns - changed_ns >= tick_ns


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
