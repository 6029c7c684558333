"""What one request does to a growing file, as its command says."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

from tailrace.errors import DigestMismatch, LengthExceeded, OffsetMismatch
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.reasons import failure_reason
from tailrace.protocol.digests import Digests
from tailrace.protocol.uploads import Append, Create


@asynccontextmanager
async def whole_or_nothing(file: GrowingFile) -> AsyncIterator[None]:
    """Give a file up if anything fails meanwhile."""
    try:
        yield
    except BaseException as exc:
        await file.abandon(failure_reason(exc, file.length))
        raise


async def append_content(
    file: GrowingFile, source: AsyncIterable[bytes], command: Create | Append
) -> None:
    """Append the content of a request; none of it, if it is not what it was to be."""
    if command.content_digests:
        await file.fill_verified(source, command.content_digests)
    else:
        await file.fill(source)


async def finish(file: GrowingFile, expected: Digests) -> None:
    """End a file as whole, if it has these digests.

    Raises:
        DigestMismatch: it has another; it is still growing.
    """
    for algorithm, digest in expected.items():
        actual = await file.digest(algorithm)
        if actual != digest:
            raise DigestMismatch(algorithm, digest.hex(), actual.hex())
    await file.seal()


def has_promised_length(file: GrowingFile) -> bool:
    return file.length == file.record.complete_length


def refuse_wrong_offset(command: Append, length: int) -> None:
    if command.offset != length:
        raise OffsetMismatch(length, command.offset)


def refuse_overlong(command: Append, file: GrowingFile) -> None:
    """Refuse what is declared to be more than was promised, before any of it is taken."""
    promised = file.record.complete_length
    if promised is None or command.content_length is None:
        return
    if command.offset + command.content_length > promised:
        raise LengthExceeded(promised, command.offset + command.content_length)
