"""Directories and names."""

import os
from pathlib import Path

import pytest

from tailrace.blobs import BlobKey
from tailrace.blobs.directory.shards import Shards, sync_directory


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and directories that were synced, in order."""
    paths: list[Path] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        fsync(descriptor)
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "fsync", recording)
    return paths


@pytest.mark.parametrize(("key", "place"), [("abc", "ab/abc"), ("ab", "ab/ab"), ("a", "a/a")])
def test_a_blob_lies_in_the_shard_of_its_first_two_signs(
    tmp_path: Path, key: str, place: str
) -> None:
    assert Shards(tmp_path).path(BlobKey(key)) == tmp_path / place


def test_what_is_no_key_has_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a blob key"):
        Shards(tmp_path).path(BlobKey("../etc"))


def test_a_store_stays_where_it_is_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shards = Shards(Path("blobs"))
    monkeypatch.chdir("/")
    assert shards.path(BlobKey("abc")) == tmp_path / "blobs/ab/abc"


def test_each_directory_that_is_made_is_made_durable(
    tmp_path: Path, synced: list[Path]
) -> None:
    path = tmp_path / "data/blobs/ab/abc"
    shards = Shards(tmp_path / "data/blobs")
    shards.make(path)
    assert path.parent.is_dir()
    assert synced == [tmp_path, tmp_path / "data", tmp_path / "data/blobs"]
    shards.make(path)
    assert synced == [tmp_path, tmp_path / "data", tmp_path / "data/blobs"]


def test_directories_are_nobody_elses_to_read(tmp_path: Path) -> None:
    Shards(tmp_path / "blobs").make(tmp_path / "blobs/ab/abc")
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "blobs/ab").stat().st_mode & 0o777 == 0o700


def test_a_name_is_synced_each_time_and_its_shard_once(
    tmp_path: Path, synced: list[Path]
) -> None:
    one, other = tmp_path / "ab/abc", tmp_path / "cd/cde"
    shards = Shards(tmp_path)
    shards.make(one)
    shards.make(other)
    synced.clear()
    for path in (one, one, other):
        shards.sync(path)
    assert synced == [tmp_path / "ab", tmp_path, tmp_path / "ab", tmp_path / "cd", tmp_path]


def test_a_shard_whose_sync_failed_is_synced_again(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(tmp_path)
    (tmp_path / "ab").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.read(-1, 1))
        with pytest.raises(OSError, match="Bad file descriptor"):
            shards.sync(tmp_path / "ab/abc")
    shards.sync(tmp_path / "ab/abc")
    assert synced == [tmp_path / "ab", tmp_path]


def test_only_directories_are_synced_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


def test_strangers_are_not_listed(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    for name in ["ab/abc", "ab/ab", "ab/abC", "ab/ab.tmp", "ab/xyz", "a/a", "toolong/toolong"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "ab/abdirectory").mkdir()
    (tmp_path / "ab/ablink").symlink_to("abc")
    (tmp_path / "zz").touch()
    listed = {
        shard.name: set(shards.list_keys(shard))
        for shard in shards.list_shards()
        if shards.list_keys(shard)
    }
    assert listed == {"ab": {"abc", "ab"}, "a": {"a"}}


def test_what_was_never_made_lists_as_empty(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "blobs")
    assert shards.list_shards() == []
    assert shards.list_keys(tmp_path / "blobs/ab") == []
