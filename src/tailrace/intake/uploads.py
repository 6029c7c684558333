"""Uploads: commands of any dialect, carried out. An upload is a remote writer at an offset.

What must come in one request (a form, a PUT, a plain POST) is abandoned if it breaks off:
nobody has the key to go on. What was begun to be continued keeps what came, until
`keep_uploads` after its last byte.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from tailrace.blobs import BlobStore
from tailrace.catalogue import (
    Catalogue,
    FileRecord,
    FileState,
    LinkRecord,
    Origin,
    UploadRecord,
)
from tailrace.errors import (
    BlobSealed,
    ContentDigestMismatch,
    DigestMismatch,
    StorageFull,
    UploadNotKnown,
)
from tailrace.intake.appending import (
    append_content,
    finish,
    has_promised_length,
    refuse_overlong,
    refuse_wrong_offset,
    whole_or_nothing,
)
from tailrace.intake.files import Files
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.joining import join, whole_part
from tailrace.intake.late_seals import finish_sealing
from tailrace.intake.progress import Upload, progress_of, state_of
from tailrace.intake.reasons import failure_reason
from tailrace.intake.settling import settled
from tailrace.intake.turns import Turn, Turns
from tailrace.intake.upload_records import (
    UploadKey,
    expected_of,
    hash_of,
    media_type_of,
    new_key,
    record_of,
)
from tailrace.protocol.uploads import Append, Concatenate, Create, Limits
from tailrace.protocol.uploads.upload import UploadState, require_expecting
from tailrace.settings import Settings

# Long enough for a client that asks once more because it has not seen the answer; short, for
# until then the bytes may lie there twice.
_KEEP_JOINED_PARTS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Uploads:
    files: Files
    store: BlobStore
    catalogue: Catalogue
    turns: Turns
    now: Callable[[], datetime]
    settings: Settings

    @property
    def limits(self) -> Limits:
        return Limits(length=self.settings.file_limit, lifetime=self.settings.keep_uploads)

    async def create(
        self,
        command: Create,
        source: AsyncIterable[bytes],
        tell: Callable[[Upload], Awaitable[None]] | None = None,
    ) -> Upload:
        """Begin a file and append the content of the request.

        `tell` is called before that; then the client has the key, and what came is kept even
        if it was to be all and breaks off.

        Raises:
            LengthExceeded: more was promised, or came, than is taken.
            LengthMismatch: less came than was promised.
            DigestMismatch: the content or the whole is not what it was to be; nothing is
                kept.
        """
        promised = command.complete_length
        if promised is None and command.is_complete:
            promised = command.content_length
        waits = tell is not None or not command.is_complete
        key, record, file = await self._begin(command, complete_length=promised, waits=waits)
        if not waits:
            async with whole_or_nothing(file):
                await append_content(file, source, command)
                await finish(file, command.digests)
            return self._growing(key, record, file)
        async with self._writing(record, file) as turn:
            try:
                if tell is not None:
                    await tell(self._growing(key, record, file))
                await turn.run(append_content(file, source, command))
            except ContentDigestMismatch as exc:  # nobody has the key to send it again
                if tell is None:
                    await file.abandon(failure_reason(exc, file.length))
                raise
            is_last = command.ends_at_length and has_promised_length(file)
            if command.is_complete or is_last:
                await finish(file, command.digests)
            return self._growing(key, record, file)

    async def concatenate(self, command: Concatenate) -> Upload:
        """Begin a file that is the content of partial uploads, and end it.

        The parts stay for a while, for a client that has not seen the answer asks again.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it was given up.
            PartNotReady: one is not whole yet, or was not begun as a part.
            LengthExceeded: together they are more than is taken.
            DigestMismatch: the whole is not what it was to be; nothing is kept.
        """
        parts = []
        for place, part_key in enumerate(command.parts, 1):
            found = await self._find(part_key)
            self._require_expecting(*found)
            parts.append(await whole_part(place, *found, self.store))
        complete_length = sum(part.length for part in parts)
        key, record, file = await self._begin(
            command, complete_length=complete_length, waits=False
        )
        async with whole_or_nothing(file):
            await join(parts, self.store, file)
            await finish(file, command.digests)
        until = self.now() + min(_KEEP_JOINED_PARTS, self.settings.keep_uploads)
        for key_hash in {part.key_hash for part in parts}:
            await self.catalogue.extend_upload(key_hash, until)
        return self._growing(key, record, file)

    async def append(self, key: str, command: Append, source: AsyncIterable[bytes]) -> Upload:
        """Append the content of a request at the offset it names.

        A request that was writing and is silent now is ended for this one.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it takes no more.
            OffsetMismatch: the offset is not the next; nothing was taken.
            BlobBusy: another request is writing.
            ContentDigestMismatch: the content is not what it was to be; nothing was taken.
            DigestMismatch: the whole is not what it was to be; nothing is kept.
        """
        record, file_record = await self._find(key)
        if self._is_complete(record, file_record):
            refuse_wrong_offset(command, file_record.length or 0)
            if command.content_length == 0 and (command.is_complete or command.ends_at_length):
                return await self._stored(key, record, file_record)
        self._require_expecting(record, file_record)
        if self.turns.is_under_way(file_record.id):
            length = (await self.store.status(file_record.blob)).length
            refuse_wrong_offset(command, length)
            await self.turns.end_if_silent(file_record.id, file_record.blob, length)
        try:
            file = await self.files.resume(file_record)
        except BlobSealed:
            await finish_sealing(self.files, file_record)
            return await self.append(key, command, source)
        async with self._writing(record, file) as turn:
            refuse_wrong_offset(command, file.length)
            if command.complete_length is not None:
                await file.promise(command.complete_length)
            refuse_overlong(command, file)
            await turn.run(append_content(file, source, command))
            is_last = command.ends_at_length and has_promised_length(file)
            if command.is_complete or (is_last and not record.is_partial):
                await finish(file, {**expected_of(record), **command.digests})
            return self._growing(UploadKey(key), record, file)

    async def get(self, key: str, *, ends_at_length: bool = False) -> Upload:
        """Return an upload as far as it has come; the offset told survives a power cut.

        A request that was writing is ended: its client has given it up, or would not ask.
        With `ends_at_length` an upload that has its promised length is ended as whole; the
        last to write may have died before it could.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it was given up.
            BlobBusy: a request is writing in another process.
            DigestMismatch: the whole is not what it was to be; nothing is kept.
        """
        _, file_record = await self._find(key)
        await self.turns.end(file_record.id)
        record, file_record = await self._find(key)
        if self._is_complete(record, file_record):
            return await self._stored(key, record, file_record)
        self._require_expecting(record, file_record)
        try:
            file = await self.files.resume(file_record)
        except BlobSealed:
            await finish_sealing(self.files, file_record)
            return await self.get(key)
        try:
            is_last = ends_at_length and has_promised_length(file)
            if is_last and not record.is_partial:
                await finish(file, expected_of(record))
            else:
                await file.sync()
            return self._upload(key, record, file.record, file.link, file.length)
        except DigestMismatch as exc:
            await file.abandon(failure_reason(exc, file.length))
            raise
        finally:
            await file.release()

    async def look(self, key: str) -> Upload:
        """Return an upload as far as it has come; whoever is writing it is not disturbed.

        The offset told is where it is now, which a power cut may still take back.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it was given up.
        """
        record, file_record = await self._find(key)
        if self._is_complete(record, file_record):
            return await self._stored(key, record, file_record)
        self._require_expecting(record, file_record)
        length = (await self.store.status(file_record.blob)).length
        return await self._stored(key, record, file_record, length)

    async def cancel(self, key: str, *, ends_file: bool = False) -> None:
        """Give an upload up and free its bytes; with `ends_file` also those of a whole file.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it has ended already.
        """
        record, file_record = await self._find(key)
        if not (ends_file and self._is_complete(record, file_record)):
            self._require_expecting(record, file_record)
        await settled(self._cancel(file_record))
        await self.turns.end(file_record.id)

    async def _cancel(self, file: FileRecord) -> None:
        end = self.catalogue.abandon_file
        if file.state is FileState.SEALED:
            end = self.catalogue.end_file
        note = partial(end, file.id, reason="its upload was cancelled", at=self.now())
        try:
            await note()
        except StorageFull:  # until the bytes are gone
            await self.store.remove(file.blob)
            await note()
        await self.store.remove(file.blob)

    async def _begin(
        self, command: Create | Concatenate, *, complete_length: int | None, waits: bool
    ) -> tuple[UploadKey, UploadRecord, GrowingFile]:
        key = new_key()
        now = self.now()
        expires_at = now + self.settings.keep_uploads if waits else None
        file = await self.files.begin(
            name=command.name,
            media_type=media_type_of(command),
            origin=Origin.UPLOAD,
            complete_length=complete_length,
            upload=lambda file_id: record_of(command, key, file_id, now, expires_at),
        )
        return key, record_of(command, key, file.record.id, now, expires_at), file

    @asynccontextmanager
    async def _writing(self, record: UploadRecord, file: GrowingFile) -> AsyncIterator[Turn]:
        """Hold a file that is to be continued; in the end, let go of it.

        Unless it has ended, it waits for more from then on.
        """
        with self.turns.taking(file.record.id) as turn:
            try:
                yield turn
            except ContentDigestMismatch:
                raise
            except DigestMismatch as exc:
                await file.abandon(failure_reason(exc, file.length))
                raise
            finally:
                await settled(self._let_go(file, record.key_hash))

    async def _let_go(self, file: GrowingFile, key_hash: bytes) -> None:
        try:
            if file.takes_more:
                # Side by side: both wait for the disk.
                extending = asyncio.create_task(
                    self.catalogue.extend_upload(key_hash, self._waits_until())
                )
                try:
                    await file.sync()
                finally:
                    await extending
        finally:
            await file.release()

    async def _find(self, key: str) -> tuple[UploadRecord, FileRecord]:
        found = await self.catalogue.find_upload(hash_of(key))
        if found is None:
            raise UploadNotKnown("there is no such upload; begin a new one")
        return found

    def _is_complete(self, record: UploadRecord, file: FileRecord) -> bool:
        return state_of(record, file, self.now()) is UploadState.COMPLETE

    def _require_expecting(self, record: UploadRecord, file: FileRecord) -> None:
        require_expecting(state_of(record, file, self.now()))

    def _waits_until(self) -> datetime:
        return self.now() + self.settings.keep_uploads

    def _growing(self, key: UploadKey, record: UploadRecord, file: GrowingFile) -> Upload:
        """Return an upload that a request has just written."""
        record = dataclasses.replace(record, expires_at=self._waits_until())
        return self._upload(key, record, file.record, file.link, file.length)

    async def _stored(
        self, key: str, record: UploadRecord, file: FileRecord, length: int | None = None
    ) -> Upload:
        """Return an upload as the catalogue has it; the length is known if it is whole."""
        links = await self.catalogue.find_links(file.id)
        return self._upload(
            key, record, file, links[0], (file.length or 0) if length is None else length
        )

    def _upload(
        self, key: str, record: UploadRecord, file: FileRecord, link: LinkRecord, length: int
    ) -> Upload:
        progress = progress_of(record, file, length, self.limits, self.now())
        return Upload(UploadKey(key), file, link, progress)
