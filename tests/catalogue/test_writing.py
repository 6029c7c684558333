"""What is written is tested by the contract suite; here is what two at once can do."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from tailrace.catalogue import FileId, FileRecord, FileState, dialects, reading, writing

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def seal(engine: Engine, file_id: FileId) -> FileRecord:
    with dialects.for_writing(engine).begin() as connection:
        return writing.seal_file(
            connection, file_id, length=1, sha256=bytes(32), sealed_at=NOON
        )


def abandon(engine: Engine, file_id: FileId) -> FileRecord:
    with dialects.for_writing(engine).begin() as connection:
        return writing.abandon_file(connection, file_id, reason="left", at=NOON)


def end(engine: Engine, file_id: FileId) -> FileRecord:
    with dialects.for_writing(engine).begin() as connection:
        return writing.end_file(connection, file_id, reason="deleted", at=NOON)


@pytest.mark.parametrize(
    ("one", "other"), [(seal, abandon), (seal, end), (abandon, end), (seal, seal)]
)
def test_of_two_claims_at_once_on_two_connections_the_second_finds_the_first(
    make_engine: Callable[..., Engine],
    engine: Engine,
    make_file: Callable[..., FileRecord],
    one: Callable[[Engine, FileId], FileRecord],
    other: Callable[[Engine, FileId], FileRecord],
) -> None:
    count = 20
    for number in range(count):
        with dialects.for_writing(engine).begin() as connection:
            writing.add_file(connection, make_file(str(number)), [], None)
    start = threading.Barrier(2)

    def claim_all(
        of: Engine, claim: Callable[[Engine, FileId], FileRecord]
    ) -> list[FileRecord]:
        start.wait(timeout=10)
        return [claim(of, make_file(str(number)).id) for number in range(count)]

    with ThreadPoolExecutor(2) as threads:
        ones = threads.submit(claim_all, engine, one)
        others = threads.submit(claim_all, make_engine(), other)
    for number, answers in enumerate(zip(ones.result(), others.result(), strict=True)):
        with engine.connect() as connection:
            kept = reading.find_file(connection, make_file(str(number)).id)
        assert kept is not None
        assert kept.state is not FileState.GROWING
        assert kept in answers
        assert {answer.state for answer in answers} == {kept.state}
