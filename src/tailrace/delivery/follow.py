"""Reading a blob to its end, whenever that is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from tailrace.blobs import BlobReader, BlobState
from tailrace.errors import BlobAbandoned
from tailrace.spans import Span


async def follow(
    reader: BlobReader, start: int, chunk_length: Callable[[], int]
) -> AsyncGenerator[bytes]:
    """Yield the bytes from start on as they come, until the blob is sealed.

    Three endings, never confused: the iteration ends (sealed), BlobAbandoned is raised
    (the writer gave up, or sealed the blob before it ever reached start), or the caller
    leaves and closes the generator. `chunk_length` tells before each read how long a chunk
    may be now.
    """
    offset = start
    while True:
        status = reader.status
        if status.state is BlobState.ABANDONED:
            raise BlobAbandoned(f"the writer gave up at offset {status.length}")
        if offset < status.length:
            stop = min(offset + chunk_length(), status.length)
            yield await reader.read(Span(offset, stop))
            offset = stop
        elif status.state is BlobState.GROWING:
            await reader.wait_beyond(offset)
        elif offset > status.length:
            raise BlobAbandoned(f"it ended at offset {status.length}, before {start}")
        else:
            return
