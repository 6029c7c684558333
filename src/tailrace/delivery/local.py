"""A local file as something to be delivered: open once, and looked at only while open."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tailrace.blobs import BlobState, BlobStatus
from tailrace.delivery.representations import Representation
from tailrace.errors import StorageUnavailable
from tailrace.protocol.validators import EntityTag, Validators
from tailrace.spans import Span

# A file changed twice within one tick of its file system's clock has the same times. So a
# tag made of them is strong only when the last change is older than any tick in use.
_COARSEST_TICK_SECONDS = 2.0  # FAT; others count in nanoseconds or in seconds


class LocalFile:
    """An open regular file, read as a sealed blob of the length it had when opened."""

    def __init__(self, descriptor: int, found: os.stat_result) -> None:
        self._descriptor = descriptor
        self.found = found

    @property
    def status(self) -> BlobStatus:
        return BlobStatus(BlobState.SEALED, self.found.st_size)

    async def read(self, span: Span) -> bytes:
        return await asyncio.to_thread(self._read, span)

    async def wait_beyond(self, length: int) -> BlobStatus:
        return self.status

    def fileno(self) -> int | None:
        return self._descriptor

    def _read(self, span: Span) -> bytes:
        parts = []
        offset = span.start
        while offset < span.stop:
            part = os.pread(self._descriptor, span.stop - offset, offset)
            if not part:
                raise StorageUnavailable(f"the file ended at {offset}, before {span.stop}")
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@asynccontextmanager
async def open_file(path: str | os.PathLike[str]) -> AsyncIterator[LocalFile]:
    """Open a regular file.

    Raises:
        RuntimeError: there is none, as Starlette's `FileResponse` has it.
    """
    file = await asyncio.to_thread(_open, path)
    try:
        yield file
    finally:
        # A read that was left in a thread must end before its descriptor may be reused.
        await asyncio.to_thread(os.close, file._descriptor)


def representation_of(file: LocalFile, media_type: str) -> Representation:
    """Return what the file system tells of a file."""
    found = file.found
    modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
    opaque = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
    is_weak = time.time() - max(found.st_mtime, found.st_ctime) < _COARSEST_TICK_SECONDS
    return Representation(
        media_type=media_type,
        validators=Validators(EntityTag(opaque, weak=is_weak), modified_at),
    )


def _open(path: str | os.PathLike[str]) -> LocalFile:
    # Without waiting for the other end, should it be a FIFO.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as exc:
        raise RuntimeError(f"File at path {path} does not exist.") from exc
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return LocalFile(descriptor, found)
    os.close(descriptor)
    raise RuntimeError(f"File at path {path} is not a file.")
