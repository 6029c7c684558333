"""The writer of one file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tailrace.blobs.contract import (
    BlobReader,
    BlobState,
    BlobStatus,
    Landing,
    LocalBlobWriter,
)
from tailrace.blobs.directory import content, inode
from tailrace.blobs.directory.faults import translated
from tailrace.blobs.directory.threads import Threads, finish
from tailrace.blobs.growth import Growth, Poll
from tailrace.errors import BlobAbandoned, OffsetMismatch, StorageUnavailable
from tailrace.spans import Span

# How much is copied before readers are told and a cancellation is heard: some 50 ms where the
# bytes must move, and no time where the file system shares them.
_COPY_BYTES = 64 * 1024 * 1024


class DirectoryWriter:
    """The writer of one file; it holds the lock until the file is closed."""

    def __init__(
        self,
        path: Path,
        file: io.FileIO,
        growth: Growth,
        poll: Poll,
        threads: Threads,
        sync_name: Callable[[], None],
        *,
        syncs: bool,
    ) -> None:
        self._path = path
        self._file = file
        self._growth = growth
        self._poll = poll
        self._threads = threads
        self._sync_name = sync_name
        self._syncs = syncs
        # The steps in threads keep these two true as they go, also when they fail halfway.
        self._state = BlobState.GROWING
        self._length = growth.status.length
        self._may_have_lost_bytes = False
        growth.writers += 1

    @property
    def length(self) -> int:
        return self._length

    async def append(self, offset: int, chunks: Sequence[bytes]) -> int:
        self._require_end(offset)
        await self._step(partial(self._write, chunks))
        return self._length

    async def land(self, offset: int, landing: Landing) -> int:
        self._require_end(offset)

        def progressed(count: int) -> None:
            self._length = offset + count
            self._growth.publish(BlobStatus(BlobState.GROWING, self._length))
            self._require_name()

        self._require_name()
        await landing(self._file.fileno(), offset, progressed)
        return self._length

    async def append_from(self, offset: int, reader: BlobReader, span: Span) -> int:
        self._require_end(offset)
        source = reader.fileno()
        if source is None:
            raise ValueError("the reader is not one of this store")
        for start in range(span.start, span.stop, _COPY_BYTES):
            portion = Span(start, min(start + _COPY_BYTES, span.stop))
            await self._step(partial(self._copy, source, portion))
        return self._length

    async def sync(self) -> int:
        self._require_growing()
        await self._step(self._sync)
        return self._length

    async def seal(self) -> None:
        if not self._file.closed:
            self._require_growing()
            await self._step(self._seal)

    async def abandon(self) -> None:
        if not self._file.closed:
            try:
                await self._step(self._unlink)
            finally:
                await self._step(self._file.close)

    async def release(self) -> None:
        if not self._file.closed:
            await self._step(self._file.close)

    def _require_end(self, offset: int) -> None:
        self._require_growing()
        if offset != self._length:
            raise OffsetMismatch(expected=self._length, received=offset)

    def _require_growing(self) -> None:
        if self._file.closed:
            raise ValueError(f"this writer of blob {self._path.name} is spent")
        if self._growth.status.state is BlobState.ABANDONED:
            raise BlobAbandoned(f"the blob {self._path.name} was removed")
        if self._may_have_lost_bytes:
            raise StorageUnavailable(
                f"the blob {self._path.name} may have lost bytes when its sync failed"
            )

    def _require_name(self) -> None:
        """As the steps in threads; a look at an open file does not wait for the disk."""
        try:
            with translated(self._path.name):
                inode.require_name(self._path, self._file.fileno())
        except BlobAbandoned:
            self._state = BlobState.ABANDONED
            self._growth.publish(BlobStatus(self._state, self._length))
            raise

    async def _step(self, step: Callable[[], None]) -> None:
        try:
            await finish(self._threads.begin(self._path.name, step))
        except BlobAbandoned:
            self._state = BlobState.ABANDONED
            raise
        finally:
            self._growth.publish(BlobStatus(self._state, self._length))
            if self._file.closed:
                self._growth.writers -= 1
                self._poll.writer_left(self._growth)

    def _write(self, chunks: Sequence[bytes]) -> None:
        inode.require_name(self._path, self._file.fileno())
        for length in content.write(self._file.fileno(), self._length, chunks):
            self._length = length

    def _copy(self, source: int, span: Span) -> None:
        inode.require_name(self._path, self._file.fileno())
        for length in content.copy(source, span, self._file.fileno(), self._length):
            self._length = length

    def _sync(self) -> None:
        inode.require_name(self._path, self._file.fileno())
        if not self._syncs:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._may_have_lost_bytes = True
            raise

    def _seal(self) -> None:
        try:
            inode.seal(self._path, self._file.fileno(), syncs=self._syncs)
        except OSError:
            self._may_have_lost_bytes = True
            raise
        # Once more: there are file systems that keep the mode of a file in its directory.
        self._sync_name()
        self._state = BlobState.SEALED
        self._file.close()

    def _unlink(self) -> None:
        inode.unlink(self._path, self._file.fileno())
        self._state = BlobState.ABANDONED


_: type[LocalBlobWriter] = DirectoryWriter
