"""A blob as one regular file: what its inode says, and the steps that change it.

    create ──► mode 0600 ──seal──► mode 0400
                   │
                unlink ──► mode 0600, no name left: abandoned

Each function but two blocks; all may run in any thread. They raise what the contract names;
any other failure stays an OSError, for `faults` to translate.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
from pathlib import Path

from tailrace import cached
from tailrace.blobs.contract import BlobState, BlobStatus
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    BlobMissing,
    BlobSealed,
    StorageUnavailable,
)

_GROWING_MODE = 0o600
_SEALED_MODE = 0o400

# Not through a link out of the store, not into children, and without waiting for the other
# end of a FIFO; on regular files O_NONBLOCK means nothing.
_OPEN_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


# --- to begin -------------------------------------------------------------------------------


def create(path: Path) -> io.FileIO:
    """Make an empty growing blob and return its file, locked for one writer.

    Raises:
        BlobBusy: there is a file of this name.
        FileNotFoundError: its directory does not exist.
    """
    try:
        file = _file(path, "r+", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except FileExistsError as error:
        raise BlobBusy(f"a blob {path.name} exists") from error
    try:
        _lock(file.fileno(), path.name)
        _require_mode(file.fileno(), _GROWING_MODE)
    except BlobBusy:
        file.close()  # someone resumed it at once, so it is theirs
        raise
    except BaseException:
        discard(path, file)
        raise
    return file


def discard(path: Path, file: io.FileIO) -> None:
    """Undo a create."""
    try:
        unlink(path, file.fileno())
    finally:
        file.close()


def resume(path: Path) -> io.FileIO:
    """Return the file of a growing blob, locked for one writer.

    Raises:
        BlobMissing, BlobBusy, BlobSealed
    """
    try:
        file = _open(path, "r+", os.O_RDWR)
    except PermissionError as error:
        # Mode 0400 refuses every writer but root, who is told by the status below.
        if status_at(path).state is BlobState.SEALED:
            raise BlobSealed(f"the blob {path.name} is sealed") from error
        raise
    try:
        _lock(file.fileno(), path.name)
        # Only now does nobody else change it.
        match status(file.fileno()).state:
            case BlobState.SEALED:
                raise BlobSealed(f"the blob {path.name} is sealed")
            case BlobState.ABANDONED:
                raise BlobMissing(f"there is no blob {path.name}")
            case BlobState.GROWING:
                return file
    except BaseException:
        file.close()
        raise


def open_to_read(path: Path) -> io.FileIO:
    """Return the file of a blob, for reading.

    Raises:
        BlobMissing
    """
    return _open(path, "r", os.O_RDONLY)


def open_at_once(path: Path) -> io.FileIO | None:
    """Return the file of a blob, for reading; None where a thread has to look for it.

    Does not block.
    """
    return cached.open_regular(path, os.O_NOFOLLOW)


def read_at_once(path: str, limit_bytes: int) -> bytes | None:
    """Return all bytes of a sealed blob, if they are no more than the limit and at hand.

    Does not block.
    """
    read = cached.read_regular(path, os.O_NOFOLLOW, limit_bytes)
    if read is None:
        return None
    found, content = read
    return content if _status(found).state is BlobState.SEALED else None


# --- what the inode says --------------------------------------------------------------------


def status(descriptor: int) -> BlobStatus:
    """Return state and length of an open blob."""
    return _status(os.fstat(descriptor))


def status_at(path: Path) -> BlobStatus:
    """Return state and length of the blob at a path.

    Raises:
        BlobMissing
    """
    try:
        found = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BlobMissing(f"there is no blob {path.name}") from error
    if not stat.S_ISREG(found.st_mode):
        raise BlobMissing(f"there is no blob {path.name}")
    return _status(found)


def require_name(path: Path, descriptor: int) -> None:
    """Let an open blob pass.

    Raises:
        BlobAbandoned: it was removed.
    """
    if not has_name(descriptor):
        raise BlobAbandoned(f"the blob {path.name} was removed")


def has_name(descriptor: int) -> bool:
    return os.fstat(descriptor).st_nlink > 0


def _status(found: os.stat_result) -> BlobStatus:
    # The owner's write bit alone decides, so that a copy with wider modes is still read right.
    if not found.st_mode & stat.S_IWUSR:
        return BlobStatus(BlobState.SEALED, found.st_size)
    if found.st_nlink == 0:
        return BlobStatus(BlobState.ABANDONED, found.st_size)
    return BlobStatus(BlobState.GROWING, found.st_size)


# --- to end ---------------------------------------------------------------------------------


def seal(path: Path, descriptor: int, *, syncs: bool = True) -> None:
    """Turn a growing blob into a sealed one, which survives a power cut if its name does, and
    if it `syncs`.

    Raises:
        BlobAbandoned: it was removed.
    """
    require_name(path, descriptor)
    if syncs:
        os.fsync(descriptor)  # first the bytes: the mode claims that they are all there
    try:
        os.fchmod(descriptor, _SEALED_MODE)
    except PermissionError as error:  # FAT answers so to modes it cannot keep
        raise _no_modes() from error
    if syncs:
        os.fsync(descriptor)
    _require_mode(descriptor, _SEALED_MODE)
    # Whoever removes a blob looks at its mode after the unlink, and here its name is looked
    # for after the change of mode: at least one of the two sees the other.
    require_name(path, descriptor)


def unlink(path: Path, descriptor: int) -> None:
    """Take the name of an open blob away, if it has one."""
    if has_name(descriptor):
        with contextlib.suppress(FileNotFoundError):  # another may be faster
            os.unlink(path)


def remove(path: Path) -> int | None:
    """Take the name of a blob away; return the length of a growing one, which this abandons."""
    try:
        file = open_to_read(path)
    except BlobMissing:
        return None
    with file:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return None  # another was faster
        left = status(file.fileno())
    return None if left.state is BlobState.SEALED else left.length


# --- shared ---------------------------------------------------------------------------------


def _open(path: Path, mode: str, flags: int) -> io.FileIO:
    try:
        file = _file(path, mode, flags)
    except OSError as error:
        if error.errno in _NO_BLOB_THERE:
            raise BlobMissing(f"there is no blob {path.name}") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BlobMissing(f"there is no blob {path.name}")
    except BaseException:
        file.close()
        raise
    return file


# Nothing of this name, or what a stranger put there: a link, a directory, a socket, a FIFO or
# a device without its other end.
_NO_BLOB_THERE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EISDIR,
    errno.ENXIO,
)


def _file(path: Path, mode: str, flags: int) -> io.FileIO:
    # As an object, and not as a bare number, a file that is ever forgotten is closed and named
    # by a ResourceWarning.
    def opener(name: str, _: int) -> int:
        return os.open(name, flags | _OPEN_FLAGS, _GROWING_MODE)

    return io.FileIO(str(path), mode, opener=opener)


def _lock(descriptor: int, key: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlobBusy(f"the blob {key} has a writer") from error


def _require_mode(descriptor: int, mode: int) -> None:
    if os.fstat(descriptor).st_mode & stat.S_IWUSR != mode & stat.S_IWUSR:
        raise _no_modes()


def _no_modes() -> StorageUnavailable:
    return StorageUnavailable(
        "the file system does not keep the modes of files, which say whether a blob is whole; "
        "choose a directory on a POSIX file system"
    )
