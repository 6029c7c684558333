"""A blob as one file."""

import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.blobs import BlobState, BlobStatus
from tailrace.blobs.directory import inode
from tailrace.errors import (
    BlobAbandoned,
    BlobBusy,
    BlobMissing,
    BlobSealed,
    StorageUnavailable,
)

GROWING, SEALED, ABANDONED = BlobState.GROWING, BlobState.SEALED, BlobState.ABANDONED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "k1"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_growing_file_has_mode_600_and_a_sealed_one_400(path: Path) -> None:
    with inode.create(path) as file:
        assert mode(path) == 0o600
        inode.seal(path, file.fileno())
        assert mode(path) == 0o400


def test_the_inode_tells_the_three_states(path: Path) -> None:
    with inode.create(path) as file:
        os.write(file.fileno(), b"abc")
        assert inode.status(file.fileno()) == BlobStatus(GROWING, 3)
        assert inode.status_at(path) == BlobStatus(GROWING, 3)
        inode.unlink(path, file.fileno())
        assert inode.status(file.fileno()) == BlobStatus(ABANDONED, 3)
    with inode.create(path) as file:
        inode.seal(path, file.fileno())
        assert inode.status(file.fileno()) == BlobStatus(SEALED, 0)
        inode.unlink(path, file.fileno())
        assert inode.status(file.fileno()) == BlobStatus(SEALED, 0)


@pytest.mark.parametrize(
    ("widened", "state"), [(0o644, GROWING), (0o660, GROWING), (0o444, SEALED), (0o500, SEALED)]
)
def test_a_copy_with_wider_modes_is_still_read_right(
    path: Path, widened: int, state: BlobState
) -> None:
    path.write_bytes(b"abc")
    path.chmod(widened)
    assert inode.status_at(path) == BlobStatus(state, 3)


# --- locks ----------------------------------------------------------------------------------


def test_the_writer_holds_the_lock_until_its_file_is_closed(path: Path) -> None:
    with inode.create(path), pytest.raises(BlobBusy):
        inode.resume(path)
    with inode.resume(path), pytest.raises(BlobBusy):
        inode.resume(path)
    inode.resume(path).close()


def before_the_lock(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    flock = fcntl.flock

    def late_flock(descriptor: int, operation: int) -> None:
        act()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late_flock)


def test_resume_notices_a_seal_that_came_before_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode.create(path).close()
    before_the_lock(monkeypatch, lambda: path.chmod(0o400))
    with pytest.raises(BlobSealed):
        inode.resume(path)


def test_resume_notices_a_removal_that_came_before_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode.create(path).close()
    before_the_lock(monkeypatch, path.unlink)
    with pytest.raises(BlobMissing):
        inode.resume(path)


def test_a_new_blob_resumed_by_another_at_once_is_left_to_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def lost_flock(descriptor: int, operation: int) -> None:
        with path.open("rb") as holder:
            flock(holder.fileno(), operation)
            flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lost_flock)
    with pytest.raises(BlobBusy):
        inode.create(path)
    assert inode.status_at(path) == BlobStatus(GROWING, 0)


# --- modes that do not stay -----------------------------------------------------------------


def no_fchmod(descriptor: int, mode: int) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("fchmod", [lambda descriptor, mode: None, no_fchmod])
def test_a_file_system_without_modes_refuses_the_seal(
    path: Path, fchmod: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", fchmod)
    with (
        inode.create(path) as file,
        pytest.raises(StorageUnavailable, match="choose a directory on a POSIX file system"),
    ):
        inode.seal(path, file.fileno())
    assert inode.status_at(path).state is GROWING


def test_a_file_that_would_look_sealed_from_its_birth_is_not_made(path: Path) -> None:
    before = os.umask(0o200)
    try:
        with pytest.raises(StorageUnavailable, match="does not keep the modes"):
            inode.create(path)
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_user_who_may_not_open_a_sealed_file_to_write_is_told_that_it_is_sealed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path.touch(0o400)
    monkeypatch.setattr(os, "open", refuse)  # root would be let through
    with pytest.raises(BlobSealed):
        inode.resume(path)
    path.chmod(0o600)
    with pytest.raises(PermissionError):
        inode.resume(path)


# --- removals -------------------------------------------------------------------------------


def test_a_removed_blob_cannot_be_sealed(path: Path) -> None:
    with inode.create(path) as file:
        assert inode.remove(path) == 0
        with pytest.raises(BlobAbandoned):
            inode.seal(path, file.fileno())
        assert inode.status(file.fileno()).state is ABANDONED


def test_a_seal_that_a_removal_overtakes_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fchmod = os.fchmod

    def late_fchmod(descriptor: int, mode: int) -> None:
        assert inode.remove(path) == 0
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", late_fchmod)
    with inode.create(path) as file, pytest.raises(BlobAbandoned):
        inode.seal(path, file.fileno())


def test_remove_tells_the_length_of_what_it_abandoned(path: Path) -> None:
    assert inode.remove(path) is None
    with inode.create(path) as file:
        os.write(file.fileno(), b"abc")
    assert inode.remove(path) == 3
    assert inode.remove(path) is None


def test_a_sealed_file_is_removed_and_not_abandoned(path: Path) -> None:
    with inode.create(path) as file:
        inode.seal(path, file.fileno())
    assert inode.remove(path) is None
    assert not path.exists()


def test_unlink_spares_what_has_taken_the_name_since(path: Path) -> None:
    with inode.create(path) as file:
        inode.remove(path)
        path.write_bytes(b"another")
        inode.unlink(path, file.fileno())
    assert path.read_bytes() == b"another"


# --- strangers ------------------------------------------------------------------------------


def link_to_file(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(b"secret")
    path.symlink_to(target)


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    "put", [link_to_file, dangling_link, Path.mkdir, os.mkfifo, listening_socket]
)
def test_what_a_stranger_put_there_is_no_blob(
    path: Path, put: Callable[[Path], object]
) -> None:
    put(path)
    before = path.lstat()
    for use in (inode.open_to_read, inode.resume, inode.status_at):
        with pytest.raises(BlobMissing):
            use(path)
    with pytest.raises(BlobBusy):
        inode.create(path)
    assert inode.remove(path) is None
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)


def test_a_file_in_place_of_a_shard_holds_no_blobs(tmp_path: Path) -> None:
    (tmp_path / "k1").write_bytes(b"")
    path = tmp_path / "k1" / "k1"
    for use in (inode.open_to_read, inode.resume, inode.status_at):
        with pytest.raises(BlobMissing):
            use(path)
    assert inode.remove(path) is None
