"""Whether anybody has changed the database since: any connection, in any process.

SQLite tells by `PRAGMA data_version`. On a connection that is used for nothing else it gives
another number after each commit, and the same as long as there was none. In WAL mode it takes
two microseconds and waits neither for who holds the write lock nor for a checkpoint, so an
event loop may ask. Of other databases nothing is known so cheaply.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine


class CommitWatch:
    """Watches one SQLite database through a connection of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def version(self) -> int | None:
        """Return a number that no commit leaves as it is; None where it cannot be told."""
        try:
            (version,) = self._cursor.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # whoever goes on to read is told what is wrong
            return None
        return int(version)

    def close(self) -> None:
        """Let go of the connection. May block: the last one of all tidies up the database."""
        self._connection.close()


def watch(engine: Engine) -> CommitWatch | None:
    """Open a watch, to be used by one thread at a time; None where the database has none.

    It has to wait for the database, as any opening.
    """
    if engine.dialect.name != "sqlite":
        return None
    pooled = engine.raw_connection()
    connection = pooled.driver_connection
    pooled.detach()
    assert isinstance(connection, sqlite3.Connection)
    connection.execute("PRAGMA busy_timeout = 0")
    return CommitWatch(connection)
