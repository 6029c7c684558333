"""Those who are writing now."""

from __future__ import annotations

import asyncio

from tailrace.blobs import BlobWriter


class Writers:
    """Those who are writing now, so that a service that stops can wait for their ends."""

    def __init__(self) -> None:
        # Not their files: the next writer of one may begin before the last is noted as gone.
        self._writing: set[BlobWriter] = set()
        self._none_left = asyncio.Event()

    def add(self, writer: BlobWriter) -> None:
        self._writing.add(writer)

    def remove(self, writer: BlobWriter) -> None:
        """Note that a writer has ended; may be repeated."""
        self._writing.discard(writer)
        if not self._writing:
            self._none_left.set()

    async def ended(self) -> None:
        """Wait until nobody is writing."""
        while self._writing:
            self._none_left.clear()
            await self._none_left.wait()
