"""The reader of one file."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from tailrace import cached
from tailrace.blobs.contract import BlobKey, BlobState, BlobStatus
from tailrace.blobs.directory import content, inode
from tailrace.blobs.directory.faults import translated
from tailrace.blobs.directory.notices import Notices
from tailrace.blobs.directory.threads import SharedFile, Threads
from tailrace.blobs.growth import Growth, Poll
from tailrace.errors import StorageUnavailable
from tailrace.spans import Span

# Up to here a read out of the page cache costs less than the way to a thread and back.
_SMALL_READ = 64 * 1024


class DirectoryReader:
    def __init__(
        self,
        path: Path,
        file: SharedFile,
        growth: Growth,
        poll: Poll,
        notices: Notices,
        threads: Threads,
    ) -> None:
        self._path = path
        self._key = BlobKey(path.name)
        self._file = file
        self._growth = growth
        self._poll = poll
        self._notices = notices
        self._threads = threads

    @property
    def status(self) -> BlobStatus:
        return self._growth.status

    async def read(self, span: Span) -> bytes:
        self._refresh(self._file.fileno())
        if span.length <= _SMALL_READ:
            found = cached.read(self._file.fileno(), span.start, span.stop)
            if found is not None:
                return found
        found = await asyncio.wrap_future(self._begin_read(span))
        if len(found) < span.length:
            raise StorageUnavailable(
                f"the blob {self._key} ends at {span.start + len(found)}, before {span.stop}"
            )
        return found

    async def wait_beyond(self, length: int) -> BlobStatus:
        descriptor = self._file.borrow()
        try:
            self._refresh(descriptor)
            if self._growth.is_beyond(length):
                return self._growth.status
            look = partial(self._look, descriptor)
            ask = partial(self._notices.ask, self._growth, descriptor)
            with self._poll.watching(self._growth, look, ask):
                self._refresh(descriptor)  # it may have changed before anybody would tell
                return await self._growth.wait_beyond(length)
        finally:
            self._file.give_back()

    def fileno(self) -> int:
        return self._file.fileno()

    def path(self) -> str:
        return str(self._path.absolute())

    def _begin_read(self, span: Span) -> Future[bytes]:
        descriptor = self._file.borrow()
        try:
            job = self._threads.begin(self._key, partial(content.read, descriptor, span))
        except BaseException:
            self._file.give_back()
            raise
        # Called also if the job is cancelled before its turn.
        job.add_done_callback(lambda _: self._file.give_back())
        return job

    def _refresh(self, descriptor: int) -> None:
        is_growing = self._growth.status.state is BlobState.GROWING
        if is_growing and not self._growth.has_writer:
            self._growth.publish(self._look(descriptor))

    def _look(self, descriptor: int) -> BlobStatus:
        with translated(self._key):
            return inode.status(descriptor)
