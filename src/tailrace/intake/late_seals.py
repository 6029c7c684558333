"""Seals that the catalogue has not heard of.

A blob is sealed before its record is. If the catalogue fails in between, the file is whole and
its record says that it grows, until the next round of upkeep; or until its client asks.
"""

from __future__ import annotations

from tailrace.catalogue import FileRecord, FileState
from tailrace.errors import BlobMissing, FileEnded
from tailrace.intake.files import Files


async def finish_sealing(files: Files, record: FileRecord) -> None:
    """Note that a file is whole whose blob is sealed; whoever sealed it could not.

    Raises:
        FileEnded: it was deleted meanwhile.
    """
    await files.sha256(record)  # whoever is about to note it in this process does so first
    newest = await files.catalogue.find_file(record.id)
    if newest is None or newest.state is not FileState.GROWING:
        return
    digest = None if files.settings.digest is None else files.digests.take(record.blob)
    try:
        async with files.store.open(record.blob) as reader:
            sha256 = None if digest is None else await digest.complete(reader)
            length = reader.status.length
    except BlobMissing as exc:
        raise FileEnded("this file takes no more bytes") from exc
    await files.catalogue.seal_file(
        record.id, length=length, sha256=sha256, sealed_at=files.now()
    )
