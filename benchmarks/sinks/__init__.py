"""The clients: small programs in C, so that what is measured is the server.

Each is built with the system's compiler when it is first run. `get` throws content away in
the kernel (MSG_TRUNC) unless it is told to copy; `put` sends by sendfile.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SOURCES = Path(__file__).parent
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")
_PATIENCE_SECONDS = 120


class SinkFailed(Exception):
    """A client could not do what it was to do; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a client printed last, and the processor time that it took."""

    values: dict[str, float]
    cpu_seconds: float

    def __getitem__(self, name: str) -> float:
        return self.values[name]


@dataclass(frozen=True, slots=True)
class Sinks:
    """Runs clients; `prefix` is put before each command, to choose its processors."""

    directory: Path
    """Where the programs are built."""

    prefix: tuple[str, ...] = ()

    def run(self, name: str, **arguments: object) -> Found:
        """Run a client to its end.

        Raises:
            SinkFailed: it failed, or went on for minutes.
        """
        with self.started(name, **arguments) as sink:
            return sink.finish()

    @contextlib.contextmanager
    def started(self, name: str, **arguments: object) -> Iterator[Sink]:
        """Run a client beside what is done inside; one that was not finished is killed."""
        command = [*self.prefix, str(self._program(name))]
        command += [f"{key}={value}" for key, value in arguments.items()]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            giving_up = threading.Timer(_PATIENCE_SECONDS, process.kill)
            giving_up.start()
            try:
                yield Sink(name, process)
            finally:
                giving_up.cancel()
                if process.returncode is None:
                    process.kill()

    def _program(self, name: str) -> Path:
        program = self.directory / name
        if not program.exists():
            source = _SOURCES / f"{name}.c"
            subprocess.run(["cc", *_FLAGS, "-o", program, source, "-lm"], check=True)
        return program


@dataclass(slots=True)
class Sink:
    """A client that runs."""

    name: str
    _process: subprocess.Popen[str]

    def line(self) -> dict[str, float]:
        """Wait for the next line that it prints."""
        text = _pipe(self._process.stdout).readline()
        if not text:
            reason = _pipe(self._process.stderr).read().strip()
            raise SinkFailed(f"{self.name}: {reason or 'it was killed: it took too long'}")
        found: dict[str, float] = json.loads(text)
        return found

    def finish(self) -> Found:
        """Wait for its end, and return its last line."""
        _pipe(self._process.stdin).close()
        values = self.line()
        for further in _pipe(self._process.stdout):
            values = json.loads(further)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Found(values, usage.ru_utime + usage.ru_stime)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
