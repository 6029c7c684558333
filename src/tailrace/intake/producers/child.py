"""One child process: content goes in whole, bytes come out as they are made.

The child leads a process group of its own, so that a Ctrl-C on the terminal reaches it only
through us. It never outlives the generator that reads it: however that ends, the child is
killed at once and reaped. Should this process die first, the child meets a broken pipe.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import TypeVar, cast

from tailrace.errors import ProducerError

Result = TypeVar("Result")

STDOUT, STDERR = 1, 2

# What may lie here unread before the child is made to wait; as much as Linux keeps in a pipe.
UNREAD_BYTES = 64 * 1024

# The end of standard error that is kept as the reason: a sentence, or a short traceback.
COMPLAINT_BYTES = 4 * 1024


async def output_of(
    command: Sequence[str],
    content: bytes,
    *,
    stall_seconds: float | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[bytes]:
    """Run command with content on its standard input and yield its standard output.

    Blocks hold all that has come since the one before. The child waits while its output is
    not taken; that is no stall. `environment` is added to ours.

    Raises:
        ProducerError: the child could not be started, gave no sign for stall_seconds, or
            ended with another status than 0; what it wrote on standard error is the reason.
    """
    child = await _start(command, content, directory, environment)
    try:
        try:
            while block := await _within(stall_seconds, child.take()):
                yield block
            await _within(stall_seconds, child.ended.wait())
        except TimeoutError as exc:
            raise ProducerError(
                f"the child process gave no sign for {stall_seconds} seconds"
            ) from exc
        if child.status != 0:
            raise ProducerError(child.reason)
    finally:
        child.end()
        await child.ended.wait()


async def _start(
    command: Sequence[str],
    content: bytes,
    directory: Path | None,
    environment: Mapping[str, str] | None,
) -> _Child:
    loop = asyncio.get_running_loop()
    try:
        # A file, not a pipe: nothing is left to be written when the child ends early.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(content)
            stdin.seek(0)
            # Not asyncio's Process: it cannot let go of its pipes without reading them out.
            _, child = await loop.subprocess_exec(
                _Child,
                *command,
                stdin=stdin,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                cwd=directory,
                env=None if environment is None else {**os.environ, **environment},
            )
    except (OSError, ValueError) as exc:  # ValueError: a NUL in an argument
        raise ProducerError(f"{command[0]} cannot be started: {exc}") from exc
    return child


async def _within(seconds: float | None, awaited: Coroutine[object, object, Result]) -> Result:
    # Not wait_for: before Python 3.12 it may swallow a cancellation (cpython #86296).
    async with asyncio.timeout(seconds):
        return await awaited


class _Child(asyncio.SubprocessProtocol):
    """The loop's side of the child. `end` needs no loop, so no second cancellation leaks it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        """Set when the child is reaped and its pipes are closed."""
        self.status: int | None = None
        self._blocks: list[bytes] = []
        self._unread = 0
        self._is_paused = False
        self._output_has_ended = False
        self._complaint = b""
        self._arrived = asyncio.Event()

    async def take(self) -> bytes:
        """Return all output that was not taken yet, waiting for some; empty at the end."""
        while not self._blocks and not self._output_has_ended:
            self._arrived.clear()
            await self._arrived.wait()
        block, self._blocks, self._unread = b"".join(self._blocks), [], 0
        if self._is_paused:
            self._is_paused = False
            self._pipe(STDOUT).resume_reading()
        return block

    def end(self) -> None:
        """Kill what lives of the child's group, and close its pipes."""
        if self.ended.is_set():
            return
        # Once the child is reaped, its id may be another's; not so while one of its group
        # holds the pipe.
        if self._transport.get_returncode() is None or not self._output_has_ended:
            # Not Transport.kill: it may reap the child behind the loop's back (it polls).
            with suppress(ProcessLookupError, PermissionError):  # a zombie; macOS denies
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
        self._pipe(STDOUT).close()
        self._pipe(STDERR).close()

    @property
    def reason(self) -> str:
        """What standard error says of the end, or else the status."""
        complaint = self._complaint.decode(errors="replace").strip()
        if complaint:
            return complaint
        if self.status is not None and self.status < 0:
            return f"the child process was ended by {signal.Signals(-self.status).name}"
        return f"the child process ended with status {self.status}"

    def _pipe(self, descriptor: int) -> asyncio.ReadTransport:
        return cast(asyncio.ReadTransport, self._transport.get_pipe_transport(descriptor))

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == STDERR:
            self._complaint = (self._complaint + data)[-COMPLAINT_BYTES:]
            return
        self._blocks.append(data)
        self._unread += len(data)
        if self._unread >= UNREAD_BYTES and not self._is_paused:
            self._is_paused = True
            self._pipe(STDOUT).pause_reading()
        self._arrived.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == STDOUT:
            self._output_has_ended = True
            self._arrived.set()

    def process_exited(self) -> None:
        self.status = self._transport.get_returncode()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport.close()
        self.ended.set()
