"""Files that are being written: one blob, one record, one link from the first moment on."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from tailrace.blobs import BlobKey, BlobReader, BlobStore, BlobWriter
from tailrace.blobs.digest import RunningDigest
from tailrace.catalogue import (
    Catalogue,
    FileId,
    FileRecord,
    FileState,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.errors import (
    BlobAbandoned,
    BlobMissing,
    ClientDisconnected,
    CommandFailed,
    FileEnded,
    LengthExceeded,
    LengthMismatch,
    ProducerError,
    ProtocolError,
    StorageFull,
    TimeLimitExceeded,
)
from tailrace.intake.fill import fill
from tailrace.intake.holding import held
from tailrace.intake.settling import settled
from tailrace.intake.waiting_digests import WaitingDigests
from tailrace.protocol.digests import Algorithm
from tailrace.protocol.uploads import ContentDigest
from tailrace.settings import Settings
from tailrace.spans import Span

Submit: TypeAlias = Callable[[FileRecord, LinkRecord], Awaitable[None]]
"""Makes a file and its first link known."""


# A process seals the blob before the record; until then another sees a file that still grows.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Writers:
    """Those who are writing now, so that a service that stops can wait for their ends."""

    def __init__(self) -> None:
        # Not their files: the next writer of one may begin before the last is noted as gone.
        self._writing: set[BlobWriter] = set()
        self._none_left = asyncio.Event()

    def add(self, writer: BlobWriter) -> None:
        self._writing.add(writer)

    def remove(self, writer: BlobWriter) -> None:
        """Note that a writer has ended; may be repeated."""
        self._writing.discard(writer)
        if not self._writing:
            self._none_left.set()

    async def ended(self) -> None:
        """Wait until nobody is writing."""
        while self._writing:
            self._none_left.clear()
            await self._none_left.wait()


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


@dataclass(frozen=True, slots=True)
class Files:
    """Begins files, and takes up again those that were left growing."""

    store: BlobStore
    catalogue: Catalogue
    make_link: Callable[[FileId, datetime | None], LinkRecord]
    now: Callable[[], datetime]
    settings: Settings
    writers: Writers = field(default_factory=Writers)
    digests: WaitingDigests = field(default_factory=WaitingDigests)
    _sealing: dict[BlobKey, asyncio.Future[bytes | None]] = field(default_factory=dict)

    async def sha256(self, file: FileRecord) -> bytes | None:
        """Return the digest of a file whose blob is sealed, once the catalogue knows of it.

        None where there is none, or nobody knows it.
        """
        sealing = self._sealing.get(file.blob)
        if sealing is not None:
            await asyncio.wait((sealing,))  # unlike `await sealing`, leaves it to the others
            return sealing.result()
        newest = await self.catalogue.find_file(file.id)
        for pause_seconds in _PAUSES:
            if newest is None or newest.state is not FileState.GROWING:
                break
            await asyncio.sleep(pause_seconds)  # another process is about to note it
            newest = await self.catalogue.find_file(file.id)
        return None if newest is None else newest.sha256

    async def begin(
        self,
        *,
        name: str,
        media_type: str,
        origin: Origin,
        complete_length: int | None = None,
        limit: int | None = None,
        upload: Callable[[FileId], UploadRecord] | None = None,
        submit: Submit | None = None,
    ) -> GrowingFile:
        """Make a new, empty, growing file with one link, and perhaps an upload.

        It may have `limit` bytes, where that is less than any file may have. `submit` is
        what makes it known, where that is more than adding it to the catalogue; of what
        that raises, nothing is left.

        Raises:
            LengthExceeded: more is promised than is taken here.
            StorageFull: there is no room.
        """
        if complete_length is not None and complete_length > self.settings.file_limit:
            raise LengthExceeded(self.settings.file_limit, complete_length)
        now = self.now()
        keep = self.settings.keep_files
        record = FileRecord(
            id=FileId(secrets.token_hex(10)),
            name=name,
            media_type=media_type,
            blob=BlobKey(secrets.token_hex(16)),
            state=FileState.GROWING,
            length=None,
            complete_length=complete_length,
            sha256=None,
            origin=origin,
            created_at=now,
            sealed_at=None,
            expires_at=None if keep is None else now + keep,
            ended_at=None,
            reason=None,
        )
        link = self.make_link(record.id, record.expires_at)
        return await settled(
            self._begin(record, link, upload and upload(record.id), limit, submit),
            undo=lambda file: file.abandon("the request was cut off"),
        )

    async def _begin(
        self,
        record: FileRecord,
        link: LinkRecord,
        upload: UploadRecord | None,
        limit: int | None,
        submit: Submit | None,
    ) -> GrowingFile:
        # The blob first: a link whose blob is missing would be a broken promise, while a
        # blob that nobody knows is removed by upkeep.
        writer = await self.store.create(record.blob)
        try:
            if submit is None:
                await self.catalogue.add_file(record, [link], upload)
            else:
                await submit(record, link)
        except BaseException:
            await writer.abandon()
            raise
        return self._growing(record, link, writer, limit)

    async def resume(self, record: FileRecord, limit: int | None = None) -> GrowingFile:
        """Return the right to go on with a growing file; `limit` as in `begin`.

        Raises:
            BlobBusy: somebody else has it.
            FileEnded: it is no longer growing.
        """
        return await settled(self._resume(record, limit), undo=lambda file: file.release())

    async def _resume(self, record: FileRecord, limit: int | None) -> GrowingFile:
        writer = await self.store.resume(record.blob)
        try:
            # Only now: what another writer noted before it let go counts.
            newest = await self.catalogue.find_file(record.id)
            if newest is None or newest.state is not FileState.GROWING:
                raise FileEnded("this file takes no more bytes")
            if newest.blob != record.blob:
                raise BlobMissing("the file has another blob by now")
            links = await self.catalogue.find_links(record.id)
        except BaseException:
            await writer.release()
            raise
        return self._growing(newest, links[0], writer, limit)

    async def restart(self, file: GrowingFile) -> GrowingFile:
        """Return the right to write a file from its start once more, in place of the former.

        Its bytes so far are gone, and who was reading them is cut off: of two attempts a
        reader must never see parts of both. Its links stay.

        Raises:
            FileEnded: it is no longer growing.
        """
        return await settled(self._restart(file), undo=lambda new: new.release())

    async def _restart(self, file: GrowingFile) -> GrowingFile:
        key = BlobKey(secrets.token_hex(16))
        writer = await self.store.create(key)
        try:
            # The record first: whoever is cut by the blob's end can find the new one at once.
            record = await self.catalogue.replace_blob(file.record.id, key)
            if record.blob != key:
                raise FileEnded("this file takes no more bytes")
        except BaseException:
            await writer.abandon()
            raise
        new = self._growing(record, file.link, writer, file.limit)
        await file.drop()
        return new

    def _growing(
        self, record: FileRecord, link: LinkRecord, writer: BlobWriter, limit: int | None
    ) -> GrowingFile:
        self.writers.add(writer)
        most = self.settings.file_limit
        return GrowingFile(
            record,
            link,
            writer,
            self.store,
            self.catalogue,
            self.now,
            most if limit is None else min(limit, most),
            self.writers,
            self._sealing,
            self.digests,
            None if self.settings.digest is None else self.digests.take(record.blob),
        )


def failure_reason(error: BaseException, length: int) -> str:
    """Say for people why a file was given up after so many bytes; nothing of our insides."""
    match error:
        case ClientDisconnected():
            return f"its sender was cut off after {length} bytes"
        case asyncio.CancelledError():
            return f"the service was stopped after {length} bytes"
        case StorageFull():
            return f"there was no room for more than {length} bytes"
        case CommandFailed():
            return f"its command failed after {length} bytes: {error}"
        case TimeLimitExceeded():
            return f"it was stopped after {length} bytes: {error}"
        case ProducerError():
            cause = error.__cause__
            what = f" ({type(cause).__name__})" if cause is not None else ""
            return f"its producer failed after {length} bytes{what}"
        case ProtocolError():
            return str(error)
        case _:
            return f"the service failed after {length} bytes"
