"""Uploads that are parts of a file, and the file that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.blobs import BlobKey, BlobStore
from tailrace.catalogue import FileRecord, UploadRecord
from tailrace.errors import PartNotReady
from tailrace.intake.growing_files import GrowingFile


@dataclass(frozen=True, slots=True)
class Part:
    key_hash: bytes
    blob: BlobKey
    length: int


async def whole_part(
    place: int, upload: UploadRecord, file: FileRecord, store: BlobStore
) -> Part:
    """Return the part that an upload is; `place`, from 1, says which of several.

    Raises:
        PartNotReady: it is not whole yet, or was not begun as a part.
    """
    if not upload.is_partial:
        raise PartNotReady(f"upload {place} of those to be joined was not begun as a part")
    length = (await store.status(file.blob)).length
    if length != file.complete_length:
        promised = file.complete_length
        of_all = "" if promised is None else f" of {promised}"
        raise PartNotReady(
            f"upload {place} of those to be joined has {length}{of_all} bytes;"
            " send the rest, then join"
        )
    return Part(upload.key_hash, file.blob, length)


async def join(parts: Sequence[Part], store: BlobStore, file: GrowingFile) -> None:
    """Append the content of parts to a file; they stay as they are.

    Raises:
        LengthExceeded: together they are more than is taken.
    """
    for part in parts:
        async with store.open(part.blob) as reader:
            await file.take(reader)
