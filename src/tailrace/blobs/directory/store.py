"""The directory store itself: names, readers and writers, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import io
import weakref
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from tailrace.blobs.contract import BlobKey, BlobState, BlobStatus, BlobStore
from tailrace.blobs.directory import inode
from tailrace.blobs.directory.faults import translated
from tailrace.blobs.directory.notices import Notices
from tailrace.blobs.directory.reader import DirectoryReader
from tailrace.blobs.directory.shards import Shards
from tailrace.blobs.directory.threads import SharedFile, Threads, finish, take
from tailrace.blobs.directory.writer import DirectoryWriter
from tailrace.blobs.growth import Growth, Poll
from tailrace.errors import BlobMissing

# These threads wait for the disk, not for a core. With few (Python's own default is the number
# of cores and four) a handful of slow syncs holds up every read; an idle one costs little.
_THREADS = 16

# Where the system does not tell of changes. People take a tenth of a second for at once, and
# looking so often at a thousand blobs costs some hundredths of a core.
_POLL_SECONDS = 0.1


class DirectoryBlobs:
    """Blobs below the directory `root`, which is made when it is first needed.

    Without `syncs` nothing is promised of a power cut, and nobody waits for a disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        threads: int = _THREADS,
        poll_seconds: float = _POLL_SECONDS,
        syncs: bool = True,
    ) -> None:
        self._shards = Shards(root, syncs=syncs)
        self._syncs = syncs
        self._threads = Threads(threads)
        self._poll = Poll(poll_seconds)
        self._notices = Notices(self._poll.look_at, self._poll.look_at_all)
        # What the readers and the writer of one blob share, for as long as there is one.
        self._growths: weakref.WeakValueDictionary[BlobKey, Growth] = (
            weakref.WeakValueDictionary()
        )

    async def close(self) -> None:
        """Let go of the threads. Readers and writers must have ended before."""
        self._notices.close()
        await self._threads.close()

    async def create(self, key: BlobKey) -> DirectoryWriter:
        path = self._shards.path(key)
        job = self._threads.begin(key, partial(self._create, path))
        return self._writer(key, path, await take(job, partial(inode.discard, path)))

    async def resume(self, key: BlobKey) -> DirectoryWriter:
        path = self._shards.path(key)
        job = self._threads.begin(key, partial(self._resume, path))
        return self._writer(key, path, await take(job, io.FileIO.close))

    @contextlib.asynccontextmanager
    async def open(self, key: BlobKey) -> AsyncIterator[DirectoryReader]:
        path = self._shards.path(key)
        opened = inode.open_at_once(path)
        if opened is None:
            job = self._threads.begin(key, partial(inode.open_to_read, path))
            opened = await take(job, io.FileIO.close)
        file = SharedFile(opened)
        try:
            with translated(key):
                status = inode.status(file.fileno())
            if status.state is BlobState.ABANDONED:
                raise BlobMissing(f"there is no blob {key}")
            growth = self._growth(key, status)
            yield DirectoryReader(path, file, growth, self._poll, self._notices, self._threads)
        finally:
            self._close(key, file)

    def read_at_once(self, key: BlobKey, limit_bytes: int) -> bytes | None:
        return inode.read_at_once(self._shards.name(key), limit_bytes)

    async def status(self, key: BlobKey) -> BlobStatus:
        job = self._threads.begin(key, partial(inode.status_at, self._shards.path(key)))
        return await asyncio.wrap_future(job)

    async def remove(self, key: BlobKey) -> None:
        job = self._threads.begin(key, partial(inode.remove, self._shards.path(key)))
        try:
            await finish(job)
        finally:
            abandoned_at = None if job.exception() else job.result()
            growth = self._growths.get(key)
            if abandoned_at is not None and growth is not None:
                growth.publish(BlobStatus(BlobState.ABANDONED, abandoned_at))

    async def keys(self) -> AsyncIterator[BlobKey]:
        shards = self._threads.begin("its root", self._shards.list_shards)
        for shard in await asyncio.wrap_future(shards):
            keys = self._threads.begin("its root", partial(self._shards.list_keys, shard))
            for key in await asyncio.wrap_future(keys):
                yield key

    def _create(self, path: Path) -> io.FileIO:
        try:
            file = inode.create(path)
        except FileNotFoundError:
            self._shards.make(path)
            file = inode.create(path)
        try:
            self._shards.sync(path)
        except BaseException:
            inode.discard(path, file)
            raise
        return file

    def _resume(self, path: Path) -> io.FileIO:
        file = inode.resume(path)
        try:
            # Whoever created it may have died before its name was synced.
            self._shards.sync(path)
        except BaseException:
            file.close()
            raise
        return file

    def _writer(self, key: BlobKey, path: Path, file: io.FileIO) -> DirectoryWriter:
        try:
            with translated(key):
                status = inode.status(file.fileno())
        except BaseException:
            file.close()
            raise
        growth = self._growth(key, status)
        sync_name = partial(self._shards.sync, path)
        return DirectoryWriter(
            path, file, growth, self._poll, self._threads, sync_name, syncs=self._syncs
        )

    def _growth(self, key: BlobKey, status: BlobStatus) -> Growth:
        growth = self._growths.get(key)
        if growth is None:
            growth = self._growths[key] = Growth(status)
        growth.publish(status)
        return growth

    def _close(self, key: BlobKey, file: SharedFile) -> None:
        # The last close of a removed blob frees its bytes; for gigabytes that takes a while.
        is_quick = False
        with contextlib.suppress(OSError):
            is_quick = inode.has_name(file.fileno())
        if is_quick:
            file.close()
        else:
            self._threads.begin(key, file.close)


_: type[BlobStore] = DirectoryBlobs
