"""Whether anybody has committed since."""

import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from tailrace.catalogue import commits, dialects
from tailrace.catalogue.commits import CommitWatch


@pytest.fixture
def watch(engine: Engine) -> Iterator[CommitWatch]:
    watch = commits.watch(engine)
    yield watch
    watch.close()


@pytest.fixture
def other(engine: Engine) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(engine.url.database, isolation_level=None)
    connection.execute("CREATE TABLE numbers (number)")
    yield connection
    connection.close()


ADD = "INSERT INTO numbers VALUES (1)"


def test_it_stays_the_same_while_nobody_commits(
    watch: CommitWatch, other: sqlite3.Connection
) -> None:
    before = watch.version()
    assert before is not None
    other.execute("SELECT * FROM numbers").fetchall()
    other.execute("BEGIN IMMEDIATE")
    other.execute(ADD)
    assert watch.version() == before
    other.execute("ROLLBACK")
    assert watch.version() == before


def test_each_commit_of_another_connection_changes_it(
    watch: CommitWatch, other: sqlite3.Connection
) -> None:
    seen = {watch.version()}
    for statement in (ADD, "UPDATE numbers SET number = 2", "DELETE FROM numbers"):
        other.execute(statement)
        seen.add(watch.version())
    assert len(seen) == 4


def test_a_commit_that_undoes_the_one_before_changes_it(
    watch: CommitWatch, other: sqlite3.Connection
) -> None:
    before = watch.version()
    other.execute(ADD)
    other.execute("DELETE FROM numbers")
    assert watch.version() != before


def test_a_commit_through_the_engine_that_it_was_made_from_changes_it(
    engine: Engine, watch: CommitWatch
) -> None:
    before = watch.version()
    with dialects.for_writing(engine).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE more (number)")
    assert watch.version() != before


def test_a_commit_of_another_process_changes_it(
    watch: CommitWatch, other: sqlite3.Connection, engine: Engine
) -> None:
    before = watch.version()
    program = (
        "import sqlite3, sys\n"
        "with sqlite3.connect(sys.argv[1]) as connection:\n"
        "    connection.execute(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, engine.url.database, ADD], check=True)
    assert watch.version() != before


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_it_does_not_wait_for_who_is_writing(
    watch: CommitWatch, other: sqlite3.Connection, kind: str
) -> None:
    before = watch.version()
    other.execute(f"BEGIN {kind}")
    other.execute(ADD)
    assert watch.version() == before  # with nobody to end the transaction meanwhile
    other.execute("COMMIT")
    assert watch.version() != before


def test_it_keeps_nobody_from_shortening_the_log(
    watch: CommitWatch, other: sqlite3.Connection
) -> None:
    other.execute(ADD)
    watch.version()
    other.execute(ADD)
    (is_blocked, _, _) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_blocked


def test_a_checkpoint_hides_no_commit(watch: CommitWatch, other: sqlite3.Connection) -> None:
    seen = [watch.version()]
    for _ in range(3):
        other.execute(ADD)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        seen.append(watch.version())
    assert len(set(seen)) == 4


def test_what_cannot_be_told_is_none(watch: CommitWatch) -> None:
    watch.close()
    assert watch.version() is None


def test_it_leaves_the_engine_all_its_connections(make_engine: Callable[..., Engine]) -> None:
    few = make_engine()
    watch = commits.watch(few)
    assert few.pool.checkedout() == 0
    watch.close()


def test_another_database_has_none() -> None:
    engine = types.SimpleNamespace(dialect=types.SimpleNamespace(name="postgresql"))
    assert commits.watch(engine) is None
