"""One attempt of a run: from the producer's bytes to a sealed file.

An attempt may find bytes of the one before. Those of a deterministic producer are made once
more, compared by their digest, and skipped; so the readers notice nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from tailrace.blobs.digest import RunningDigest
from tailrace.errors import ProducerError, TimeLimitExceeded
from tailrace.intake.growing_files import GrowingFile
from tailrace.intake.producers import AnyProducer, Run, content_made
from tailrace.protocol.disposition import safe_name


class NotReproduced(ProducerError):
    """A producer that is declared deterministic made other bytes than before."""


async def make(
    producer: AnyProducer,
    arguments: Mapping[str, Any],
    run: Run,
    file: GrowingFile,
    *,
    seconds: float,
) -> None:
    """Fill a file with what a producer makes within so many seconds, and seal it.

    Raises:
        NotReproduced: what the file has already is not what is made now.
        TimeLimitExceeded, ProducerError, LengthMismatch, LengthExceeded, StorageError: the
            file is growing still.
    """
    content = content_made(producer, arguments, run)
    try:
        async with asyncio.timeout(seconds), aclosing(content):
            if file.length:
                rest = _beyond(content, file)
            else:
                rest = _all(await _first(content), content)
                await _describe(producer, run, file)
            async with aclosing(rest):
                await file.fill(rest)
    except TimeoutError as exc:  # what a producer raises is a ProducerError
        raise TimeLimitExceeded(seconds) from exc
    await file.seal()


async def _describe(producer: AnyProducer, run: Run, file: GrowingFile) -> None:
    facts = run.begin()
    await file.describe(
        name=safe_name(facts.name, producer.name),
        media_type=facts.media_type,
        complete_length=facts.length,
    )


async def _first(content: AsyncGenerator[bytes]) -> bytes:
    """Return the first chunk that has bytes, or nothing at the end."""
    async for chunk in content:
        if chunk:
            return chunk
    return b""


async def _all(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _beyond(content: AsyncGenerator[bytes], file: GrowingFile) -> AsyncGenerator[bytes]:
    """Yield what comes after the bytes that the file has, if those are the same."""
    length = file.length
    there = await file.digest("sha-256")
    made = RunningDigest()
    async for chunk in content:
        again = chunk[: length - made.covered]
        await made.update(made.covered, [again])
        if made.covered == length:
            rest = chunk[len(again) :]
            break
    if made.covered < length or made.digest() != there:
        raise NotReproduced(f"the first {length} bytes are others than before")
    yield rest
    async for chunk in content:
        yield chunk
