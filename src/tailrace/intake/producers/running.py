"""Running producers: any generator becomes an asynchronous source of bytes.

A synchronous generator runs in a thread of its own, from its first step to its last, and
stays a bounded way ahead of what is taken from it. It never runs as a response body: a slow
reader does not slow it, and a leaving reader does not leak it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

from pydantic_core import to_json

from tailrace.errors import ProducerError
from tailrace.intake.producers.declared import Generated

# How far a thread may be ahead of what is taken from it: as much again as one backlog of
# `fill`, whichever of the two is reached first.
AHEAD_CHUNKS = 1024
AHEAD_BYTES = 1024 * 1024

_log = logging.getLogger("tailrace.producers")


async def content_of(generated: Generated) -> AsyncGenerator[bytes]:
    """Yield the bytes that a producer yields, or its JSON values as NDJSON lines.

    The producer's generator is closed when this one is.

    Raises:
        ProducerError: the producer raised (its error is the cause), or yielded what is
            neither bytes nor JSON, or both kinds in one run.
    """
    async with aclosing(_chunks(generated)) as chunks:
        with our_errors():
            async for chunk in chunks:
                yield chunk


@contextlib.contextmanager
def our_errors() -> Iterator[None]:
    """Turn what a producer raises into ProducerError; its error is the cause."""
    try:
        yield
    except ProducerError:
        raise
    except (Exception, SystemExit) as exc:  # to end the service is not its to decide
        raise ProducerError(_sentence(exc)) from exc


def _sentence(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"


class _Encoder:
    """Makes bytes of what one run yields, and holds it to one kind."""

    def __init__(self) -> None:
        self._is_of_records: bool | None = None

    def chunk(self, item: object) -> bytes:
        is_record = not isinstance(item, bytes)
        if self._is_of_records is None:
            self._is_of_records = is_record
        elif self._is_of_records is not is_record:
            raise ProducerError("it yielded bytes and records in one run")
        return item if isinstance(item, bytes) else _line(item)


def _line(record: object) -> bytes:
    if isinstance(record, bytearray | memoryview):
        raise ProducerError(f"it yielded a {type(record).__name__}: yield bytes")
    try:
        # JSON has no NaN and no infinities (RFC 8259 §6); null is what JSON.stringify makes.
        return to_json(record, inf_nan_mode="null") + b"\n"
    except ValueError as exc:
        raise ProducerError(
            f"it yielded a {type(record).__name__}: not bytes, not JSON"
        ) from exc


def _chunks(generated: Generated) -> AsyncGenerator[bytes]:
    if isinstance(generated, AsyncIterator):
        return _awaited(generated)
    return _Ahead(generated).chunks()


async def _awaited(generated: AsyncIterator[object]) -> AsyncGenerator[bytes]:
    encoder = _Encoder()
    try:
        async for item in generated:
            yield encoder.chunk(item)
    finally:
        if isinstance(generated, AsyncGenerator):
            await generated.aclose()


class _Ahead:
    """A generator that runs ahead in a thread of its own.

    When it is no longer wanted, the thread ends at the generator's next yield; nothing
    waits for that, because a generator that blocks cannot be interrupted.
    """

    def __init__(self, generator: Iterator[object]) -> None:
        self._generator = generator
        self._encoder = _Encoder()
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._failure: BaseException | None = None
        self._has_ended = False
        self._is_wanted = True
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    async def chunks(self) -> AsyncGenerator[bytes]:
        threading.Thread(target=self._run, name="tailrace-producer", daemon=True).start()
        try:
            while True:
                self._arrived.clear()
                chunks, has_ended = self._take()
                for chunk in chunks:
                    yield chunk
                if has_ended:
                    break
                if not chunks:
                    await self._arrived.wait()
            if isinstance(self._failure, Exception):
                raise self._failure
            if self._failure is not None:
                # A CancelledError of the thread's would here pass for one of this task's.
                raise ProducerError(_sentence(self._failure)) from self._failure
        finally:
            with self._changed:
                self._is_wanted = False
                self._changed.notify()

    def _take(self) -> tuple[list[bytes], bool]:
        with self._changed:
            chunks, self._chunks, self._bytes = self._chunks, [], 0
            self._changed.notify()
            return chunks, self._has_ended

    def _run(self) -> None:
        try:
            self._generate()
        except BaseException as exc:
            self._failure = exc
        with self._changed:
            self._has_ended = True
            if self._failure is not None and not self._is_wanted:
                _log.warning("a producer failed when it was stopped", exc_info=self._failure)
        self._wake()

    def _generate(self) -> None:
        try:
            for item in self._generator:
                if not self._put(self._encoder.chunk(item)):
                    break
        finally:
            close = getattr(self._generator, "close", None)
            if close is not None:
                close()

    def _put(self, chunk: bytes) -> bool:
        with self._changed:
            while self._is_wanted and (
                len(self._chunks) >= AHEAD_CHUNKS or self._bytes >= AHEAD_BYTES
            ):
                self._changed.wait()
            if not self._is_wanted:
                return False
            was_empty = not self._chunks
            self._chunks.append(chunk)
            self._bytes += len(chunk)
        if was_empty:
            self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._arrived.set)
