"""Uploads that were not finished, remembered from one run to the next.

    <directory>/<fingerprint>    JSON: where the upload is, and its link

The fingerprint is of the service, the name and a sample of the bytes, so a file that was moved
goes on as well. Two files of one fingerprint are not mixed: the digest of the whole is held
against it in the end. Who has the address of an upload may write it, so nobody else may read
these files. They are locked by who uses them.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tailrace.spans import Span

# Up to a megabyte all bytes count, beyond that these many samples.
_SAMPLES = 16
_SAMPLE = 64 * 1024

# No service keeps an unfinished upload as long, by default.
_KEPT_SECONDS = 30 * 24 * 3600


def state_directory() -> Path:
    """Return where the XDG Base Directory Specification wants such things."""
    given = os.environ.get("XDG_STATE_HOME") or ""
    home = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return home / "tailrace" / "uploads"


def fingerprint(fd: int, length: int, *context: str | None) -> str:
    """Return what tells one upload of a file from others, in hexadecimal."""
    digest = hashlib.sha256(json.dumps([length, *context]).encode())
    for span in _samples(length):
        digest.update(os.pread(fd, span.stop - span.start, span.start))
    return digest.hexdigest()


def _samples(length: int) -> Iterator[Span]:
    if length <= _SAMPLES * _SAMPLE:
        yield Span(0, length)
        return
    for number in range(_SAMPLES):
        start = (length - _SAMPLE) * number // (_SAMPLES - 1)
        yield Span(start, start + _SAMPLE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upload is."""

    location: str
    link: str


class Unfinished:
    """What is remembered of one upload; without a file, nothing."""

    def __init__(self, path: Path, file: io.FileIO | None) -> None:
        self._path = path
        self._file = file

    @classmethod
    def none(cls) -> Unfinished:
        return cls(Path(), None)

    @property
    def is_kept(self) -> bool:
        return self._file is not None

    def recall(self) -> Place | None:
        if self._file is None:
            return None
        try:
            kept = json.loads(os.pread(self._file.fileno(), 65536, 0))
            return Place(str(kept["location"]), str(kept["link"]))
        except (ValueError, KeyError, TypeError):  # new, or cut off by a crash
            return None

    def remember(self, place: Place) -> None:
        if self._file is None:
            return
        kept = json.dumps({"location": place.location, "link": place.link}).encode()
        os.truncate(self._file.fileno(), 0)
        os.pwrite(self._file.fileno(), kept, 0)

    def forget(self) -> None:
        if self._file is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()


@contextmanager
def unfinished(directory: Path, name: str) -> Iterator[Unfinished]:
    """Give what is remembered under a name.

    Where that cannot be kept, or another run is at it, nothing is remembered.
    """
    path = directory / name
    file = _lock(path)
    if file is None:
        yield Unfinished.none()
        return
    with file:
        _remove_old(directory)
        kept = Unfinished(path, file)
        try:
            yield kept
        finally:
            if kept.recall() is None:
                kept.forget()


def _lock(path: Path) -> io.FileIO | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        file = io.FileIO(str(path), "r+", opener=lambda name, _: os.open(name, flags, 0o600))
    except OSError:  # nobody has to have a home that can be written
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink > 0:  # else another run has just finished it
            return file
    except OSError:
        pass
    file.close()
    return None


def _remove_old(directory: Path) -> None:
    before = time.time() - _KEPT_SECONDS
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_mtime < before:
                os.unlink(entry.path)
