"""The service: all rooms put together. The only place that names concrete classes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tailrace.blobs import BlobStore
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.catalogue import Catalogue, FileId, FileRecord
from tailrace.catalogue.sql import open_catalogue
from tailrace.delivery import Proxy
from tailrace.errors import ConfigurationError, FileNotKnown, ProducerNotKnown, StorageFull
from tailrace.intake.files import Files
from tailrace.intake.jobs import Jobs
from tailrace.intake.jobs.embedded import CatalogueQueue
from tailrace.intake.producers import AnyProducer
from tailrace.intake.turns import Turns
from tailrace.intake.uploads import Uploads
from tailrace.intake.writers import Writers
from tailrace.links import Links
from tailrace.settings import Settings
from tailrace.upkeep import Duty, Upkeep

_SECRET_BYTES = 32

# Giving a file up takes some milliseconds, unless the disk is stuck.
_SECONDS_TO_GIVE_UP = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. `producers` may grow while it runs."""

    settings: Settings
    store: BlobStore
    catalogue: Catalogue
    links: Links
    files: Files
    uploads: Uploads
    jobs: Jobs
    now: Callable[[], datetime]
    producers: Mapping[str, AnyProducer]
    proxy: Proxy | None
    """The one in front that sends sealed files itself, if there is one."""

    def producer(self, name: str) -> AnyProducer:
        """Return a producer by its name.

        Raises:
            ProducerNotKnown: there is none.
        """
        try:
            return self.producers[name]
        except KeyError:
            raise ProducerNotKnown(name, sorted(self.producers)) from None

    async def file(self, file_id: str) -> FileRecord:
        """Return what is known of a file, ended or not.

        Raises:
            FileNotKnown: there is none.
        """
        file = await self.catalogue.find_file(FileId(file_id))
        if file is None:
            raise FileNotKnown(f"there is no file {file_id!r}")
        return file

    async def delete(self, file: FileRecord, reason: str = "it was deleted") -> None:
        """End a file now: no new reads; those under way of a sealed file finish."""
        try:
            await self.catalogue.end_file(file.id, reason=reason, at=self.now())
        except StorageFull:  # not even for this record, until the bytes are gone
            await self.store.remove(file.blob)
            await self.catalogue.end_file(file.id, reason=reason, at=self.now())
        job = self.jobs.find(file.id)
        if job is not None:
            job.cancel(reason)
        await self.store.remove(file.blob)


@asynccontextmanager
async def running(
    settings: Settings, producers: Mapping[str, AnyProducer]
) -> AsyncIterator[Service]:
    """Run a service; on leaving, every writer has ended and everything is closed.

    Raises (on entering):
        ConfigurationError: a setting cannot work here; the message says what to do.
    """
    directory = await asyncio.to_thread(_data_directory, settings.data)
    async with AsyncExitStack() as stack:
        syncs = settings.durability == "power"
        store = DirectoryBlobs(directory / "blobs", syncs=syncs)
        stack.push_async_callback(store.close)
        catalogue = await open_catalogue(settings.catalogue_url, durability=settings.durability)
        stack.push_async_callback(catalogue.close)
        secret = await asyncio.to_thread(_secret, directory / "secret")
        links = Links(catalogue, secret, _now)
        files = Files(store, catalogue, links.make, _now, settings)
        duty = await asyncio.to_thread(_duty, directory / "upkeep.lock")
        stack.callback(duty.end)
        upkeep = Upkeep(store, catalogue, _now, settings, duty.is_ours)
        await upkeep.begin()
        sweeping = asyncio.create_task(upkeep.run())
        stack.push_async_callback(_cancelled, sweeping)
        stack.push_async_callback(_all_ended, files.writers)
        jobs = await stack.enter_async_context(
            Jobs(
                files,
                CatalogueQueue(catalogue, _now),
                producers,
                at_once=settings.jobs,
                waiting=settings.waiting_jobs,
                grace_seconds=settings.grace_seconds,
            )
        )
        uploads = Uploads(files, store, catalogue, Turns(store), _now, settings)
        proxy = None
        if settings.proxy_sends is not None:
            proxy = Proxy(settings.proxy_sends, directory / "blobs", settings.proxy_location)
        yield Service(
            settings, store, catalogue, links, files, uploads, jobs, _now, producers, proxy
        )


def _now() -> datetime:
    return datetime.now(UTC)


async def _all_ended(writers: Writers) -> None:
    """Wait for requests that the server has just cut: they still give their files up."""
    with contextlib.suppress(TimeoutError):  # upkeep does it when the service starts again
        async with asyncio.timeout(_SECONDS_TO_GIVE_UP):
            await writers.ended()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _data_directory(data: str) -> Path:
    if "://" in data:
        scheme = data.partition("://")[0]
        raise ConfigurationError(
            f"data cannot rest in {scheme}:// yet; give the path of a directory"
        )
    directory = Path(data)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise ConfigurationError(
            f"the data directory {data!r} cannot be written ({exc.strerror}): make it"
            " writable for this user, or give another one"
        ) from exc
    return directory


def _duty(path: Path) -> Duty:
    try:
        return Duty(path)
    except OSError as exc:
        raise ConfigurationError(
            f"the file {path} cannot be opened ({exc.strerror}): make it a file that this"
            " user may write, or remove it while no service runs here"
        ) from exc


def _secret(path: Path) -> bytes:
    """Return the secret that link tokens come from; make it where there is none.

    Several processes may start at once: a link appears whole or not at all, and the first
    one counts for all.
    """
    try:
        secret = _read_private(path)
    except FileNotFoundError:
        draft = path.with_name(f".secret-{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(secrets.token_bytes(_SECRET_BYTES))
            f.flush()
            os.fsync(f.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first
        finally:
            draft.unlink()
        secret = _read_private(path)
    if len(secret) != _SECRET_BYTES:
        raise ConfigurationError(
            f"the file {path} is not what it was: restore it, or remove it, which ends the"
            " address of every link there is"
        )
    return secret


def _read_private(path: Path) -> bytes:
    """Read a file that must not be a link: whoever planted one would know what it says."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return file.read()
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise ConfigurationError(f"the file {path} is a link: remove it") from exc
        raise
