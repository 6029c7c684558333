"""Files that are being written: one blob, one record, one link from the first moment on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from tailrace.blobs import BlobKey, BlobStore, BlobWriter
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
    BlobMissing,
    FileEnded,
    LengthExceeded,
)
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.settling import settled
from tailrace.intake.waiting_digests import WaitingDigests
from tailrace.intake.writers import Writers
from tailrace.settings import Settings

Submit: TypeAlias = Callable[[FileRecord, LinkRecord], Awaitable[None]]
"""Makes a file and its first link known."""


# A process seals the blob before the record; until then another sees a file that still grows.
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


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
            record=record,
            link=link,
            limit=most if limit is None else min(limit, most),
            _writer=writer,
            _store=self.store,
            _catalogue=self.catalogue,
            _now=self.now,
            _writers=self.writers,
            _sealing=self._sealing,
            _digests=self.digests,
            _digest=None if self.settings.digest is None else self.digests.take(record.blob),
        )
