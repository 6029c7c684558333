import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection, Engine, insert, select

from tailrace.catalogue import FileRecord, dialects
from tailrace.catalogue.database import Database
from tailrace.catalogue.tables import files
from tailrace.catalogue.writing import add_file
from tailrace.errors import StorageFull, StorageUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(engine: Engine) -> AsyncIterator[Database]:
    opened = Database(engine)
    yield opened
    await opened.close()


def ids(connection: Connection) -> list[str]:
    return list(connection.scalars(select(files.c.id).order_by(files.c.id)))


async def test_work_runs_in_one_thread_that_is_not_the_loops(database: Database) -> None:
    threads = await asyncio.gather(*(database.call(threading.get_ident) for _ in range(10)))
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


async def test_work_that_raises_is_undone(
    database: Database, make_file: Callable[..., FileRecord]
) -> None:
    def add_and_fail(connection: Connection) -> None:
        add_file(connection, make_file(), [], None)
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(add_and_fail)
    assert await database.read(ids) == []


async def test_work_whose_caller_is_cancelled_is_finished(
    database: Database, make_file: Callable[..., FileRecord]
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def add_slowly(connection: Connection) -> None:
        add_file(connection, make_file("first"), [], None)
        begun.set()
        may_go_on.wait(timeout=10)
        add_file(connection, make_file("second"), [], None)

    call = asyncio.ensure_future(database.write(add_slowly))
    await asyncio.to_thread(begun.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    may_go_on.set()
    assert await database.read(ids) == ["id-first", "id-second"]


async def test_work_whose_caller_is_cancelled_before_it_begins_is_not_begun(
    database: Database, make_file: Callable[..., FileRecord]
) -> None:
    may_go_on = threading.Event()
    blocking = asyncio.ensure_future(database.call(may_go_on.wait, 10))
    waiting = asyncio.ensure_future(database.write(add_file, make_file(), [], None))
    await asyncio.sleep(0)  # both are handed over now
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_go_on.set()
    await blocking
    assert await database.read(ids) == []


async def test_closing_waits_for_work_whose_caller_was_cancelled(
    database: Database, make_file: Callable[..., FileRecord], make_engine: Callable[..., Engine]
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def add_slowly(connection: Connection) -> None:
        begun.set()
        may_go_on.wait(timeout=10)
        add_file(connection, make_file(), [], None)

    call = asyncio.ensure_future(database.write(add_slowly))
    await asyncio.to_thread(begun.wait, 10)
    call.cancel()
    closing = asyncio.ensure_future(database.close())
    await asyncio.wait([call])
    may_go_on.set()
    await closing
    with make_engine().connect() as connection:
        assert ids(connection) == ["id-a"]


async def test_errors_of_the_driver_do_not_leave_the_room(database: Database) -> None:
    def ask_nonsense(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT * FROM nowhere")

    for run in (database.read, database.write):
        with pytest.raises(StorageUnavailable, match="no such table: nowhere") as caught:
            await run(ask_nonsense)
        assert caught.value.__cause__ is not None


async def test_what_is_said_of_an_error_tells_no_values(
    database: Database, make_file: Callable[..., FileRecord]
) -> None:
    file = make_file("a secret name")
    await database.write(add_file, file, [], None)
    with pytest.raises(StorageUnavailable) as caught:
        await database.write(add_file, file, [], None)
    assert "secret" not in str(caught.value) + str(caught.value.__cause__)


async def test_a_database_that_another_keeps_locked_is_unavailable_for_writing_only(
    monkeypatch: pytest.MonkeyPatch,
    make_engine: Callable[..., Engine],
    engine: Engine,
    make_file: Callable[..., FileRecord],
) -> None:
    monkeypatch.setattr(dialects, "_BUSY_SECONDS", 0)
    database = Database(make_engine())
    other = sqlite3.connect(engine.url.database or "")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        await database.write(add_file, make_file(), [], None)
    assert await database.read(ids) == []
    other.close()
    await database.write(add_file, make_file(), [], None)
    assert await database.read(ids) == ["id-a"]
    await database.close()


async def test_when_there_is_no_room_what_was_accepted_is_kept(
    database: Database, make_file: Callable[..., FileRecord]
) -> None:
    def leave_little_room(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 3}")

    accepted = []

    async def add_many() -> None:
        for number in range(100, 200):
            file = make_file(str(number), reason="x" * 1000)
            await database.write(add_file, file, [], None)
            accepted.append(file.id)

    await database.write(leave_little_room)
    with pytest.raises(StorageFull):
        await add_many()
    assert accepted
    assert await database.read(ids) == accepted


async def test_a_write_in_between_does_not_break_a_work_that_reads_first(
    database: Database, make_engine: Callable[..., Engine], make_file: Callable[..., FileRecord]
) -> None:
    # Without BEGIN IMMEDIATE this is SQLITE_BUSY_SNAPSHOT for whichever writes second.
    other = Database(make_engine())

    def read_then_add(connection: Connection, file: FileRecord) -> None:
        connection.execute(select(files)).all()
        connection.execute(
            insert(files), {column.key: getattr(file, column.key) for column in files.c}
        )

    await asyncio.gather(
        *(
            which.write(read_then_add, make_file(f"{owner}{number:02}"))
            for number in range(20)
            for owner, which in (("a", database), ("b", other))
        )
    )
    assert len(await database.read(ids)) == 40
    await other.close()


async def test_closing_ends_the_threads_and_may_be_repeated(engine: Engine) -> None:
    database = Database(engine)
    thread = await database.call(threading.current_thread)
    await database.close()
    await database.close()
    assert not thread.is_alive()
