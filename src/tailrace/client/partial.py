"""The partial file: where a download lands until it is proved to be whole.

    .NAME.CRC.part         the bytes, locked by the run that writes them
    .NAME.CRC.part.json    whose bytes they are, and which of them have landed

Both lie beside the target, so that publishing is a rename within one file system. CRC is of
the URL: the next run finds what this one left. The record is replaced, never
rewritten, and names bytes only after they are synced: a crash or a power cut may cost what
came after the newest record, but nothing is ever trusted that is not there.
"""

from __future__ import annotations

import fcntl
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.client.moves import Held, Representation
from tailrace.errors import StorageFull, StorageUnavailable, UnsafeTarget
from tailrace.no_room import NO_ROOM
from tailrace.protocol.validators import EntityTag
from tailrace.spans import Span

if TYPE_CHECKING:
    from tailrace.client.pipes import Pipe

# Of the 255 bytes that a name may have, what CRC, dots and suffixes leave over.
_LABEL_BYTES = 200


class Busy(UnsafeTarget):
    """Another run has the partial file."""


class Partial:
    """One partial file, open and locked.

    `held` is what an earlier run left of this URL, and `name` what the server had called
    it. It ends in `publish`, `remove` or, to be resumed, `close`.
    """

    def __init__(self, directory: Path, label: str, url: str) -> None:
        """Open the partial file of a URL, or make it.

        Raises:
            Busy: another run has it.
            UnsafeTarget: the directory takes no files, or something else has its name.
        """
        short_label = os.fsdecode(os.fsencode(label)[:_LABEL_BYTES])
        # No secret and no proof, for the record has the URL itself: a CRC will do.
        self.path = directory / f".{short_label}.{zlib.crc32(url.encode()):08x}.part"
        self._record_path = directory / f"{self.path.name}.json"
        self._url = url
        self.fd = _open_locked(self.path)
        self.held, self.name = self._load()
        try:
            # What lies beyond was never recorded, so it may be anything.
            os.ftruncate(self.fd, self.held.landed[-1].stop if self.held else 0)
        except BaseException:
            self.close()
            raise

    def discard(self) -> None:
        """Empty it, and forget whose bytes these were."""
        with _storage():
            if self._record_path.exists():
                self._record_path.unlink()
                # Or, after a power cut, the old record might speak of new bytes.
                _sync_directory(self._record_path.parent)
            os.ftruncate(self.fd, 0)

    def land(self, offset: int, content: memoryview) -> None:
        """Write bytes where they belong.

        Raises:
            StorageFull: there is no room.
            StorageUnavailable: the disk did not do its work.
        """
        with _storage():
            while content:
                written = os.pwrite(self.fd, content, offset)
                offset += written
                content = content[written:]

    def pour(self, pipe: Pipe, offset: int, length: int) -> None:
        """Do as `land` with the bytes that are in a pipe."""
        with _storage():
            pipe.pour(self.fd, offset, length)

    def record(
        self, name: str, representation: Representation, landed: tuple[Span, ...]
    ) -> None:
        """Write down what has landed. On return a later run can build upon it."""
        import json  # a small download needs none

        entity_tag = representation.entity_tag
        text = json.dumps(
            {
                "url": self._url,
                "name": name,
                "entity_tag": None if entity_tag is None else entity_tag.to_field(),
                "complete_length": representation.complete_length,
                "digests": {key: value.hex() for key, value in representation.digests.items()},
                "landed": [[span.start, span.stop] for span in landed],
            }
        )
        fresh_path = self._record_path.with_suffix(".new")
        with _storage():
            if landed:
                os.fsync(self.fd)
            # The URL may be a capability: not for other users of this machine.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(
                fresh_path, "w", opener=lambda path, _: os.open(path, flags, 0o600)
            ) as file:
                file.write(text)
            os.replace(fresh_path, self._record_path)

    def publish(self, target: Path, *, force: bool) -> None:
        """Sync it and give it its final name. On return that survives a power cut.

        Raises:
            UnsafeTarget: the name is taken, and `force` was not given, or it is not that of
                a regular file.
        """
        with _storage():
            os.fsync(self.fd)
            refuse_taken(target, force=force)
            if force:
                os.replace(self.path, target)
            else:
                self._link(target)
            self._record_path.unlink(missing_ok=True)
            _sync_directory(target.parent)

    def remove(self) -> None:
        """Delete it and close."""
        with _storage():
            self._record_path.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _link(self, target: Path) -> None:
        # A link fails where the name was taken a moment ago; a rename would replace it.
        try:
            os.link(self.path, target)
        except FileExistsError:
            refuse_taken(target, force=False)
            raise
        except OSError:
            # A file system without hard links (FAT, some network ones).
            os.rename(self.path, target)
        else:
            self.path.unlink()

    def _load(self) -> tuple[Held | None, str | None]:
        if not self._record_path.exists():
            return None, None
        import json

        try:
            record = json.loads(self._record_path.read_bytes())
            landed = tuple(Span(start, stop) for start, stop in record["landed"])
            if record["url"] != self._url or landed[-1].stop > os.fstat(self.fd).st_size:
                return None, None
            tag, complete_length = record["entity_tag"], record["complete_length"]
            representation = Representation(
                None if tag is None else EntityTag.from_field(tag),
                None if complete_length is None else int(complete_length),
                {key: bytes.fromhex(value) for key, value in record["digests"].items()},
            )
            return Held(representation, landed), str(record["name"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None, None  # none of ours


def refuse_taken(target: Path, *, force: bool) -> None:
    """Raise UnsafeTarget if nothing may be published under this name."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise UnsafeTarget(f"{target} cannot be written: {exc.strerror}") from exc
    if not force:
        raise UnsafeTarget(
            f"{target} exists already; give another name, or --force (force=True) to replace it"
        )
    if not stat.S_ISREG(mode):
        raise UnsafeTarget(f"{target} is not a regular file, and is not replaced")


def _open_locked(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except OSError as exc:
            raise UnsafeTarget(f"{path} cannot be written: {exc.strerror}") from exc
        try:
            _lock(fd, path)
            if _is_at(fd, path):
                return fd
            # Between our open and our lock its run has published or removed it.
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lock(fd: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise UnsafeTarget(f"{path} is not a regular file")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise Busy(f"another run is downloading this URL to {path}; wait for it") from exc


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise StorageFull(
                f"there is no room on the disk ({exc.strerror}); make some, and do the same"
                " again to resume"
            ) from exc
        raise StorageUnavailable(f"the disk failed: {exc}") from exc
