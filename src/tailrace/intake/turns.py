"""Whose turn it is to write an upload, in this process.

A client whose connection has died comes back on another one, long before the service learns
of the death. Then the earlier request is ended for the later one: it reads no more, what it
had read is kept, and it lets the file go as after any other cut.

    earlier   ──run(fill)──────────×──let go──┐
    later             ──end()──────┘          └──► its own turn

Two that write at once in good health are a fault of their client; `Turns.end_if_silent` tells
them apart from this. A writer in another process holds its blob, and nothing here ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tailrace.blobs import BlobKey, BlobStore
from tailrace.catalogue import FileId
from tailrace.errors import BlobBusy
from tailrace.intake.settling import ended

Result = TypeVar("Result")

# A sender that lives sends something within a second on almost any line; one that comes back
# has mostly waited longer.
_SILENT_SECONDS = 1.0


class Turn:
    """One request that may write one upload."""

    def __init__(self) -> None:
        self._reading: asyncio.Task[object] | None = None
        self._is_over = False
        self._has_let_go = asyncio.Event()

    async def run(self, reading: Coroutine[object, object, Result]) -> Result:
        """Run what another request may end, and return its result.

        Raises:
            BlobBusy: another request has ended it.
        """
        task = asyncio.create_task(reading)
        self._reading = task
        if self._is_over:
            task.cancel()
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            task.cancel()
            await ended(task)
            raise
        finally:
            self._reading = None
        if task.cancelled():
            raise BlobBusy("another request has taken this upload over")
        return task.result()

    async def end(self) -> None:
        """End it, and wait until it has let the file go."""
        self._is_over = True
        if self._reading is not None:
            self._reading.cancel()
        await self._has_let_go.wait()

    def let_go(self) -> None:
        self._has_let_go.set()


class Turns:
    """The turns under way."""

    def __init__(self, store: BlobStore, silent_seconds: float = _SILENT_SECONDS) -> None:
        self._store = store
        self._silent_seconds = silent_seconds
        self._under_way: dict[FileId, Turn] = {}

    @contextmanager
    def taking(self, file_id: FileId) -> Iterator[Turn]:
        """Note a turn for as long as the file is held; what wants it next waits for the end."""
        turn = Turn()
        self._under_way[file_id] = turn
        try:
            yield turn
        finally:
            if self._under_way.get(file_id) is turn:
                del self._under_way[file_id]
            turn.let_go()

    def is_under_way(self, file_id: FileId) -> bool:
        return file_id in self._under_way

    async def end(self, file_id: FileId) -> None:
        """End the turn that is under way, if there is one."""
        turn = self._under_way.get(file_id)
        if turn is not None:
            await turn.end()

    async def end_if_silent(self, file_id: FileId, blob: BlobKey, length: int) -> None:
        """End the turn that is under way, unless the blob grows beyond length in its hands.

        Raises:
            BlobBusy: it does.
            BlobMissing: there is no such blob.
        """
        async with self._store.open(blob) as reader:
            try:
                async with asyncio.timeout(self._silent_seconds):
                    await reader.wait_beyond(length)
            except TimeoutError:
                await self.end(file_id)
                return
        raise BlobBusy("another request is writing this upload")
