"""Downloads for programs with an event loop: each in a thread of its own."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tailrace.client.cancellation import Cancellation
from tailrace.client.connections import Timeouts
from tailrace.client.downloads import PATIENCE, TIMEOUTS, Download, Progress, download
from tailrace.client.moves import Patience


async def adownload(
    url: str,
    path: str | os.PathLike[str] | None = None,
    *,
    unique: bool = False,
    force: bool = False,
    sha256: str | None = None,
    key: str | None = None,
    progress: Progress | None = None,
    patience: Patience = PATIENCE,
    timeouts: Timeouts = TIMEOUTS,
) -> Download:
    """Do as `download`; when cancelled, stop at once, and leave the part to be resumed.

    `progress` is called in another thread.
    """
    cancellation = Cancellation()
    # A pool of its own, so that many downloads do not starve what else uses the loop's.
    pool = ThreadPoolExecutor(1, thread_name_prefix="tailrace-download")
    running = asyncio.wrap_future(
        pool.submit(
            download,
            url,
            path,
            unique=unique,
            force=force,
            sha256=sha256,
            key=key,
            progress=progress,
            patience=patience,
            timeouts=timeouts,
            cancellation=cancellation,
        )
    )
    pool.shutdown(wait=False)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancellation.cancel()
        with suppress(Exception):  # Cancelled, or whatever was about to be raised
            await running
        raise
