"""What a blob store promises; the law of the blob in types.

A blob is growing, then sealed or abandoned:

    create ──► GROWING ──seal──► SEALED ──remove──► (missing)
                  │  ▲                                  ▲
           release│  │resume                            │
                  ▼  │                                  │
               GROWING, no writer ────abandon/remove────┘

Bytes are only appended, the length never falls, sealed bytes never change. One writer at
a time, which the store enforces (`BlobBusy`); any number of readers, in any phase, each of
whom may wait for more. A writer ends in `seal`, `abandon` or, to be resumed, `release`.

A store forgets what was abandoned or removed: to those who come after, it is `BlobMissing`.
Readers that had it open learn the difference: of an abandoned blob they see the state
`ABANDONED`; of a blob removed after its seal they read on to its end.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NewType, Protocol, runtime_checkable

from tailrace.spans import Span

BlobKey = NewType("BlobKey", str)
"""The name of one blob: 1 to 64 of `a-z 0-9`, made by the caller, never used twice."""


class BlobState(enum.Enum):
    GROWING = "growing"
    """May get more bytes."""
    SEALED = "sealed"
    """Whole; never changes again."""
    ABANDONED = "abandoned"
    """Given up; what there is of it is not the whole."""


@dataclass(frozen=True, slots=True)
class BlobStatus:
    """What can be read of a blob at one moment: the bytes below `length`."""

    state: BlobState
    length: int


class BlobWriter(Protocol):
    """The one writer of one growing blob.

    Its methods must not be called at once by two tasks. After seal, abandon or release it
    is spent: append and sync raise ValueError, and seal, abandon and release do nothing.
    Once the blob was removed under it, append, sync and seal raise BlobAbandoned.
    """

    @property
    def length(self) -> int:
        """How many bytes the blob has."""

    async def append(self, offset: int, chunks: Sequence[bytes]) -> int:
        """Append all chunks at offset and return the new length.

        On return the bytes can be read and survive a crash of this process; they survive
        a power cut after `sync` or `seal`. When it raises or is cancelled, a part of them
        may have been appended: `length` tells.

        Raises:
            OffsetMismatch: offset is not the length; nothing was appended.
            StorageFull: there is no room; the blob has grown by what fitted.
        """

    async def append_from(self, offset: int, reader: BlobReader, span: Span) -> int:
        """Append a span of another blob of this store, as `append` does its chunks.

        Where the store can, the bytes do not come into this process, and the two blobs
        share the room they take.

        Raises:
            StorageUnavailable: span is not all there.
        """

    async def sync(self) -> int:
        """Make all that was appended survive a power cut, and return the length."""

    async def seal(self) -> None:
        """End the blob as whole. On return it survives a power cut."""

    async def abandon(self) -> None:
        """Give the blob up, wake its readers and free its bytes."""

    async def release(self) -> None:
        """Leave the blob growing, for another writer to resume."""


class Landing(Protocol):
    """Brings bytes into an open file from elsewhere, a socket most often.

    It writes from offset on and tells `on_progress`, on the event loop, how many bytes lie
    there so far, each time there are more; what that raises ends it. When it has returned,
    raised or was cancelled, all were told, and it touches the descriptor no more. A file that
    cannot be written is a `StorageError`.
    """

    def __call__(
        self, descriptor: int, offset: int, on_progress: Callable[[int], None], /
    ) -> Awaitable[object]: ...


@runtime_checkable
class LocalBlobWriter(BlobWriter, Protocol):
    """A writer that can have bytes brought into its blob past this program's memory.

    Not every store has such writers: ask by `isinstance`.
    """

    async def land(self, offset: int, landing: Landing) -> int:
        """Append what landing brings and return the new length; as `append`.

        Raises:
            OffsetMismatch: offset is not the length; nothing was brought.
            BlobAbandoned: the blob was removed, before or meanwhile.
            Exception: what landing raises; the blob has grown by what it told.
        """


class BlobReader(Protocol):
    """One blob, open for reading. Reads may run at once.

    After its context has ended, read and wait_beyond raise ValueError.
    """

    @property
    def status(self) -> BlobStatus:
        """State and length as of the last `read`, `wait_beyond` or opening; costs nothing."""

    async def read(self, span: Span) -> bytes:
        """Return all bytes of span, which must lie below the length.

        Raises:
            StorageUnavailable: the bytes are no longer there; a promise was broken.
        """

    async def wait_beyond(self, length: int) -> BlobStatus:
        """Return as soon as the blob is longer than length, or no longer growing."""

    def fileno(self) -> int | None:
        """Return a descriptor of the local file with the bytes, or None where there is none.

        It belongs to the reader and is closed with it; use it with positioned reads only.
        """

    def path(self) -> str | None:
        """Return the absolute path of that file, or None where it has none of its own.

        There will never be another file. Once the blob is removed, there is none.
        """


class BlobStore(Protocol):
    """Where blobs rest. A key of another form than `BlobKey` says raises ValueError."""

    async def create(self, key: BlobKey) -> BlobWriter:
        """Make an empty growing blob and return its writer.

        Raises:
            BlobBusy: the key is in use.
            StorageFull: there is no room.
        """

    async def resume(self, key: BlobKey) -> BlobWriter:
        """Return a writer for a growing blob that has none; it goes on at its length.

        Raises:
            BlobMissing: there is no such blob.
            BlobBusy: a living writer, in this process or another, holds it.
            BlobSealed: it is finished.
        """

    def open(self, key: BlobKey) -> AbstractAsyncContextManager[BlobReader]:
        """Open a growing or sealed blob for reading.

        Raises (on entering):
            BlobMissing: there is no such blob.
        """

    def read_at_once(self, key: BlobKey, limit_bytes: int) -> bytes | None:
        """Return all bytes of a sealed blob that can be had without waiting.

        None where they are more than the limit, or where `open` has to be asked: there may be
        no such blob, it may be growing, or nobody knows without waiting.
        """

    async def status(self, key: BlobKey) -> BlobStatus:
        """Return state and length.

        Raises:
            BlobMissing: there is no such blob.
        """

    async def remove(self, key: BlobKey) -> None:
        """Free a blob's bytes; of a missing blob, do nothing. A growing one is abandoned."""

    def keys(self) -> AsyncIterator[BlobKey]:
        """Yield every key in the store, in no order; what changes meanwhile may be missed."""
