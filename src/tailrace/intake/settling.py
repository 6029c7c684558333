"""Ends that must be reached whatever happens to the one who asked for them.

A cancellation may come more than once: a cancel scope of AnyIO repeats it at every await
until its task is gone. So nothing here is left by a second one either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


async def settled(
    ending: Coroutine[object, object, Result],
    undo: Callable[[Result], Coroutine[object, object, object]] | None = None,
) -> Result:
    """Run a coroutine to its end, also if the caller is cancelled meanwhile.

    The cancellation is raised after the end; the result, which then nobody gets, is undone
    where it must be.
    """
    task = asyncio.create_task(ending)
    try:
        await ended(task)
    except asyncio.CancelledError as cancelled:
        if undo is not None and not task.cancelled() and task.exception() is None:
            try:
                await settled(undo(task.result()))
            finally:
                raise cancelled
        raise
    return task.result()


async def ended(task: asyncio.Task[object]) -> None:
    """Wait for the end of a task; a cancellation of the caller is raised only then.

    What the task failed with is not raised: it is the task's.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
