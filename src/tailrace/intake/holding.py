"""Content that is held back until it is known to be what its sender says.

Bytes that a blob has are never taken away from it again, and its readers may have them the
moment they are there. So content with a digest of its own waits in a blob of its own. That
blob has no record: one that a crash leaves behind is an orphan, and upkeep removes it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tailrace.blobs import BlobKey, BlobReader, BlobStore
from tailrace.blobs.digest import RunningDigest
from tailrace.errors import ContentDigestMismatch
from tailrace.intake.fill import fill
from tailrace.intake.settling import settled
from tailrace.protocol.uploads import ContentDigest


@asynccontextmanager
async def held(
    store: BlobStore,
    source: AsyncIterable[bytes],
    expected: Sequence[ContentDigest],
    *,
    limit: int,
) -> AsyncIterator[BlobReader]:
    """Give all that a source gives, once it has each of the digests; at least one is expected.

    Raises (on entering):
        ContentDigestMismatch: it has another.
        LengthExceeded: there is more of it than the limit.
    """
    key = BlobKey(secrets.token_hex(16))
    writer = await settled(store.create(key), undo=lambda writer: writer.abandon())
    try:
        running = {each: RunningDigest(each.algorithm) for each in expected}
        await fill(writer, source, next(iter(running.values())), limit=limit)
        async with store.open(key) as reader:
            for each, digest in running.items():
                actual = await digest.complete(reader)
                if actual != each.digest:
                    raise ContentDigestMismatch(each.algorithm, each.digest.hex(), actual.hex())
            yield reader
    finally:
        await settled(writer.abandon())
