import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, update

from tailrace.catalogue import FileRecord, dialects, reading, schema, writing
from tailrace.catalogue.tables import metadata, version
from tailrace.errors import ConfigurationError, StorageUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where `make_engine` keeps its database."""
    return tmp_path / "catalogue.db"


def tables_of(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_an_empty_database_gets_all_tables_and_the_newest_version(engine: Engine) -> None:
    assert tables_of(engine) == {*metadata.tables, version.name}
    with engine.connect() as connection:
        assert connection.execute(version.select()).scalars().all() == [schema.HEAD]


def test_an_empty_file_is_an_empty_database(
    make_engine: Callable[..., Engine], path: Path
) -> None:
    path.touch()
    engine = make_engine()
    schema.prepare(engine)
    assert tables_of(engine) == {*metadata.tables, version.name}


def test_what_is_there_stays(
    engine: Engine, make_engine: Callable[..., Engine], make_file: Callable[..., FileRecord]
) -> None:
    with dialects.for_writing(engine).begin() as connection:
        writing.add_file(connection, make_file(), [], None)
    again = make_engine()
    schema.prepare(again)
    with again.connect() as connection:
        assert reading.find_file(connection, make_file().id) == make_file()


def test_many_may_make_the_tables_at_once(make_engine: Callable[..., Engine]) -> None:
    engines = [make_engine() for _ in range(8)]
    start = threading.Barrier(len(engines))

    def prepare(engine: Engine) -> None:
        start.wait(timeout=10)
        schema.prepare(engine)

    with ThreadPoolExecutor(len(engines)) as threads:
        for prepared in [threads.submit(prepare, engine) for engine in engines]:
            prepared.result()
    assert tables_of(engines[0]) == {*metadata.tables, version.name}


def test_tables_that_cannot_be_made_whole_are_not_made(
    make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    monkeypatch.setattr(schema, "HEAD", None)  # its column takes no NULL
    with pytest.raises(StorageUnavailable):
        schema.prepare(engine)
    assert tables_of(engine) == set()


def test_a_newer_version_is_refused_with_what_to_do(engine: Engine) -> None:
    with dialects.for_writing(engine).begin() as connection:
        connection.execute(update(version), {"version_num": "9999"})
    with pytest.raises(ConfigurationError, match=r"9999.*pip install --upgrade tailrace"):
        schema.prepare(engine)


def test_the_tables_of_another_program_are_left_alone(
    make_engine: Callable[..., Engine], path: Path
) -> None:
    others = sqlite3.connect(path)
    others.execute("CREATE TABLE files (cookie TEXT)")
    others.close()
    engine = make_engine()
    with pytest.raises(ConfigurationError, match="a database of its own"):
        schema.prepare(engine)
    assert tables_of(engine) == {"files"}


def test_tables_without_a_version_are_refused(engine: Engine) -> None:
    with dialects.for_writing(engine).begin() as connection:
        connection.execute(version.delete())
    with pytest.raises(ConfigurationError, match="a database of its own"):
        schema.prepare(engine)


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\0" * 100, b"x" * 5000])
def test_what_is_no_database_is_refused_and_left_alone(
    make_engine: Callable[..., Engine], path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no SQLite database"):
        schema.prepare(make_engine())
    assert path.read_bytes() == content


def test_a_directory_is_no_database(make_engine: Callable[..., Engine], path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be opened or made"):
        schema.prepare(make_engine())


def test_a_directory_that_is_missing_is_said_so(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="its directory must exist"):
        schema.prepare(make_engine(f"sqlite:///{tmp_path / 'missing' / 'catalogue.db'}"))
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system of Linux")
def test_a_directory_that_cannot_be_written_is_said_so(
    make_engine: Callable[..., Engine],
) -> None:
    # Nobody, not even root, makes files in /proc.
    with pytest.raises(ConfigurationError, match="able to write in it"):
        schema.prepare(make_engine("sqlite:////proc/self/catalogue.db"))


def test_a_file_that_cannot_be_written_is_said_so(
    engine: Engine, make_engine: Callable[..., Engine], path: Path
) -> None:
    engine.dispose()
    with pytest.raises(ConfigurationError, match="the right to write"):
        schema.prepare(make_engine(f"sqlite:///file:{path}?mode=ro&uri=true"))


def test_a_damaged_database_is_unavailable(
    engine: Engine, make_engine: Callable[..., Engine], path: Path
) -> None:
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)  # all but the header
    path.write_bytes(content)
    with pytest.raises(StorageUnavailable, match="malformed"):
        schema.prepare(make_engine())


def test_a_locked_database_is_unavailable_and_not_misconfigured(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    make_engine: Callable[..., Engine],
    path: Path,
) -> None:
    monkeypatch.setattr(dialects, "_BUSY_SECONDS", 0)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        schema.prepare(make_engine())
    other.close()


def test_a_catalogue_that_was_copied_while_closed_is_whole(
    engine: Engine, make_engine: Callable[..., Engine], path: Path, tmp_path: Path
) -> None:
    engine.dispose()
    shutil.copy(path, tmp_path / "copy.db")
    copy = make_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    schema.prepare(copy)
    assert tables_of(copy) == {*metadata.tables, version.name}


def test_alembic_is_not_imported_for_a_fresh_or_a_new_database(url: str) -> None:
    script = """
import sys
from tailrace.catalogue import dialects, schema
import tailrace.catalogue.sql
for _ in range(2):
    schema.prepare(dialects.open_engine(dialects.parse_url(sys.argv[1]), "crash"))
assert not [name for name in sys.modules if "alembic" in name or "migrations" in name]
"""
    subprocess.run([sys.executable, "-c", script, url], check=True, timeout=30)
