"""Upkeep: what has ended is cleaned up, and what a crash left behind is put right.

Ends are written in the catalogue first and carried out here, so every step may be cut off
and done again: a record that has ended while its bytes are still there, or bytes that no
record knows, are found by the next round. So it does no harm either if two processes are at
it at once; that not each of several does the same work is what a `Duty` is for.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tailrace.blobs import BlobKey, BlobState, BlobStore
from tailrace.blobs.digest import RunningDigest
from tailrace.catalogue import Catalogue, FileRecord, JobRecord, UploadRecord
from tailrace.errors import (
    BlobBusy,
    BlobMissing,
    BlobSealed,
    StorageError,
    StorageFull,
)
from tailrace.settings import Settings

_log = logging.getLogger("tailrace.upkeep")

# One round works in portions, so that it holds neither the catalogue nor memory for long.
_PORTION = 500

# Only a crash leaves orphans, and to find them every blob is looked up.
_ROUNDS_TO_ORPHANS = 60


class Duty:
    """The right to do the rounds, which one process of a service has at a time.

    It is a locked file, which the kernel lets go of with the process that holds it.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = io.FileIO(
            str(path), "r+", opener=lambda name, _: os.open(name, flags, 0o600)
        )

    def is_ours(self) -> bool:
        """Take it if nobody has it; tell whether it is ours, which it then remains."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def end(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Upkeep:
    store: BlobStore
    catalogue: Catalogue
    now: Callable[[], datetime]
    settings: Settings
    is_our_duty: Callable[[], bool] = lambda: True

    async def begin(self) -> None:
        """Do what is due when a process starts: put right what one that died has left.

        That may have been a process of this same service, so it is not left to whose duty
        it is.
        """
        await self.sweep(orphans=self.is_our_duty())

    async def run(self) -> None:
        """Sweep again and again until cancelled; a failed round is logged and repeated."""
        for rounds in itertools.count(1):
            await asyncio.sleep(self.settings.sweep_seconds)
            try:
                if not self.is_our_duty():
                    continue
                await self.sweep(orphans=rounds % _ROUNDS_TO_ORPHANS == 0)
            except Exception:  # whatever it was, an end that is due must not wait for ever
                _log.exception("a round of upkeep failed; the next one goes on")

    async def sweep(self, *, orphans: bool = True) -> None:
        """Do one round: lost writers, what has expired, old records, bytes nobody knows."""
        await self._end_lost()
        await self._end_expired()
        await self._forget_old()
        if orphans:
            await self._remove_orphans()
            await self._remove_scratch()

    async def _end_lost(self) -> None:
        """Put right the growing files whose writer is gone.

        The store tells: a living writer, in this process or another, holds its blob.
        """
        growing = await self.catalogue.growing_files()
        jobs = {job.file_id: job for job in await self.catalogue.unfinished_jobs()}
        for file, upload in growing:
            with _going_on(f"file {file.id}"):
                try:
                    await self._end_if_lost(file, upload, jobs.get(file.id))
                except (BlobBusy, BlobSealed):
                    continue  # somebody is at it
                except BlobMissing:
                    newest = await self.catalogue.find_file(file.id)
                    if newest is not None and newest.blob == file.blob:
                        await self._abandon(file, "its bytes were lost")

    async def _end_if_lost(
        self, file: FileRecord, upload: UploadRecord | None, job: JobRecord | None
    ) -> None:
        if (await self.store.status(file.blob)).state is BlobState.SEALED:
            await self._finish_sealing(file)
        elif job is not None:
            # Whoever runs producers takes it up; but it may be that nobody has this one.
            if job.deadline_at <= self.now():
                await self._give_up(file, None, "it was not made by its deadline")
        elif upload is None or not self._waits(upload):
            await self._give_up(file, upload)

    async def _give_up(
        self, file: FileRecord, upload: UploadRecord | None, reason: str | None = None
    ) -> None:
        writer = await self.store.resume(file.blob)
        try:
            if upload is not None:
                # Only now: who wrote until just now has moved the moment of its end.
                found = await self.catalogue.find_upload(upload.key_hash)
                if found is not None and self._waits(found[0]):
                    return
            lost = f"its writer was lost after {writer.length} bytes"
            await self._abandon(file, reason or lost)
            await writer.abandon()
        finally:
            await writer.release()

    async def _finish_sealing(self, file: FileRecord) -> None:
        # A crash came between the seal of the blob and that of the record.
        async with self.store.open(file.blob) as reader:
            digest = None if self.settings.digest is None else RunningDigest()
            sha256 = await digest.complete(reader) if digest is not None else None
            length = reader.status.length
        await self.catalogue.seal_file(
            file.id, length=length, sha256=sha256, sealed_at=self.now()
        )

    async def _abandon(self, file: FileRecord, reason: str) -> None:
        _log.info("file %s is given up: %s", file.id, reason)
        await self.catalogue.abandon_file(file.id, reason=reason, at=self.now())

    async def _end_expired(self) -> None:
        while expired := await self.catalogue.expired_files(self.now(), limit=_PORTION):
            for file in expired:
                await self._end_expired_file(file)

    async def _end_expired_file(self, file: FileRecord) -> None:
        try:
            await self.catalogue.end_file(file.id, reason="it expired", at=self.now())
        except StorageFull:
            # Its time is over by the record in any case; with the bytes gone, the end of it
            # can be noted as well.
            await self.store.remove(file.blob)
            await self.catalogue.end_file(file.id, reason="it expired", at=self.now())
        with _going_on(f"file {file.id}"):
            await self.store.remove(file.blob)

    async def _forget_old(self) -> None:
        before = self.now() - self.settings.keep_records
        while await self.catalogue.forget_files(before, limit=_PORTION) == _PORTION:
            pass

    async def _remove_orphans(self) -> None:
        portion: list[BlobKey] = []
        async for key in self.store.keys():
            portion.append(key)
            if len(portion) == _PORTION:
                await self._remove_unknown(portion)
                portion = []
        await self._remove_unknown(portion)

    async def _remove_unknown(self, keys: list[BlobKey]) -> None:
        known = await self.catalogue.known_blobs(keys)
        for key in keys:
            if key not in known:
                with _going_on(f"blob {key}"):
                    await self._remove_if_orphan(key)

    async def _remove_if_orphan(self, key: BlobKey) -> None:
        # A blob is made before its record, and until then its writer holds it. So only
        # after a look at the writer is it certain that there will be no record.
        if await self._is_being_written(key) or await self.catalogue.known_blobs([key]):
            return
        if await self._is_sealed(key) and not await self.catalogue.recorded_blobs([key]):
            # No crash leaves this: its record comes before its seal, and stays for days. So
            # the catalogue may be a wrong or a lost one, and these may be somebody's files.
            _log.error(
                "blob %s is whole, but the catalogue has never heard of it: is it the right"
                " catalogue? If it is, remove the blob by hand",
                key,
            )
            return
        _log.info("blob %s belongs to no file; removing it", key)
        await self.store.remove(key)

    async def _remove_scratch(self) -> None:
        """Remove the scratch directories of runs that have ended; each has its file's id."""
        root = Path(self.settings.data) / "scratch"
        found = await asyncio.to_thread(_names_in, root)
        if found:  # looked for before: of what was begun since then nothing is removed
            growing = {file.id for file, _ in await self.catalogue.growing_files()}
            for name in found - growing:
                await asyncio.to_thread(shutil.rmtree, root / name, ignore_errors=True)

    async def _is_sealed(self, key: BlobKey) -> bool:
        try:
            return (await self.store.status(key)).state is BlobState.SEALED
        except BlobMissing:
            return False

    async def _is_being_written(self, key: BlobKey) -> bool:
        try:
            if (await self.store.status(key)).state is not BlobState.GROWING:
                return False
            writer = await self.store.resume(key)
        except BlobBusy:
            return True
        except (BlobMissing, BlobSealed):
            return False
        await writer.release()
        return False

    def _waits(self, upload: UploadRecord) -> bool:
        return upload.expires_at is not None and upload.expires_at > self.now()


def _names_in(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    """Log a failure of the store at one thing, and go on to the others."""
    try:
        yield
    except StorageError:
        _log.exception("upkeep failed at %s; the next round tries again", what)
