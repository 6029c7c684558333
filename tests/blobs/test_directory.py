"""The directory store on a system that fails, and beside other processes."""

import asyncio
import errno
import fcntl
import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tailrace.blobs import BlobKey, BlobState, BlobStatus, BlobStore
from tailrace.blobs.directory import DirectoryBlobs
from tailrace.errors import (
    BlobBusy,
    BlobMissing,
    BlobSealed,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from tailrace.spans import Span

pytestmark = pytest.mark.anyio

KEY = BlobKey("k1")
GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED

CALLS: list[tuple[ModuleType, str]] = [
    (os, "open"),
    (os, "mkdir"),
    (os, "fstat"),
    (fcntl, "flock"),
    (os, "pwritev"),
    (os, "pread"),
    (os, "preadv"),
    (os, "fsync"),
    (os, "fchmod"),
    (os, "unlink"),
]


# --- what is synced, and in which order -----------------------------------------------------


class Record:
    """The calls to the system that change something, each with the path it changed."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self._root = root
        for module, name in CALLS:
            if name in ("open", "mkdir", "pwritev", "fsync", "fchmod", "unlink"):
                patch.setattr(module, name, self._recording(name, getattr(module, name)))

    def _recording(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recording(target: Any, *args: Any) -> Any:
            result = call(target, *args)
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            if name != "open" or args[0] & os.O_CREAT:
                self.calls.append((name, os.path.relpath(path, self._root)))
            return result

        return recording


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    return Record(tmp_path, monkeypatch)


async def test_bytes_mode_and_names_are_synced_in_the_right_order(
    tmp_path: Path, record: Record
) -> None:
    store = DirectoryBlobs(tmp_path / "blobs")

    writer = await store.create(KEY)
    assert record.calls == [
        ("mkdir", "blobs"),
        ("fsync", "."),
        ("mkdir", "blobs/k1"),
        ("fsync", "blobs"),
        ("open", "blobs/k1/k1"),
        ("fsync", "blobs/k1"),
        ("fsync", "blobs"),
    ]

    record.calls.clear()
    await writer.append(0, [b"abc"])
    assert record.calls == [("pwritev", "blobs/k1/k1")]

    record.calls.clear()
    await writer.sync()
    assert record.calls == [("fsync", "blobs/k1/k1")]

    record.calls.clear()
    await writer.seal()
    assert record.calls == [
        ("fsync", "blobs/k1/k1"),
        ("fchmod", "blobs/k1/k1"),
        ("fsync", "blobs/k1/k1"),
        ("fsync", "blobs/k1"),
    ]

    record.calls.clear()
    await (await store.create(BlobKey("k12"))).release()
    assert record.calls == [("open", "blobs/k1/k12"), ("fsync", "blobs/k1")]
    await store.close()


async def test_a_store_that_does_not_sync_syncs_no_file_and_no_name(
    tmp_path: Path, record: Record
) -> None:
    (tmp_path / "k1").mkdir()
    store = DirectoryBlobs(tmp_path, syncs=False)
    writer = await store.create(KEY)
    await writer.append(0, [b"abc"])
    await writer.release()
    writer = await store.resume(KEY)
    assert await writer.sync() == 3
    await writer.seal()
    assert await store.status(KEY) == BlobStatus(BlobState.SEALED, 3)
    assert [call for call in record.calls if call[0] == "fsync"] == []
    await store.close()


async def test_resume_syncs_the_name_that_a_dead_process_may_not_have_synced(
    tmp_path: Path, record: Record
) -> None:
    (tmp_path / "k1").mkdir()
    (tmp_path / "k1/k1").touch(0o600)
    store = DirectoryBlobs(tmp_path)
    record.calls.clear()
    writer = await store.resume(KEY)
    assert record.calls == [("fsync", "k1"), ("fsync", ".")]
    await writer.release()
    await store.close()


# --- each call fails once, or from then on ---------------------------------------------------

WHOLE = b"abcdefghi"


class Faults:
    """Lets the n-th call to the system fail, and all after it if the fault lasts."""

    def __init__(
        self, nth: int, number: int, *, lasts: bool, patch: pytest.MonkeyPatch
    ) -> None:
        self.failed: list[str] = []
        self._count = 0
        self._nth = nth
        self._number = number
        self._lasts = lasts
        for module, name in CALLS:
            patch.setattr(module, name, self._failing(name, getattr(module, name)))

    def _failing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*args: Any) -> Any:
            self._count += 1
            if self._count == self._nth or (self._lasts and self._count > self._nth):
                self.failed.append(name)
                raise OSError(self._number, os.strerror(self._number))
            return call(*args)

        return failing


async def write_whole(store: BlobStore) -> None:
    writer = await store.create(KEY)
    try:
        await writer.append(0, [WHOLE[:3], WHOLE[3:6]])
        await writer.sync()
        await writer.append(6, [WHOLE[6:]])
        await writer.seal()
    finally:
        await writer.release()


async def read_whole(store: BlobStore) -> None:
    async with store.open(KEY) as reader:
        assert await reader.read(Span(0, len(WHOLE))) == WHOLE


async def failure(work: Coroutine[Any, Any, None]) -> StorageError | None:
    try:
        await work
    except StorageError as error:
        return error
    return None


def left(path: Path) -> BlobState | None:
    """Check that a growing prefix, nothing, or the sealed whole is left; say which."""
    if not path.exists():
        return None
    match stat.S_IMODE(path.stat().st_mode):
        case 0o600:
            assert WHOLE.startswith(path.read_bytes())
            return GROWING
        case 0o400:
            assert path.read_bytes() == WHOLE
            return SEALED
        case mode:
            pytest.fail(f"mode {mode:o}")


async def go_on(store: BlobStore, state: BlobState | None) -> None:
    if state is SEALED:
        with pytest.raises(BlobSealed):
            await store.resume(KEY)
    else:
        writer = await (store.resume(KEY) if state else store.create(KEY))
        await writer.append(writer.length, [WHOLE[writer.length :]])
        await writer.seal()
    await read_whole(store)


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EIO, StorageUnavailable), (errno.ENOSPC, StorageFull)]
)
async def test_whichever_call_fails_nothing_is_broken(
    tmp_path: Path,
    open_files: Callable[[], list[str]],
    number: int,
    expected: type[StorageError],
    lasts: bool,
) -> None:
    seen: set[str] = set()
    states: set[BlobState | None] = set()
    for nth in itertools.count(1):
        root = tmp_path / str(nth)
        store = DirectoryBlobs(root)
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(nth, number, lasts=lasts, patch=patch)
            error = await failure(write_whole(store))
        assert type(error) is (expected if faults.failed else type(None))
        assert open_files() == []
        states.add(state := left(root / "k1/k1"))
        await go_on(store, state)
        await store.close()
        seen.update(faults.failed)
        if not faults.failed:
            break
    assert seen >= {"open", "mkdir", "fstat", "flock", "pwritev", "fsync", "fchmod"}
    assert states == {None, GROWING, SEALED}


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("is_at_hand", [True, False])
async def test_whichever_call_fails_a_reader_leaves_nothing_open(
    tmp_path: Path,
    open_files: Callable[[], list[str]],
    lasts: bool,
    is_at_hand: bool,
    request: pytest.FixtureRequest,
) -> None:
    if not is_at_hand:
        request.getfixturevalue("nothing_at_hand")
    store = DirectoryBlobs(tmp_path, threads=1)
    await write_whole(store)
    seen: set[str] = set()
    for nth in itertools.count(1):
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(nth, errno.EIO, lasts=lasts, patch=patch)
            error = await failure(read_whole(store))
        assert type(error) in (StorageUnavailable, type(None))
        await store.status(KEY)  # after the close that it may have left to the one thread
        assert open_files() == []
        seen.update(faults.failed)
        if not faults.failed:
            break
    await store.close()
    assert seen >= {"fstat", "preadv"} if is_at_hand else {"open", "fstat", "preadv"}


# --- other processes ------------------------------------------------------------------------

OTHER_PROCESS = """
import asyncio, pathlib, sys
from tailrace.blobs.directory import DirectoryBlobs

async def main():
    store = DirectoryBlobs(pathlib.Path(sys.argv[1]))
    writer = None
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        match command:
            case "create" | "resume":
                writer = await getattr(store, command)("k1")
            case "append":
                await writer.append(writer.length, [argument.encode()])
            case _:
                await getattr(writer, command)()
        print(command, flush=True)
    await store.close()

asyncio.run(main())
"""


class OtherProcess:
    """A writer in another process, which carries out one command after the there."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def begin(self, *commands: str) -> None:
        for command in commands:
            self._process.stdin.write(command + "\n")

    def do(self, *commands: str) -> None:
        self.begin(*commands)
        for command in commands:
            assert self._process.stdout.readline().split() == command.split()[:1]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[OtherProcess]:
    there = OtherProcess(tmp_path)
    yield there
    there.kill()


async def test_what_a_killed_writer_had_appended_is_there_to_be_resumed(
    tmp_path: Path, there: OtherProcess
) -> None:
    store = DirectoryBlobs(tmp_path)
    there.do("create", "append abc")
    with pytest.raises(BlobBusy):
        await store.resume(KEY)
    there.kill()
    assert await store.status(KEY) == BlobStatus(GROWING, 3)
    writer = await store.resume(KEY)
    assert await writer.append(3, [b"def"]) == 6
    await writer.seal()
    assert (tmp_path / "k1/k1").read_bytes() == b"abcdef"
    await store.close()


async def test_a_reader_here_follows_a_writer_there_to_its_seal(
    tmp_path: Path, there: OtherProcess
) -> None:
    store = DirectoryBlobs(tmp_path, poll_seconds=0.002)
    there.do("create")
    async with store.open(KEY) as reader:
        content = b""
        for part in (b"one", b"two", b"three"):
            wait = asyncio.create_task(reader.wait_beyond(len(content)))
            await asyncio.sleep(0)
            there.begin(f"append {part.decode()}")
            assert await wait == BlobStatus(GROWING, len(content + part))
            content += await reader.read(Span(len(content), reader.status.length))
        there.begin("seal")
        assert await reader.wait_beyond(len(content)) == BlobStatus(SEALED, len(content))
    assert content == b"onetwothree"
    await store.close()


async def test_a_reader_here_learns_that_a_writer_there_gave_up(
    tmp_path: Path, there: OtherProcess
) -> None:
    store = DirectoryBlobs(tmp_path, poll_seconds=0.002)
    there.do("create", "append abc")
    async with store.open(KEY) as reader:
        there.begin("abandon")
        assert await reader.wait_beyond(3) == BlobStatus(ABANDONED, 3)
        assert await reader.read(Span(0, 3)) == b"abc"
    with pytest.raises(BlobMissing):
        await store.status(KEY)
    await store.close()


async def test_a_follower_outlives_the_writer_it_follows(
    tmp_path: Path, there: OtherProcess
) -> None:
    store = DirectoryBlobs(tmp_path, poll_seconds=0.002)
    there.do("create", "append abc")
    async with store.open(KEY) as reader:
        wait = asyncio.create_task(reader.wait_beyond(3))
        await asyncio.sleep(0)
        there.kill()
        writer = await store.resume(KEY)
        await writer.append(3, [b"def"])
        assert await wait == BlobStatus(GROWING, 6)
        await writer.seal()
        assert await reader.wait_beyond(6) == BlobStatus(SEALED, 6)
        assert await reader.read(Span(0, 6)) == b"abcdef"
    await store.close()
