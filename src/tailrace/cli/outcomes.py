"""Exit statuses, and how several outcomes become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailrace.cli.terminal import complain, reason
from tailrace.errors import ConfigurationError, TailraceError

DONE = 0
FAILED = 1
WRONG_USE = 2
SOME_FAILED = 3
INTERRUPTED = 130


def each(items: Sequence[str], act: Callable[[str], None]) -> int:
    """Act on each item, whatever becomes of the others, and return the exit status."""
    failures = 0
    for item in items:
        try:
            act(item)
        except (ConfigurationError, BrokenPipeError):  # no better for the next one
            raise
        except (TailraceError, OSError) as exc:
            failures += 1
            complain_of(item, exc)
    return status_of(failures, len(items))


def complain_of(item: str, exc: BaseException) -> None:
    """Say what went wrong with an item, its name once."""
    said = reason(exc)
    complain(said if said.startswith(f"{item}: ") else f"{item}: {said}")


def status_of(failures: int, count: int) -> int:
    """Return the exit status of so many items, some of which failed."""
    if failures == 0:
        return DONE
    return FAILED if failures == count else SOME_FAILED
