"""The n-th step on the disk fails, for n = 1, 2, 3... until a run passes untouched.

A step is a call of the system by which the directory store changes something, or a commit of
the catalogue. Whatever fails: what was acknowledged is there, an upload can be gone on with or
says why not, and nothing is left open, locked or lying about.
"""

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine.default import DefaultDialect

from tailrace.blobs.directory import DirectoryBlobs
from tailrace.catalogue import FileState
from tailrace.errors import StorageError, UploadEnded, UploadNotKnown
from tailrace.protocol.uploads import Append, Concatenate, ContentDigest, Create
from tailrace.upkeep import Upkeep

pytestmark = pytest.mark.anyio

WHOLE = b"abcdefgh"

# By which the directory store changes the disk; of opening, that which makes a file.
SYSTEM_CALLS = [
    *("open", "mkdir", "pwritev", "pwrite", "copy_file_range", "fsync", "fchmod", "unlink"),
]


@dataclass
class Disk:
    """Counts its steps, and fails at one, or from one on."""

    fails_at: int = 0
    stays_broken: bool = False
    number: int = errno.EIO
    steps: int = 0
    has_failed: bool = False

    def break_at(self, step: int, number: int, *, stays_broken: bool) -> None:
        self.steps, self.has_failed = 0, False
        self.fails_at, self.number, self.stays_broken = step, number, stays_broken

    def repair(self) -> None:
        self.fails_at = 0

    def step(self) -> bool:
        """Tell whether this one fails."""
        if not self.fails_at:
            return False
        self.steps += 1
        fails = self.steps == self.fails_at or (self.stays_broken and self.has_failed)
        self.has_failed |= fails
        return fails


@pytest.fixture
def disk(monkeypatch, tmp_path):
    disk = Disk()

    def failing(call, is_step=lambda *_: True):
        def step(*arguments, **more):
            if is_step(*arguments) and disk.step():
                raise OSError(disk.number, os.strerror(disk.number))
            return call(*arguments, **more)

        return step

    for name in SYSTEM_CALLS:
        is_step = (lambda path, *_: is_ours(path)) if name == "open" else lambda *_: True
        monkeypatch.setattr(os, name, failing(getattr(os, name), is_step))
    monkeypatch.setattr(fcntl, "flock", failing(fcntl.flock))

    def is_ours(path):
        return Path(os.fsdecode(path)).is_relative_to(tmp_path / "blobs")

    commit = DefaultDialect.do_commit

    def do_commit(dialect, connection):
        if disk.step():
            full = disk.number == errno.ENOSPC
            raise sqlite3.OperationalError(
                "database or disk is full" if full else "disk I/O error"
            )
        commit(dialect, connection)

    monkeypatch.setattr(DefaultDialect, "do_commit", do_commit)
    return disk


@dataclass
class Client:
    """What a client knows of its uploads, by their keys."""

    room: object
    acknowledged: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    cancelling: set[str] = field(default_factory=set)

    async def create(self, *chunks, **facts):
        facts = {"is_complete": False, "complete_length": None, "digests": {}} | facts
        command = Create(name="a.txt", media_type=None, content_length=None, **facts)
        return self._note(await self.room.uploads.create(command, content(*chunks)))

    async def append(self, key, *chunks, is_complete=False, **facts):
        command = Append(
            offset=self.acknowledged[key],
            complete_length=None,
            is_complete=is_complete,
            content_length=None,
            **facts,
        )
        return self._note(await self.room.uploads.append(key, command, content(*chunks)))

    async def ask(self, key):
        return self._note(await self.room.uploads.get(key))

    async def join(self, *keys):
        command = Concatenate(name="a.txt", media_type=None, digests={}, parts=keys, notes=())
        return self._note(await self.room.uploads.concatenate(command))

    async def cancel(self, key):
        self.cancelling.add(key)
        await self.room.uploads.cancel(key)

    def _note(self, upload):
        assert upload.progress.offset >= self.acknowledged.get(upload.key, 0)
        self.acknowledged[upload.key] = upload.progress.offset
        if upload.progress.is_complete:
            self.done.add(upload.key)
        return upload.key


async def content(*chunks):
    for chunk in chunks:
        yield chunk


async def at_once(client):
    await client.create(WHOLE, is_complete=True, digests={"sha-256": sha256(WHOLE)})


async def by_and_by(client):
    key = await client.create(b"abc", complete_length=len(WHOLE))
    await client.append(key, b"d", b"e")
    await client.ask(key)
    await client.append(key, b"fgh", is_complete=True)


async def verified(client):
    key = await client.create()
    for piece in (b"abcd", b"efgh"):
        digest = ContentDigest("sha-256", sha256(piece))
        await client.append(
            key, piece, is_complete=piece.endswith(b"h"), content_digests=(digest,)
        )


async def joined(client):
    parts = [
        await client.create(piece, complete_length=len(piece), is_partial=True)
        for piece in (b"abcd", b"efgh")
    ]
    await client.join(*parts)


async def cancelled(client):
    key = await client.create(b"abc")
    await client.cancel(key)


def sha256(content):
    return hashlib.sha256(content).digest()


def open_files():
    return sorted(
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}")
    )


@pytest.mark.parametrize(
    ("number", "stays_broken"),
    [(errno.EIO, False), (errno.ENOSPC, True)],
    ids=["EIO_once", "ENOSPC_for_a_while"],
)
@pytest.mark.parametrize("way", [at_once, by_and_by, verified, joined, cancelled])
async def test_whichever_step_fails_nothing_acknowledged_is_lost(
    room, tmp_path, disk, way, number, stays_broken
):
    open_before = None
    for step in itertools.count(0):  # the first run is untouched, and opens what stays open
        # A store of its own, so that each run makes and syncs its directories.
        root = tmp_path / "blobs" / str(step)
        room.store = DirectoryBlobs(root)
        room._turns = None
        client = Client(room)
        disk.break_at(step, number, stays_broken=stays_broken)
        with contextlib.suppress(StorageError):
            await way(client)
        disk.repair()
        await room.writers.ended()
        for key in set(client.acknowledged):
            await check_upload(client, key)
        await Upkeep(room.store, room.catalogue, room.clock, room.settings).sweep()
        await room.check()
        for file in await room.records():
            await room.catalogue.end_file(file.id, reason="the run is over", at=room.clock.now)
            await room.store.remove(file.blob)
        for file, _ in await room.catalogue.growing_files():
            await room.catalogue.end_file(file.id, reason="the run is over", at=room.clock.now)
        await room.store.close()
        open_after = open_files()
        assert open_before in (None, open_after)
        open_before = open_after
        if step > 0 and not disk.has_failed:
            assert step > 3
            return


async def check_upload(client, key):
    """Go on with an upload, or see that it has ended, and why."""
    room = client.room
    try:
        upload = await room.uploads.get(key)
    except (UploadEnded, UploadNotKnown):
        assert key in client.cancelling
        return
    assert key not in client.done or upload.progress.is_complete
    offset = upload.progress.offset
    assert offset >= client.acknowledged[key]
    kept = await room.content(upload.file.blob)
    assert WHOLE.startswith(kept) or kept == b"efgh"
    assert len(kept) == offset
    if upload.progress.is_complete or upload.file.complete_length == 4:
        return
    client.acknowledged[key] = offset
    await client.append(key, WHOLE[offset:], is_complete=True)
    whole = await room.uploads.get(key)
    assert whole.file.state is FileState.SEALED
    assert whole.file.sha256 == sha256(WHOLE)
    assert await room.content(whole.file.blob) == WHOLE
