"""A store in the memory of one process, which ends with it.

For tests, and for services whose files need not survive. Blobs live in one dictionary, each
in one `bytearray`. A removed blob leaves the dictionary at once and memory with its last
reader. What may go wrong: with no limit, the process runs out of memory. `sync` and `seal`
keep nothing from a crash.

A store belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tailrace.blobs.contract import (
    BlobKey,
    BlobReader,
    BlobState,
    BlobStatus,
    BlobStore,
)
from tailrace.blobs.growth import Growth
from tailrace.blobs.keys import checked
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    BlobMissing,
    BlobSealed,
    OffsetMismatch,
    StorageFull,
    StorageUnavailable,
)
from tailrace.spans import Span


@dataclass(frozen=True, slots=True, eq=False)
class _Blob:
    content: bytearray = field(default_factory=bytearray)
    growth: Growth = field(default_factory=lambda: Growth(BlobStatus(BlobState.GROWING, 0)))

    def publish(self, state: BlobState) -> None:
        self.growth.publish(BlobStatus(state, len(self.content)))


class MemoryBlobs:
    """Blobs in memory, all together at most `limit_bytes` where that is given."""

    def __init__(self, *, limit_bytes: int | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._blobs: dict[BlobKey, _Blob] = {}

    async def create(self, key: BlobKey) -> MemoryWriter:
        if checked(key) in self._blobs:
            raise BlobBusy(f"a blob {key} exists")
        blob = self._blobs[key] = _Blob()
        return MemoryWriter(self, key, blob)

    async def resume(self, key: BlobKey) -> MemoryWriter:
        blob = self._find(key)
        if blob.growth.status.state is BlobState.SEALED:
            raise BlobSealed(f"the blob {key} is sealed")
        if blob.growth.has_writer:
            raise BlobBusy(f"the blob {key} has a writer")
        return MemoryWriter(self, key, blob)

    @asynccontextmanager
    async def open(self, key: BlobKey) -> AsyncIterator[MemoryReader]:
        reader = MemoryReader(key, self._find(key))
        try:
            yield reader
        finally:
            reader.close()

    def read_at_once(self, key: BlobKey, limit_bytes: int) -> bytes | None:
        blob = self._blobs.get(checked(key))
        if blob is None or blob.growth.status.state is not BlobState.SEALED:
            return None
        return bytes(blob.content) if len(blob.content) <= limit_bytes else None

    async def status(self, key: BlobKey) -> BlobStatus:
        return self._find(key).growth.status

    async def remove(self, key: BlobKey) -> None:
        blob = self._blobs.pop(checked(key), None)
        if blob is not None:
            blob.publish(BlobState.ABANDONED)  # a sealed one stays sealed to its readers

    async def keys(self) -> AsyncIterator[BlobKey]:
        for key in tuple(self._blobs):
            yield key

    def room(self) -> int | None:
        """Return how many more bytes are taken, or None where there is no limit."""
        if self._limit_bytes is None:
            return None
        held = sum(len(blob.content) for blob in self._blobs.values())
        return max(self._limit_bytes - held, 0)

    def _find(self, key: BlobKey) -> _Blob:
        blob = self._blobs.get(checked(key))
        if blob is None:
            raise BlobMissing(f"there is no blob {key}")
        return blob


class MemoryWriter:
    def __init__(self, store: MemoryBlobs, key: BlobKey, blob: _Blob) -> None:
        self._store = store
        self._key = key
        self._blob = blob
        self._is_spent = False
        blob.growth.writers += 1

    @property
    def length(self) -> int:
        return len(self._blob.content)

    async def append(self, offset: int, chunks: Sequence[bytes]) -> int:
        self._require_growing()
        if offset != self.length:
            raise OffsetMismatch(expected=self.length, received=offset)
        content = b"".join(chunks)
        room = self._store.room()
        self._blob.content.extend(content[:room])
        self._blob.publish(BlobState.GROWING)
        if room is not None and room < len(content):
            raise StorageFull("the memory store has reached its limit")
        # A writer that never waits would keep its readers from running.
        await asyncio.sleep(0)
        return self.length

    async def append_from(self, offset: int, reader: BlobReader, span: Span) -> int:
        return await self.append(offset, [await reader.read(span)])

    async def sync(self) -> int:
        self._require_growing()
        return self.length

    async def seal(self) -> None:
        if not self._is_spent:
            self._require_growing()
            self._end(BlobState.SEALED)

    async def abandon(self) -> None:
        if not self._is_spent:
            await self._store.remove(self._key)
            self._end(BlobState.ABANDONED)

    async def release(self) -> None:
        if not self._is_spent:
            self._end(BlobState.GROWING)

    def _require_growing(self) -> None:
        if self._is_spent:
            raise ValueError(f"this writer of blob {self._key} is spent")
        if self._blob.growth.status.state is BlobState.ABANDONED:
            raise BlobAbandoned(f"the blob {self._key} was removed")

    def _end(self, state: BlobState) -> None:
        self._is_spent = True
        self._blob.growth.writers -= 1
        self._blob.publish(state)


class MemoryReader:
    def __init__(self, key: BlobKey, blob: _Blob) -> None:
        self._key = key
        self._blob = blob
        self._is_open = True

    @property
    def status(self) -> BlobStatus:
        return self._blob.growth.status

    async def read(self, span: Span) -> bytes:
        self._require_open()
        if span.stop > len(self._blob.content):
            raise StorageUnavailable(
                f"the blob {self._key} ends at {len(self._blob.content)}, before {span.stop}"
            )
        with memoryview(self._blob.content) as content:
            return bytes(content[span.start : span.stop])

    async def wait_beyond(self, length: int) -> BlobStatus:
        self._require_open()
        return await self._blob.growth.wait_beyond(length)

    def fileno(self) -> int | None:
        return None

    def path(self) -> str | None:
        return None

    def close(self) -> None:
        self._is_open = False

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError(f"this reader of blob {self._key} is closed")


_: type[BlobStore] = MemoryBlobs
