"""What is uploaded: a file, or a stream whose end nobody knows.

Either gives its bytes in portions that can be sent again from any offset: a file is one, of a
stream each is kept in a temporary file until the next is read.
"""

from __future__ import annotations

import hashlib
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from tailrace.client.following import FollowingDigest
from tailrace.client.streams import WAKE_SECONDS
from tailrace.errors import SourceChanged, TransferError
from tailrace.spans import Span

# As large as tus clients commonly send at a time; what a cut can make us send again.
_PORTION = 8 * 1024 * 1024

_PIECE = 256 * 1024

# What comes in drops is sent on when it pauses, so that those who follow see it at once.
_PAUSE_MS = 50


@dataclass(frozen=True, slots=True)
class Portion:
    """Bytes of the source, which are in `fd` from the offset `at` on."""

    fd: int
    span: Span
    at: int


class Source(Protocol):
    @property
    def length(self) -> int | None:
        """How long it is; None where that is not known before the end."""

    def portions(self) -> Iterator[Portion]:
        """Give all of it, in order; each portion is gone when the next is asked for."""

    def advance(self, offset: int) -> None:
        """Note that the bytes below an offset have been sent."""

    def finish(self) -> bytes:
        """Return the SHA-256 of all that was sent.

        Raises:
            SourceChanged: it is not what it was at first.
        """


class FileSource:
    """A regular file, from its first byte."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._state = _state(fd)
        self.length: int = os.fstat(fd).st_size
        self._digest = FollowingDigest(fd, {"sha-256"})

    def portions(self) -> Iterator[Portion]:
        yield Portion(self.fd, Span(0, self.length), 0)

    def advance(self, offset: int) -> None:
        self._digest.advance(offset)

    def finish(self) -> bytes:
        self.require_unchanged()
        try:
            return self._digest.finish(self.length)["sha-256"]
        finally:  # what is shorter now cannot be read to its end either
            self.require_unchanged()

    def require_unchanged(self) -> None:
        if _state(self.fd) != self._state:
            raise SourceChanged(
                "the file changed while it was sent, so the upload was given up;"
                " send it again when nobody writes to it"
            )

    def close(self) -> None:
        self._digest.stop()


class StreamSource:
    """What comes from a descriptor until its end, such as standard input."""

    length = None

    def __init__(self, fd: int) -> None:
        import tempfile  # no file needs one

        self._fd = fd
        self._kept = tempfile.TemporaryFile(buffering=0)
        self._digest = hashlib.sha256()

    def portions(self) -> Iterator[Portion]:
        offset = 0
        while length := self._keep():
            yield Portion(self._kept.fileno(), Span(offset, offset + length), 0)
            offset += length

    def advance(self, offset: int) -> None:
        pass  # hashed when it was read

    def finish(self) -> bytes:
        return self._digest.digest()

    def close(self) -> None:
        self._kept.close()

    def _keep(self) -> int:
        """Keep what comes next, instead of what was kept; return its length, 0 at the end."""
        arrival = select.poll()
        arrival.register(self._fd, select.POLLIN)
        length = 0
        while not arrival.poll(WAKE_SECONDS * 1000):
            pass
        while length < _PORTION and (length == 0 or arrival.poll(_PAUSE_MS)):
            piece = os.read(self._fd, min(_PIECE, _PORTION - length))
            if not piece:
                break
            os.pwrite(self._kept.fileno(), piece, length)
            self._digest.update(piece)
            length += len(piece)
        return length


@contextmanager
def opened(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[FileSource | StreamSource]:
    """Give what is to be sent; a path must be that of a regular file."""
    if is_path := isinstance(source, str | os.PathLike):
        # O_NONBLOCK, or opening a FIFO would wait for its writer.
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    else:
        fd = source.fileno()
    try:
        is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if is_path and not is_regular:
            raise TransferError("this is not a regular file; a stream is sent when it is open")
        found = FileSource(fd) if is_regular else StreamSource(fd)
        try:
            yield found
        finally:
            found.close()
    finally:
        if is_path:
            os.close(fd)


def _state(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns
