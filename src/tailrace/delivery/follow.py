"""Following a blob to its end, whenever that is."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tailrace.blobs import BlobReader, BlobState
from tailrace.errors import BlobAbandoned
from tailrace.spans import Span

# While it grows the blob may be given up, and whoever is behind learns of that after a span.
_LONGEST_WHILE_GROWING = 8 * 1024 * 1024


async def follow(reader: BlobReader, start: int) -> AsyncGenerator[Span]:
    """Yield spans from start on, each all that is new, until the blob is sealed.

    Three endings, never confused: the iteration ends (sealed), BlobAbandoned is raised
    (the writer gave up, or sealed the blob before it ever reached start), or the caller
    leaves and closes the generator.
    """
    offset = start
    while True:
        status = reader.status
        if status.state is BlobState.ABANDONED:
            raise BlobAbandoned(f"the writer gave up at offset {status.length}")
        if offset < status.length:
            stop = status.length
            if status.state is BlobState.GROWING:
                stop = min(stop, offset + _LONGEST_WHILE_GROWING)
            yield Span(offset, stop)
            offset = stop
        elif status.state is BlobState.GROWING:
            await reader.wait_beyond(offset)
        elif offset > status.length:
            raise BlobAbandoned(f"it ended at offset {status.length}, before {start}")
        else:
            return
