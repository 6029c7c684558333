"""What a producer sees of its own run."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import MalformedField
from tailrace.intake.media_types import guess_media_type
from tailrace.protocol.media_types import parse_media_type


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run says it is, in units of its own."""

    done: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run says of its file."""

    name: str
    media_type: str
    length: int | None


class Run:
    """One run, as its producer sees it: a parameter with this type hint gets it.

        @producer
        def report(month: str, run: Run) -> Iterator[bytes]:
            run.name = f"report-{month}.csv"
            ...

    What is said of the file can be said until its first byte. It may be used from any thread.
    """

    def __init__(
        self, *, name: str, media_type: str | None, scratch: Path, attempt: int = 1
    ) -> None:
        """`media_type` None is that of the name."""
        self.attempt = attempt
        """1 for the first; more where the run was broken off, or failed and is tried again."""
        self._name = name
        self._media_type = media_type
        self._length: int | None = None
        self._scratch = scratch
        self._has_scratch = False
        self._progress: Progress | None = None
        self._has_begun = False
        self._is_cancelled = False
        self._changing = threading.Lock()

    # --- for the producer ---------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the file."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        with self._changing:
            self._require_no_byte("name")
            self._name = name

    @property
    def media_type(self) -> str:
        """The media type of the file; unless it was said, that of the name."""
        return self._media_type or guess_media_type(self._name)

    @media_type.setter
    def media_type(self, media_type: str) -> None:
        try:
            parsed = parse_media_type(media_type).to_field()
        except MalformedField as exc:
            raise ValueError(str(exc)) from exc
        with self._changing:
            self._require_no_byte("media type")
            self._media_type = parsed

    @property
    def length(self) -> int | None:
        """The length of the file in bytes, where it is promised; another one is a failure."""
        return self._length

    @length.setter
    def length(self, length: int) -> None:
        if length < 0:
            raise ValueError(f"a file cannot have {length} bytes")
        with self._changing:
            self._require_no_byte("length")
            self._length = length

    def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell those who watch how far it is; costs next to nothing."""
        self._progress = Progress(done, total, message)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the file any more; the next yield does not return then."""
        return self._is_cancelled

    @property
    def scratch(self) -> Path:
        """A directory of its own, made when it is first asked for, removed at the end."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._has_scratch = True
        return self._scratch

    # --- for whoever runs it ------------------------------------------------------------

    @property
    def told(self) -> Progress | None:
        """How far the producer last said that it is."""
        return self._progress

    def begin(self) -> Facts:
        """Return what was said of the file; from now on nothing more can be."""
        with self._changing:
            self._has_begun = True
            return Facts(self._name, self.media_type, self._length)

    def cancel(self) -> None:
        self._is_cancelled = True

    async def close(self) -> None:
        """End the run: it is no longer wanted, and its scratch directory goes.

        What a thread that cannot be stopped still puts there is removed by upkeep.
        """
        self.cancel()
        if self._has_scratch:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _require_no_byte(self, what: str) -> None:
        if self._has_begun:
            raise ValueError(f"the {what} of a file is said before its first byte")
