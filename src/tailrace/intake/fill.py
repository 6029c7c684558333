"""The one loop by which bytes enter a blob.

    source ──► backlog (bounded) ──► append and digest ──► readers
       │                                                     ▲
       └─────────── land (past this program) ────────────────┘

What arrives while an append is under way goes into the next one, together. So a slow
source is written at once, chunk by chunk, and a fast one in large batches, without a timer
and without holding anything back. Where the source can bring its bytes into a file by itself,
and the blob is one, they do not come through here at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol, runtime_checkable

from tailrace.blobs import BlobWriter, LocalBlobWriter
from tailrace.blobs.digest import RunningDigest
from tailrace.errors import LengthExceeded
from tailrace.intake.settling import ended

# How far a source may run ahead of the store: large enough that one append takes a megabyte
# or more while the disk is the slower side, small enough for hundreds of uploads at once.
BACKLOG_BYTES = 1 * 1024 * 1024

# A source of tiny chunks that never really waits must let the loop run now and then.
BACKLOG_CHUNKS = 1024


@runtime_checkable
class LandingSource(Protocol):
    """A source whose bytes can go into a file without passing through this program."""

    length: int
    """How many bytes it has."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def land(
        self,
        descriptor: int,
        offset: int,
        count: int,
        *,
        on_progress: Callable[[int], None],
        update: Callable[[memoryview], None] | None,
    ) -> object:
        """Bring at most `count` bytes into a file; as `tailrace.request.land`."""


async def fill(
    writer: BlobWriter,
    source: AsyncIterable[bytes],
    digest: RunningDigest | None,
    *,
    limit: int,
) -> int:
    """Append all that a source gives and return the blob's length; does not end the blob.

    `limit` is the length that the blob may reach. What had arrived before the source
    failed, or before a cancellation, is appended all the same; `writer.length` tells.

    Raises:
        LengthExceeded: the source gave more; what lay below the limit is kept.
        StorageError: as `BlobWriter.append`; the source is then read no further, and the
            digest may have seen more than the blob has.
    """
    if isinstance(source, LandingSource) and isinstance(writer, LocalBlobWriter):
        return await _land(writer, source, digest, limit=limit)
    backlog = _Backlog()
    try:
        async with asyncio.TaskGroup() as group:
            appending = group.create_task(_append_all(writer, backlog, digest))
            try:
                await _take_all(source, backlog, limit=limit, length=writer.length)
            finally:
                backlog.close()
                await ended(appending)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    else:
        return writer.length
    raise failure


async def _land(
    writer: LocalBlobWriter, source: LandingSource, digest: RunningDigest | None, *, limit: int
) -> int:
    room = max(limit - writer.length, 0)  # it may have been begun under a higher limit
    is_next = digest is not None and digest.covered == writer.length
    update = digest.extend if digest is not None and is_next else None

    async def landing(descriptor: int, offset: int, on_progress: Callable[[int], None]) -> None:
        await source.land(descriptor, offset, room, on_progress=on_progress, update=update)

    length = await writer.land(writer.length, landing)
    if source.length > room:
        raise LengthExceeded(limit)
    return length


async def _take_all(
    source: AsyncIterable[bytes], backlog: _Backlog, *, limit: int, length: int
) -> None:
    room = max(limit - length, 0)
    async for chunk in source:
        if len(chunk) > room:
            await backlog.put(chunk[:room])
            raise LengthExceeded(limit)
        room -= len(chunk)
        await backlog.put(chunk)


async def _append_all(
    writer: BlobWriter, backlog: _Backlog, digest: RunningDigest | None
) -> None:
    while chunks := await backlog.take():
        if digest is None:
            await writer.append(writer.length, chunks)
            continue
        # Side by side: hashing and writing both let other threads run.
        hashing = asyncio.create_task(digest.update(writer.length, chunks))
        try:
            await writer.append(writer.length, chunks)
        finally:
            await asyncio.wait((hashing,))
        hashing.result()


class _Backlog:
    """Chunks that have arrived and are not yet being appended."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._length = 0
        self._is_closed = False
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add a chunk; wait while the backlog is full."""
        if not chunk:
            await asyncio.sleep(0)  # a source of nothing else must let the loop run as well
            return
        self._chunks.append(chunk)
        self._length += len(chunk)
        self._arrived.set()
        while self._length >= BACKLOG_BYTES or len(self._chunks) >= BACKLOG_CHUNKS:
            self._taken.clear()
            await self._taken.wait()

    async def take(self) -> list[bytes]:
        """Return all there is, waiting for a first chunk; nothing once it is closed."""
        while not self._chunks and not self._is_closed:
            self._arrived.clear()
            await self._arrived.wait()
        chunks, self._chunks, self._length = self._chunks, [], 0
        self._taken.set()
        return chunks

    def close(self) -> None:
        self._is_closed = True
        self._arrived.set()
