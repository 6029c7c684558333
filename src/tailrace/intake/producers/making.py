"""From a producer and its arguments to bytes, whatever kind of function it is.

    generator function ──────────────► its yields
    plain function ─► returns ─► bytes, a path, a file object, a command, or an iterator

What blocks runs in a thread of its own: such a function may take minutes, and a pool would
be full of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import stat
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from typing import Any, BinaryIO

from tailrace.errors import ProducerError
from tailrace.intake.producers.commands import Command, output_of_command
from tailrace.intake.producers.declared import AnyProducer
from tailrace.intake.producers.run import Run
from tailrace.intake.producers.running import content_of, our_errors

# What is read of a file at once.
_CHUNK_BYTES = 256 * 1024


async def content_made(
    producer: AnyProducer, arguments: Mapping[str, Any], run: Run
) -> AsyncGenerator[bytes]:
    """Yield the bytes that one run makes. What it holds is closed when this generator is.

    Raises:
        ProducerError: as `content_of`; or the function returned what makes no file.
    """
    with our_errors():
        made = await _called(lambda: producer.call(arguments, run), producer.blocks)
    async with aclosing(_content(made, run)) as content:
        async for chunk in content:
            yield chunk


async def _called(function: Callable[[], object], blocks: bool) -> object:
    made = await _in_thread(function) if blocks else function()
    return await made if inspect.isawaitable(made) else made


def _content(made: object, run: Run) -> AsyncGenerator[bytes]:
    if isinstance(made, bytes):
        return content_of(_of_bytes(made, run))
    if isinstance(made, os.PathLike):
        return content_of(_of_path(made, run))
    if isinstance(made, Command):
        return output_of_command(made, run)
    if isinstance(made, AsyncIterator):
        return content_of(made)
    if callable(getattr(made, "read", None)):  # before iterators: a file gives lines as one
        return content_of(_of_file(made))  # type: ignore[arg-type]  # as far as one can see
    if isinstance(made, Iterator):
        return content_of(made)
    raise ProducerError(
        f"it returned a {type(made).__name__}: return bytes, a path, a file object, a command"
        " or an iterator"
    )


async def _of_bytes(content: bytes, run: Run) -> AsyncIterator[bytes]:
    _promise(run, len(content))
    yield content


def _of_path(path: os.PathLike[str], run: Run) -> Iterator[bytes]:
    # Without waiting: to open a FIFO that nobody writes would block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ProducerError("it returned the path of something that is no regular file")
        _promise(run, status.st_size)
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            yield chunk
    finally:
        os.close(descriptor)


def _of_file(file: BinaryIO) -> Iterator[bytes]:
    with contextlib.closing(file):
        while chunk := file.read(_CHUNK_BYTES):
            if not isinstance(chunk, bytes):
                raise ProducerError("it returned a file object of text: open it in mode 'rb'")
            yield chunk


def _promise(run: Run, length: int) -> None:
    if run.length is None:
        run.length = length


async def _in_thread(function: Callable[[], object]) -> object:
    """Return what a function returns. If cancelled, leave at once; it cannot be stopped."""
    loop = asyncio.get_running_loop()
    returned: asyncio.Future[object] = loop.create_future()

    def settle(result: object, failure: BaseException | None) -> None:
        if returned.done():
            return  # nobody waits any more
        if failure is None:
            returned.set_result(result)
        elif isinstance(failure, Exception) and not isinstance(failure, StopIteration):
            returned.set_exception(failure)
        else:  # what a future cannot hold, or would take for its own end
            returned.set_exception(ProducerError(f"{type(failure).__name__}: {failure}"))

    def work() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as exc:
            failure = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name="tailrace-producer", daemon=True).start()
    return await returned
