"""What differs between databases: how they are opened, locked and broken. All of it is here.

SQLite is one file in WAL mode. `synchronous` is FULL where answers must survive a power cut
(each commit is synced) and NORMAL where they must survive `kill -9`. Every connection of
every process waits up to `_BUSY_SECONDS` for another's transaction.

What may go wrong: the file lies on a network file system (WAL needs shared memory, so all
processes must be on one machine); somebody copies the file without its `-wal` neighbour.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from tailrace.errors import ConfigurationError, StorageFull, StorageUnavailable

Durability = Literal["power", "crash"]

_THREADS = {
    "sqlite": 1,  # it has one writer at a time; more threads would wait for each other
    "postgresql": 8,
}

_BUSY_SECONDS = 10
_BUSY_PAUSE_SECONDS = 0.01

_WRITES = "tailrace_writes"

_EXAMPLE = "sqlite:////var/lib/tailrace/catalogue.db"


def parse_url(text: str) -> URL:
    """Return the URL of a database we can keep a catalogue in.

    Raises:
        ConfigurationError: it is none; the message never repeats a password.
    """
    try:
        url = make_url(text)
    except ArgumentError as exc:
        raise ConfigurationError(
            f"the catalogue's URL cannot be read; write it like {_EXAMPLE}"
        ) from exc
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() not in _THREADS:
        raise ConfigurationError(
            f"a catalogue cannot be kept in {shown}; there are: {', '.join(_THREADS)}"
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        # A catalogue in memory would break the first promise of the contract.
        raise ConfigurationError(
            f"the catalogue's URL {shown} names no file; write sqlite:///catalogue.db for a "
            f"file in the working directory, {_EXAMPLE} (four slashes) for an absolute path"
        )
    return url


def thread_count(url: URL) -> int:
    """How many threads, each with one connection, this database is worth."""
    return _THREADS[url.get_backend_name()]


def open_engine(url: URL, durability: Durability) -> Engine:
    """Return an engine that has a connection for each thread; it connects when first used.

    Raises:
        ConfigurationError: the database's driver is not installed, or refuses the URL.
    """
    try:
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=thread_count(url),
            max_overflow=0,
            hide_parameters=True,  # hashes and names of files are not for logs
        )
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            f"{url.drivername} needs the package {exc.name}: pip install {exc.name}"
        ) from exc
    except ArgumentError as exc:
        raise ConfigurationError(f"the catalogue's URL cannot be used: {exc}") from exc
    if engine.dialect.name == "sqlite":
        _set_up_sqlite(engine, durability)
    return engine


def _set_up_sqlite(engine: Engine, durability: Durability) -> None:
    synchronous = "FULL" if durability == "power" else "NORMAL"

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        _enter_wal(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that reads first and asks for the write lock later fails at once,
        # whatever the busy timeout, if another process wrote in between. A read of ours is
        # one statement, and needs no BEGIN.
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Have the database kept in WAL mode, in which it may be already.

    Of two connections that change the mode at once SQLite refuses one without waiting, since
    each holds what the other needs.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            is_busy = exc.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)
        else:
            return


def for_writing(engine: Engine) -> Engine:
    """Return a view of an engine whose transactions have the right to write from the start."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def rebuilding(engine: Engine) -> Iterator[Connection]:
    """Open a write transaction in which whole tables may be replaced.

    SQLite changes a table by making another and dropping the first, and a dropped table's
    rows are deleted with all that hangs on them. So this connection enforces no foreign
    keys, and is not used again.
    """
    with for_writing(engine).connect() as connection:
        driver_connection = connection.connection.driver_connection
        connection.detach()
        if isinstance(driver_connection, sqlite3.Connection):
            driver_connection.execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            yield connection


def fault(exc: DBAPIError) -> StorageFull | StorageUnavailable:
    """What an error of the database's driver means to those who use the catalogue."""
    if _sqlite_code(exc) in _FULL:
        return StorageFull("there is no room left for the catalogue; nothing was changed")
    return StorageUnavailable(f"the catalogue did not do its work: {exc.orig}")


def opening_fault(
    exc: DBAPIError, url: URL
) -> ConfigurationError | StorageFull | StorageUnavailable:
    """The same while the catalogue is opened, when it may be the setting that is wrong."""
    shown = url.render_as_string(hide_password=True)
    code = _sqlite_code(exc)
    if code in _FULL:
        return StorageFull(f"the disk of the catalogue {shown} is full: make some room on it")
    advice = None if code is None else _ADVICE.get(code & _PRIMARY)
    if advice is not None:
        return ConfigurationError(f"the catalogue {shown} {advice}")
    return fault(exc)


_PRIMARY = 0xFF  # the rest of an SQLite error code says in which step it happened

_FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,  # no room for the index of the WAL
}

_ADVICE = {
    sqlite3.SQLITE_CANTOPEN: "cannot be opened or made: its directory must exist, and this "
    "user must be able to write in it",
    sqlite3.SQLITE_READONLY: "cannot be written: give this user the right to write the file "
    "and its directory, or name another file",
    sqlite3.SQLITE_NOTADB: "is no SQLite database: move that file away, or name another",
}


def _sqlite_code(exc: DBAPIError) -> int | None:
    # An error that the driver raises of itself, not of SQLite, has no code.
    return getattr(exc.orig, "sqlite_errorcode", None)
