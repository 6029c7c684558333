"""The answers themselves are tested by the contract suite; here is what they cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, event

from tailrace.catalogue import FileRecord, LinkRecord, reading, reading_jobs, writing

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, object]]]:
    """Collect what is executed, with its parameters."""
    seen: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


QUESTIONS = {
    "find_file": lambda connection: reading.find_file(connection, "f"),
    "find_link": lambda connection: reading.find_link(connection, b"t"),
    "find_upload": lambda connection: reading.find_upload(connection, b"k"),
    "find_links": lambda connection: reading.find_links(connection, "f"),
    "first page": lambda connection: reading.list_files(connection, limit=9, after=None),
    "next page": lambda connection: reading.list_files(connection, limit=9, after="f"),
    "growing_files": reading.growing_files,
    "expired_files": lambda connection: reading.expired_files(connection, NOON, limit=9),
    "known_blobs": lambda connection: reading.known_blobs(connection, ["b", "c"]),
    "find_job": lambda connection: reading_jobs.find_job(connection, "f"),
    "due_jobs": lambda connection: reading_jobs.due_jobs(
        connection, NOON, producers=["p"], limit=9
    ),
    "waiting_jobs": reading_jobs.waiting_jobs,
    "unfinished_jobs": reading_jobs.unfinished_jobs,
    "held_jobs": lambda connection: reading_jobs.held_jobs(connection, "w"),
    "forget_files": lambda connection: writing.forget_files(connection, NOON, limit=9),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_is_one_statement_that_reads_no_whole_table(
    engine: Engine, question: Callable[[Connection], object]
) -> None:
    with statements(engine) as asked, engine.begin() as connection:
        question(connection)
    [(sql, parameters)] = asked
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
    steps = [step.detail for step in plan]
    for step in steps:
        # To go through the page just read is right, and so is a whole partial index: it has
        # the rows that are wanted and no others.
        is_page = step.startswith("SCAN page")
        is_partial_index = "USING INDEX ix_files" in step or "ix_jobs_due_at" in step
        assert not step.startswith("SCAN") or is_page or is_partial_index, steps


@pytest.mark.parametrize("question", ["first page", "next page"])
def test_a_page_is_not_sorted_from_all_files(engine: Engine, question: str) -> None:
    with statements(engine) as asked, engine.begin() as connection:
        QUESTIONS[question](connection)
    [(sql, parameters)] = asked
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
    steps = [step.detail for step in plan]
    assert any("INDEX ix_files_created_at_id" in step for step in steps), steps


def test_that_a_file_grows_is_asked_in_the_sql_itself(engine: Engine) -> None:
    with statements(engine) as asked, engine.begin() as connection:
        reading.growing_files(connection)
    [(sql, parameters)] = asked
    assert "state = 'growing'" in sql
    assert not parameters


def test_many_keys_are_asked_for_in_batches(engine: Engine) -> None:
    with statements(engine) as asked, engine.begin() as connection:
        reading.known_blobs(connection, [f"b{number}" for number in range(1001)])
    assert len(asked) == 3


def test_a_list_of_files_with_many_links_is_one_statement(
    engine: Engine,
    make_file: Callable[..., FileRecord],
    make_link: Callable[..., LinkRecord],
) -> None:
    with engine.begin() as connection:
        for name in "abc":
            file = make_file(name)
            writing.add_file(connection, file, [make_link(file, n) for n in "xyz"], None)
    with statements(engine) as asked, engine.begin() as connection:
        page = reading.list_files(connection, limit=9, after=None)
    assert [len(links) for _, links in page] == [3, 3, 3]
    assert len(asked) == 1


def test_the_sql_of_the_hot_look_up_is_compiled_once(engine: Engine) -> None:
    compiled = engine._compiled_cache
    assert compiled is not None
    with engine.begin() as connection:
        reading.find_link(connection, b"first")
        known = len(compiled)
        for number in range(100):
            reading.find_link(connection, str(number).encode())
    assert len(compiled) == known
