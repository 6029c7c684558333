"""Running producers: any generator becomes an asynchronous source of bytes.

A synchronous generator runs in a thread of its own, from its first step to its last, and
stays a bounded way ahead of what is taken from it. It never runs as a response body: a slow
reader does not slow it, and a leaving reader does not leak it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Generic, TypeVar

from pydantic_core import to_json

from tailrace.errors import ProducerError
from tailrace.intake.producers.declared import Generated

Item = TypeVar("Item")

# How far a thread may be ahead of what is taken from it: as much again as one backlog of
# `fill`, whichever of the two is reached first.
AHEAD_ITEMS = 1024
AHEAD_BYTES = 1024 * 1024


async def content_of(generated: Generated[object]) -> AsyncGenerator[bytes]:
    """Yield the bytes that a producer yields, or its JSON values as NDJSON lines.

    The producer's generator is closed when this one is.

    Raises:
        ProducerError: the producer raised (its error is the cause), or yielded what is
            neither bytes nor JSON, or both kinds in one run.
    """
    is_records: bool | None = None
    async with aclosing(_items(generated)) as items:
        try:
            async for item in items:
                chunk = item if isinstance(item, bytes) else _line(item)
                if is_records is None:
                    is_records = chunk is not item
                elif is_records is (chunk is item):
                    raise ProducerError("it yielded bytes and records in one run")
                yield chunk
        except ProducerError:
            raise
        except Exception as exc:
            raise ProducerError(f"{type(exc).__name__}: {exc}") from exc


def _line(item: object) -> bytes:
    if isinstance(item, bytearray | memoryview):
        raise ProducerError(f"it yielded a {type(item).__name__}: yield bytes")
    try:
        return to_json(item) + b"\n"
    except ValueError as exc:
        raise ProducerError(f"it yielded a {type(item).__name__}: not bytes, not JSON") from exc


def _items(generated: Generated[Item]) -> AsyncGenerator[Item]:
    if isinstance(generated, AsyncIterator):
        return _awaited(generated)
    return _Ahead(generated).items()


async def _awaited(generated: AsyncIterator[Item]) -> AsyncGenerator[Item]:
    try:
        async for item in generated:
            yield item
    finally:
        if isinstance(generated, AsyncGenerator):
            await generated.aclose()


class _Ahead(Generic[Item]):
    """A generator that runs ahead in a thread of its own.

    When it is no longer wanted, the thread ends at the generator's next yield; nothing
    waits for that, because a generator that blocks cannot be interrupted.
    """

    def __init__(self, generator: Iterator[Item]) -> None:
        self._generator = generator
        self._items: list[Item] = []
        self._bytes = 0
        self._failure: BaseException | None = None
        self._has_ended = False
        self._is_wanted = True
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    async def items(self) -> AsyncGenerator[Item]:
        threading.Thread(target=self._run, name="tailrace-producer", daemon=True).start()
        try:
            while True:
                self._arrived.clear()
                items, has_ended = self._take()
                for item in items:
                    yield item
                if has_ended:
                    break
                if not items:
                    await self._arrived.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            with self._changed:
                self._is_wanted = False
                self._changed.notify()

    def _take(self) -> tuple[list[Item], bool]:
        with self._changed:
            items, self._items, self._bytes = self._items, [], 0
            self._changed.notify()
            return items, self._has_ended

    def _run(self) -> None:
        try:
            for item in self._generator:
                if not self._put(item):
                    break
        except BaseException as exc:  # raised again on the loop's side
            self._failure = exc
        finally:
            close = getattr(self._generator, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._has_ended = True
            self._wake()

    def _put(self, item: Item) -> bool:
        with self._changed:
            while self._is_wanted and (
                len(self._items) >= AHEAD_ITEMS or self._bytes >= AHEAD_BYTES
            ):
                self._changed.wait()
            if not self._is_wanted:
                return False
            was_empty = not self._items
            self._items.append(item)
            self._bytes += len(item) if isinstance(item, bytes) else 0
        if was_empty:
            self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._arrived.set)
