"""Commands whose standard output is a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import CommandFailed, ProducerError
from tailrace.intake.producers.child import output_of
from tailrace.intake.producers.run import Run

# What is told of standard error; the rest is in the log.
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run for a file: what it writes on its standard output.

    `arguments` begin with the program. No shell reads them, so that nothing in them is more
    than text; yet an argument that a request gives may begin with "-": put it behind "--".
    `content` is its standard input. `environment` is added to that of the service. It runs
    in `directory`, by default the scratch directory of its run. Any exit status but 0 is a
    failure, and what it wrote last on standard error the reason.
    """

    arguments: Sequence[str]
    content: bytes = b""
    environment: Mapping[str, str] | None = None
    directory: Path | None = None


async def output_of_command(command: Command, run: Run) -> AsyncGenerator[bytes]:
    """Yield what a command writes; it is killed, with its group, when this is closed.

    Raises:
        CommandFailed: it could not be started, or failed.
    """
    directory = command.directory or await asyncio.to_thread(lambda: run.scratch)
    output = output_of(
        command.arguments,
        command.content,
        directory=directory,
        environment=command.environment,
    )
    try:
        async with aclosing(output) as blocks:
            async for block in blocks:
                yield block
    except ProducerError as exc:
        raise CommandFailed(_last_lines(str(exc))) from exc


def _last_lines(complaint: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in complaint)
    words = " ".join(printable.split())
    return words if len(words) <= _REASON_CHARACTERS else f"…{words[-_REASON_CHARACTERS:]}"
