"""The directories of a directory store, and the names in them.

    root/<first two of key>/<key>

A name survives a power cut once the directory it stands in was synced, and so on upwards.
Two signs make at most 36 + 36 * 36 shards: a million blobs are some 800 a directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from tailrace.blobs.contract import BlobKey
from tailrace.blobs.keys import KEY_FORM, checked


class Shards:
    """The directories below one root. Its methods block; they may run in any thread."""

    def __init__(self, root: Path, *, syncs: bool = True) -> None:
        self._root = root.absolute()  # so that a later chdir does not move the store
        self._syncs = syncs
        self._synced: set[Path] = set()

    def path(self, key: BlobKey) -> Path:
        """Return where the blob of a key lies.

        Raises:
            ValueError: it is no key.
        """
        return Path(self.name(key))

    def name(self, key: BlobKey) -> str:
        """Return the same as text, which costs a fifth; likewise."""
        return f"{self._root}/{checked(key)[:2]}/{key}"

    def make(self, path: Path) -> None:
        """Make the directory that a blob is to lie in, and those above it."""
        _make_directory(path.parent)

    def sync(self, path: Path) -> None:
        """Make the name of a blob survive a power cut, unless this store does without."""
        if not self._syncs:
            return
        shard = path.parent
        sync_directory(shard)
        # Once for each shard and process: whoever made it may have died before its sync.
        if shard not in self._synced:
            sync_directory(self._root)
            self._synced.add(shard)

    def list_shards(self) -> list[Path]:
        try:
            with os.scandir(self._root) as entries:
                return [Path(entry.path) for entry in entries if len(entry.name) <= 2]
        except FileNotFoundError:
            return []

    def list_keys(self, shard: Path) -> list[BlobKey]:
        """Return the keys of the blobs in one shard, without the files of strangers."""
        try:
            with os.scandir(shard) as entries:
                return [
                    BlobKey(entry.name)
                    for entry in entries
                    if KEY_FORM.fullmatch(entry.name)
                    and entry.name[:2] == shard.name
                    and entry.is_file(follow_symlinks=False)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_directory(path.parent)
        _make_directory(path)
        return
    sync_directory(path.parent)
