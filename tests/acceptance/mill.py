"""Producers that the tests hold back and let go, by making a file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import tailrace


@tailrace.producer(media_type="text/plain", name="gated.txt")
async def gated(gate: str) -> AsyncIterator[bytes]:
    """Give a line at once, and another when the file `gate` is there."""
    yield b"first\n"
    # It is opened from another process.
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    yield b"last\n"


@tailrace.producer(media_type="text/plain", name="steady.txt", deterministic=True)
async def steady(gate: str) -> AsyncIterator[bytes]:
    """Give the same, and the same again."""
    async for line in gated(gate):
        yield line


@tailrace.producer(media_type="text/plain", name="cancelled.txt", on_disconnect="cancel")
async def cancelled(gate: str) -> AsyncIterator[bytes]:
    """Give the same to a reader who stays."""
    async for line in gated(gate):
        yield line


@tailrace.producer(media_type="text/plain", name="failing.txt")
async def failing(gate: str) -> AsyncIterator[bytes]:
    """Give a line, and fail when the file `gate` is there."""
    async for line in gated(gate):
        if line == b"last\n":
            raise RuntimeError("the mill broke")
        yield line


@tailrace.producer
def sleeping() -> tailrace.Command:
    """Tell the id of a process that sleeps."""
    return tailrace.Command(["sh", "-c", "echo $$; exec sleep 600"])
