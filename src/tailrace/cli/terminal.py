"""What commands show to people: sentences, a progress bar, lengths."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# A transfer that is done by then shows no bar, and does not wait for one to be imported.
_BAR_AFTER_SECONDS = 0.3

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def complain(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    print(f"tailrace: {printable(message)}", file=sys.stderr)


def reason(exc: BaseException) -> str:
    """Return what an error says, in words: without its number, if it has one."""
    if isinstance(exc, OSError) and exc.strerror:
        name = "" if exc.filename is None else f"{exc.filename}: "
        return f"{name}{exc.strerror}"
    return str(exc)


def printable(text: str) -> str:
    """Return text without what would move the cursor or colour the terminal.

    Names and reasons come from servers that anybody may run.
    """
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def human_length(length: int) -> str:
    """Return a length as people read it, in three digits or a little more."""
    if length < 1024:
        return f"{length} B"
    value = float(length)
    for unit in _UNITS:
        value /= 1024
        if value < 999.95 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


@contextmanager
def progress_bar(label: str | None) -> Iterator[Callable[[int, int | None], None] | None]:
    """Give what shows the progress of one transfer; None where nobody would see it.

    Without a label there is none.
    """
    if label is None or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(printable(label))
    try:
        yield bar
    finally:
        bar.stop()


@contextmanager
def terminable() -> Iterator[None]:
    """Within this, SIGTERM interrupts as Ctrl-C does, so that what has landed is recorded."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Bar:
    def __init__(self, label: str) -> None:
        self._label = label
        self._begun_at = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, count: int, total: int | None) -> None:
        if self._shown is not None:
            progress, task = self._shown
            progress.update(task, completed=count, total=total)
        elif time.monotonic() - self._begun_at > _BAR_AFTER_SECONDS:
            self._shown = self._show(count, total)

    def stop(self) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def _show(self, count: int, total: int | None) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        # What an earlier run had left is not part of the speed.
        task = progress.add_task(escape(self._label), completed=count, total=total)
        progress.start()
        return progress, task
