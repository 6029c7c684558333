"""The digest of a blob, computed while its bytes arrive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

from tailrace.blobs.contract import BlobReader
from tailrace.spans import Span

Algorithm: TypeAlias = Literal["sha-256", "sha-512", "sha-1", "md5"]
"""The first two, as RFC 9530 names them, can be trusted; the others find what a line broke."""

# Below this a trip to a thread costs more than the hashing (about 40 µs for 64 KiB).
_INLINE_BYTES = 64 * 1024
_READ_BYTES = 1024 * 1024


class RunningDigest:
    """The digest of the first `covered` bytes of a blob.

    Bytes that came past it (another process wrote them, before a restart) are read back
    once, by `complete`.
    """

    def __init__(self, algorithm: Algorithm = "sha-256") -> None:
        self.covered = 0
        self.is_torn = False
        """It may have seen more than it covers, because an update was cancelled."""
        self._hash = hashlib.new(algorithm.replace("-", ""))

    async def update(self, offset: int, chunks: Sequence[bytes]) -> None:
        """Take in chunks that lie at offset; those not next in order are left to `complete`."""
        if offset != self.covered:
            return
        length = sum(map(len, chunks))
        self.is_torn = True
        if length <= _INLINE_BYTES:
            self._update_all(chunks)
        else:
            await asyncio.to_thread(self._update_all, chunks)
        self.covered += length
        self.is_torn = False

    def extend(self, chunk: memoryview) -> None:
        """Take in what comes next. Blocks; not to be called at once by two threads."""
        self._hash.update(chunk)
        self.covered += len(chunk)

    async def complete(self, reader: BlobReader) -> bytes:
        """Return the digest of all that the blob now has."""
        while self.covered < (length := reader.status.length):
            chunk = await reader.read(
                Span(self.covered, min(self.covered + _READ_BYTES, length))
            )
            await self.update(self.covered, [chunk])
        return self.digest()

    def digest(self) -> bytes:
        """Return the digest of what was taken in so far."""
        return self._hash.digest()

    def _update_all(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self._hash.update(chunk)
