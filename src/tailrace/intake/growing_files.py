"""A file that is being written: a blob and a record that end as one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tailrace.blobs import BlobKey, BlobReader, BlobStore, BlobWriter
from tailrace.blobs.digest import RunningDigest
from tailrace.catalogue import (
    Catalogue,
    FileRecord,
    FileState,
    LinkRecord,
)
from tailrace.errors import (
    BlobAbandoned,
    BlobMissing,
    FileEnded,
    LengthExceeded,
    LengthMismatch,
    StorageFull,
)
from tailrace.intake.fill import fill
from tailrace.intake.holding import held
from tailrace.intake.settling import settled
from tailrace.intake.waiting_digests import WaitingDigests
from tailrace.intake.writers import Writers
from tailrace.protocol.digests import Algorithm
from tailrace.protocol.uploads import ContentDigest
from tailrace.spans import Span


@dataclass(slots=True)
class GrowingFile:
    """A file and the right to write it. It ends in `seal`, `abandon` or `release`."""

    record: FileRecord
    link: LinkRecord
    """Its first link; it works at once."""
    _writer: BlobWriter
    _store: BlobStore
    _catalogue: Catalogue
    _now: Callable[[], datetime]
    limit: int
    """How long it may become."""
    _writers: Writers
    _sealing: dict[BlobKey, asyncio.Future[bytes | None]]
    _digests: WaitingDigests
    _digest: RunningDigest | None
    """Of what was appended; None where no digest is kept."""
    _is_blob_sealed: bool = False

    @property
    def length(self) -> int:
        return self._writer.length

    async def fill(self, source: AsyncIterable[bytes]) -> int:
        """Append all that a source gives; as `fill`, up to the promised length or the limit."""
        return await fill(self._writer, source, self._digest, limit=self._length_limit)

    async def fill_verified(
        self, source: AsyncIterable[bytes], expected: Sequence[ContentDigest]
    ) -> int:
        """As `fill`, but append nothing before all of it has come and has these digests.

        Raises:
            ContentDigestMismatch: it has another; nothing was appended.
        """
        room = max(self._length_limit - self.length, 0)
        async with held(self._store, source, expected, limit=room) as reader:
            return await self.take(reader)

    async def take(self, reader: BlobReader) -> int:
        """Append all that another blob of the store has now.

        Raises:
            LengthExceeded: it is more than is taken here; nothing was appended.
        """
        length = reader.status.length
        if self.length + length > self._length_limit:
            raise LengthExceeded(self._length_limit, self.length + length)
        await self._writer.append_from(self.length, reader, Span(0, length))
        if self._digest is not None:
            await self.digest("sha-256")  # now, while the bytes are warm, and not at the end
        return self.length

    @property
    def _length_limit(self) -> int:
        promised = self.record.complete_length
        return self.limit if promised is None else min(promised, self.limit)

    async def promise(self, complete_length: int) -> None:
        """Note the length that the file will have.

        Raises:
            LengthMismatch: another one was promised before, or more has come already.
            LengthExceeded: it is over the limit.
        """
        promised = self.record.complete_length
        if promised == complete_length:
            return
        if promised is not None:
            raise LengthMismatch(promised, complete_length)
        if complete_length > self.limit:
            raise LengthExceeded(self.limit, complete_length)
        if complete_length < self.length:
            raise LengthMismatch(complete_length, self.length)
        await self._catalogue.promise_length(self.record.id, complete_length)
        self.record = dataclasses.replace(self.record, complete_length=complete_length)

    @property
    def takes_more(self) -> bool:
        """Whether it is neither whole nor given up.

        Where the blob is sealed but the catalogue failed, only the record is still to come.
        """
        return self.record.state is FileState.GROWING and not self._is_blob_sealed

    async def describe(
        self, *, name: str, media_type: str, complete_length: int | None
    ) -> None:
        """Note what is now known of the file, if anything is new; before its first byte.

        Raises:
            LengthExceeded: the length is over the limit.
        """
        if complete_length is not None and complete_length > self.limit:
            raise LengthExceeded(self.limit, complete_length)
        described = dataclasses.replace(
            self.record, name=name, media_type=media_type, complete_length=complete_length
        )
        if described != self.record:
            await self._catalogue.describe_file(
                self.record.id,
                name=name,
                media_type=media_type,
                complete_length=complete_length,
            )
            self.record = described

    async def sync(self) -> int:
        return await self._writer.sync()

    async def digest(self, algorithm: Algorithm) -> bytes:
        """Return the digest of all that there is; one that is not kept, by reading it again.

        Raises:
            BlobAbandoned: the file was deleted meanwhile.
        """
        running = self._digest if algorithm == "sha-256" else None
        running = running or RunningDigest(algorithm)
        try:
            async with self._store.open(self.record.blob) as reader:
                return await running.complete(reader)
        except BlobMissing as exc:  # to its writer it was there
            raise BlobAbandoned(str(exc)) from exc

    async def seal(self) -> FileRecord:
        """End the file as whole, also if the caller is cancelled meanwhile.

        Raises:
            LengthMismatch: it is not as long as was promised; it is still growing.
            FileEnded, BlobAbandoned: it was deleted meanwhile.
        """
        promised = self.record.complete_length
        if promised is not None and promised != self.length:
            raise LengthMismatch(promised, self.length)
        return await settled(self._seal())

    async def _seal(self) -> FileRecord:
        sha256 = await self.digest("sha-256") if self._digest is not None else None
        # Whoever follows the blob to its seal may ask before the catalogue knows.
        sealing = self._sealing[self.record.blob] = asyncio.get_running_loop().create_future()
        try:
            await self._writer.seal()
            self._is_blob_sealed = True
            self.record = await self._catalogue.seal_file(
                self.record.id, length=self.length, sha256=sha256, sealed_at=self._now()
            )
            sealing.set_result(self.record.sha256)
        finally:
            del self._sealing[self.record.blob]
            if not sealing.done():
                sealing.set_result(None)
        if self.record.state is not FileState.SEALED:
            raise FileEnded(f"this file was given up: {self.record.reason}")
        self._writers.remove(self._writer)
        return self.record

    async def abandon(self, reason: str) -> None:
        """Give the file up, also if the caller is cancelled meanwhile. May be repeated."""
        await settled(self._abandon(reason))

    async def _abandon(self, reason: str) -> None:
        try:
            # The reason first: whoever is cut by the blob's end can ask for it at once.
            self.record = await self._catalogue.abandon_file(
                self.record.id, reason=reason, at=self._now()
            )
            if self.record.state is not FileState.SEALED:
                await self._writer.abandon()
        except StorageFull:
            # The record, too, may find no room before the bytes are gone. Upkeep gives up a
            # file whose bytes are lost.
            await self._writer.abandon()
            raise
        finally:
            # Where the catalogue fails, upkeep gives the file up; a living writer would hold
            # it back from that.
            await self._release()

    async def release(self) -> None:
        """Leave the file growing, for a later request to go on."""
        await settled(self._release())

    async def drop(self) -> None:
        """Free the blob, and cut off its readers; the file has another one."""
        self._digest = None  # nobody goes on with it
        try:
            await self._writer.abandon()
        finally:
            await self._release()

    async def _release(self) -> None:
        if self.record.state is FileState.GROWING and self._digest is not None:
            self._digests.keep(self.record.blob, self._digest, self.length)
            self._digest = RunningDigest()  # it is now for whoever goes on
        try:
            await self._writer.release()
        finally:
            self._writers.remove(self._writer)
