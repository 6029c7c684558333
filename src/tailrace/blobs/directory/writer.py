"""The writer of one file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tailrace.blobs.contract import BlobState, BlobStatus
from tailrace.blobs.directory import content, inode
from tailrace.blobs.directory.threads import Threads, finish
from tailrace.blobs.growth import Growth, Poll
from tailrace.errors import BlobAbandoned, OffsetMismatch, StorageUnavailable


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
    ) -> None:
        self._path = path
        self._file = file
        self._growth = growth
        self._poll = poll
        self._threads = threads
        self._sync_name = sync_name
        # The steps in threads keep these two true as they go, also when they fail halfway.
        self._state = BlobState.GROWING
        self._length = growth.status.length
        self._may_have_lost_bytes = False
        growth.writers += 1

    @property
    def length(self) -> int:
        return self._length

    async def append(self, offset: int, chunks: Sequence[bytes]) -> int:
        self._require_growing()
        if offset != self._length:
            raise OffsetMismatch(expected=self._length, received=offset)
        await self._step(partial(self._write, chunks))
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

    def _require_growing(self) -> None:
        if self._file.closed:
            raise ValueError(f"this writer of blob {self._path.name} is spent")
        if self._growth.status.state is BlobState.ABANDONED:
            raise BlobAbandoned(f"the blob {self._path.name} was removed")
        if self._may_have_lost_bytes:
            raise StorageUnavailable(
                f"the blob {self._path.name} may have lost bytes when its sync failed"
            )

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

    def _sync(self) -> None:
        inode.require_name(self._path, self._file.fileno())
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._may_have_lost_bytes = True
            raise

    def _seal(self) -> None:
        try:
            inode.seal(self._path, self._file.fileno())
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
