"""Ends that must be reached whatever happens to the one who asked for them."""

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
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if undo is not None and not task.cancelled() and task.exception() is None:
            await settled(undo(task.result()))
        raise
