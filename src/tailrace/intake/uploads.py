"""Uploads: commands of any dialect, carried out. An upload is a remote writer at an offset.

What must come in one request (a form, a PUT, a plain POST) is abandoned if it breaks off:
nobody has the key to go on. What was begun to be continued keeps what came, until
`keep_uploads` after its last byte.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

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
    BlobBusy,
    DigestMismatch,
    LengthExceeded,
    MalformedField,
    OffsetMismatch,
    UploadNotKnown,
)
from tailrace.intake.files import Files, GrowingFile, failure_reason
from tailrace.intake.media_types import OCTET_STREAM, guess_media_type
from tailrace.intake.settling import settled
from tailrace.protocol import digests, structured
from tailrace.protocol.digests import Digests
from tailrace.protocol.uploads import Append, Create, Limits, Progress
from tailrace.protocol.uploads.upload import UploadEvent, UploadState, advance
from tailrace.settings import Settings

# It goes out in a field with every answer. Names have at most 127 characters on each side
# of the slash (RFC 6838 §4.2), which leaves room for parameters.
_LONGEST_MEDIA_TYPE = 512

UploadKey = NewType("UploadKey", str)
"""The right to write one file: 128 random bits, known to the catalogue by hash only."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is being uploaded, as far as it has come."""

    key: UploadKey
    file: FileRecord
    link: LinkRecord
    progress: Progress


@dataclass(frozen=True, slots=True)
class Uploads:
    files: Files
    store: BlobStore
    catalogue: Catalogue
    now: Callable[[], datetime]
    settings: Settings

    @property
    def limits(self) -> Limits:
        return Limits(length=self.settings.file_limit, lifetime=self.settings.keep_uploads)

    async def create(self, command: Create, source: AsyncIterable[bytes]) -> Upload:
        """Begin a file and append the content of the request.

        Raises:
            LengthExceeded: more was promised, or came, than is taken.
            LengthMismatch: less came than was promised.
            DigestMismatch: the whole is not what it was to be; nothing is kept.
        """
        key = UploadKey(secrets.token_urlsafe(16))
        promised = command.complete_length
        if promised is None and command.is_complete:
            promised = command.content_length
        now = self.now()
        file = await self.files.begin(
            name=command.name,
            media_type=_media_type_of(command),
            origin=Origin.UPLOAD,
            complete_length=promised,
            upload=lambda file_id: UploadRecord(
                key_hash=_hash_of(key),
                file_id=file_id,
                created_at=now,
                expires_at=None if command.is_complete else now + self.settings.keep_uploads,
                repr_digest=_field_of(command.digests),
            ),
        )
        if command.is_complete:
            await self._take_whole(file, source, command.digests)
        else:
            await self._take_part(file, source, _hash_of(key))
        return self._upload(key, file)

    async def append(self, key: str, command: Append, source: AsyncIterable[bytes]) -> Upload:
        """Append the content of a request at the offset it names.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it takes no more.
            OffsetMismatch: the offset is not the next; nothing was taken.
            BlobBusy: another request is writing.
            DigestMismatch: the whole is not what it was to be; nothing is kept.
        """
        upload, record = await self._find(key)
        if _repeats_the_end(command, record):
            return await self.get(key)
        advance(self._state(upload, record), UploadEvent.APPEND_BEGUN)
        file = await self.files.resume(record)
        try:
            if command.offset != file.length:
                raise OffsetMismatch(file.length, command.offset)
            if command.complete_length is not None:
                await file.promise(command.complete_length)
            _refuse_overlong(command, file)
            await file.fill(source)
            if command.is_complete:
                expected = digests.parse(upload.repr_digest or "", "Repr-Digest")
                await self._finish(file, expected)
            return self._upload(key, file)
        except DigestMismatch as exc:
            await file.abandon(failure_reason(exc, file.length))
            raise
        finally:
            await self._pause(file, upload.key_hash)

    async def get(self, key: str) -> Upload:
        """Return an upload as far as it has come; the offset told survives a power cut.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it was given up.
            BlobBusy: a request is writing.
        """
        upload, record = await self._find(key)
        if record.state is FileState.SEALED and record.ended_at is None:
            links = await self.catalogue.find_links(record.id)
            return Upload(UploadKey(key), record, links[0], self._progress(record))
        advance(self._state(upload, record), UploadEvent.APPEND_BEGUN)
        file = await self.files.resume(record)
        try:
            await file.sync()
            return self._upload(key, file)
        finally:
            await file.release()

    async def look(self, key: str) -> Upload:
        """Return an upload as far as it has come, also while a request is writing.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it was given up.
        """
        try:
            return await self.get(key)
        except BlobBusy:
            _, record = await self._find(key)
            length = (await self.store.status(record.blob)).length
            links = await self.catalogue.find_links(record.id)
            return Upload(UploadKey(key), record, links[0], self._progress(record, length))

    async def cancel(self, key: str) -> None:
        """Give an upload up and free its bytes.

        Raises:
            UploadNotKnown, UploadEnded: there is no such upload, or it has ended already.
        """
        upload, record = await self._find(key)
        advance(self._state(upload, record), UploadEvent.CANCELLED)
        await settled(self._cancel(record))

    async def _cancel(self, record: FileRecord) -> None:
        await self.catalogue.abandon_file(
            record.id, reason="its upload was cancelled", at=self.now()
        )
        await self.store.remove(record.blob)

    async def _take_whole(
        self, file: GrowingFile, source: AsyncIterable[bytes], expected: Digests
    ) -> None:
        try:
            await file.fill(source)
            await self._finish(file, expected)
        except BaseException as exc:
            await file.abandon(failure_reason(exc, file.length))
            raise

    async def _take_part(
        self, file: GrowingFile, source: AsyncIterable[bytes], key_hash: bytes
    ) -> None:
        try:
            await file.fill(source)
        finally:
            await self._pause(file, key_hash)

    async def _pause(self, file: GrowingFile, key_hash: bytes) -> None:
        """Let go of the file. Unless it has ended, it waits for more from now on."""
        await settled(self._let_go(file, key_hash))

    async def _let_go(self, file: GrowingFile, key_hash: bytes) -> None:
        try:
            if file.record.state is FileState.GROWING:
                await file.sync()
                await self.catalogue.extend_upload(
                    key_hash, self.now() + self.settings.keep_uploads
                )
        finally:
            await file.release()

    async def _finish(self, file: GrowingFile, expected: Digests) -> None:
        for algorithm, digest in expected.items():
            actual = await file.digest(algorithm)
            if actual != digest:
                raise DigestMismatch(algorithm, digest.hex(), actual.hex())
        await file.seal()

    async def _find(self, key: str) -> tuple[UploadRecord, FileRecord]:
        found = await self.catalogue.find_upload(_hash_of(key))
        if found is None:
            raise UploadNotKnown("there is no such upload; begin a new one")
        return found

    def _state(self, upload: UploadRecord, file: FileRecord) -> UploadState:
        if file.state is FileState.SEALED:
            return UploadState.COMPLETE
        if file.state is FileState.ABANDONED or file.ended_at is not None:
            return UploadState.CANCELLED
        if upload.expires_at is not None and upload.expires_at <= self.now():
            return UploadState.EXPIRED
        return UploadState.EXPECTING

    def _upload(self, key: str, file: GrowingFile) -> Upload:
        progress = self._progress(file.record, file.length)
        return Upload(UploadKey(key), file.record, file.link, progress)

    def _progress(self, file: FileRecord, length: int | None = None) -> Progress:
        return Progress(
            offset=(file.length or 0) if length is None else length,
            is_complete=file.state is FileState.SEALED,
            complete_length=file.complete_length,
            limits=self.limits,
        )


def _refuse_overlong(command: Append, file: GrowingFile) -> None:
    """Refuse what is declared to be more than was promised, before any of it is taken."""
    promised = file.record.complete_length
    if promised is None or command.content_length is None:
        return
    if command.offset + command.content_length > promised:
        raise LengthExceeded(promised, command.offset + command.content_length)


def _media_type_of(command: Create) -> str:
    if command.media_type is not None and len(command.media_type) > _LONGEST_MEDIA_TYPE:
        raise MalformedField(
            "Content-Type", command.media_type, f"at most {_LONGEST_MEDIA_TYPE} characters"
        )
    # A client that says "some bytes" has not looked; the name may tell more.
    if command.media_type in (None, OCTET_STREAM):
        return guess_media_type(command.name)
    return command.media_type


def _repeats_the_end(command: Append, file: FileRecord) -> bool:
    return (
        file.state is FileState.SEALED
        and command.is_complete
        and command.offset == file.length
        and command.content_length == 0
    )


def _field_of(given: Digests) -> str | None:
    members = {str(name): structured.Item(digest) for name, digest in given.items()}
    return structured.serialize_dictionary(members) if members else None


def _hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
