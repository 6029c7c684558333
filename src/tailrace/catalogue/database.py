"""A database that is worked from an event loop.

Each piece of work is one transaction and runs whole in a thread of the database's own. So
the loop never waits for a disk, and a caller who is cancelled cannot leave a transaction in
its middle: work that has begun is finished, and only its result is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tailrace.catalogue import commits, dialects
from tailrace.catalogue.commits import CommitWatch

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """An engine and its threads. Errors of the driver end here."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = dialects.for_writing(engine)
        self._threads = ThreadPoolExecutor(
            dialects.thread_count(engine.url), thread_name_prefix="tailrace-catalogue"
        )
        self._commits: CommitWatch | None = None

    async def watch_commits(self) -> None:
        """Have `version` tell of commits, if the database can. Must not be called twice."""
        await self.call(self._watch_commits)

    def version(self) -> int | None:
        """Return a number that no commit by anybody leaves as it is; never wait.

        None where that cannot be told, or not now.
        """
        return None if self._commits is None else self._commits.version()

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run work that changes nothing and is one statement, or does not mind to be two."""
        return await self.call(
            _transact, self._reading, lambda connection: work(connection, *args, **kwargs)
        )

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run work that changes something: all of it is kept or, if it raises, nothing."""
        return await self.call(
            _transact, self._writing, lambda connection: work(connection, *args, **kwargs)
        )

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that sees to its own transactions in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Finish what has begun and close all connections. May be repeated."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(None, self._close))

    def _close(self) -> None:
        self._threads.shutdown()
        if self._commits is not None:
            self._commits.close()
        self._reading.dispose()

    def _watch_commits(self) -> None:
        try:
            self._commits = commits.watch(self._reading)
        except DBAPIError as exc:
            raise dialects.fault(exc) from exc


def _transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    except DBAPIError as exc:
        raise dialects.fault(exc) from exc
