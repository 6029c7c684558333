import sqlite3
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from tailrace.catalogue import dialects
from tailrace.errors import ConfigurationError, StorageFull, StorageUnavailable


@pytest.mark.parametrize(
    "text", ["sqlite:///catalogue.db", "sqlite:////var/lib/tailrace/catalogue.db"]
)
def test_the_url_of_a_file_is_taken(text: str) -> None:
    assert dialects.parse_url(text) == make_url(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("catalogue.db", "cannot be read"),
        ("", "cannot be read"),
        ("mysql://host/name", "there are: sqlite, postgresql"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://catalogue.db", "names no file"),  # two slashes name a host
    ],
)
def test_a_url_that_cannot_work_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        dialects.parse_url(text)


@pytest.mark.parametrize("text", ["mysql://me:secret@host/name", "nothing:secret@host"])
def test_a_refusal_does_not_tell_the_password(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dialects.parse_url(text)
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named() -> None:
    url = make_url("sqlite+no_such_driver:///catalogue.db")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        dialects.open_engine(url, "crash")


def test_a_package_that_is_missing_is_named_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_package(*_: object, **__: object) -> Engine:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(dialects, "create_engine", without_package)
    with pytest.raises(ConfigurationError, match="pip install psycopg"):
        dialects.open_engine(make_url("postgresql://host/name"), "crash")


def test_sqlite_is_worked_by_one_thread_and_a_server_by_several() -> None:
    assert dialects.thread_count(make_url("sqlite:///catalogue.db")) == 1
    assert dialects.thread_count(make_url("postgresql://host/name")) > 1


@pytest.mark.parametrize(
    ("durability", "pragma", "value"),
    [
        ("power", "synchronous", 2),  # FULL
        ("crash", "synchronous", 1),  # NORMAL
        ("power", "journal_mode", "wal"),
        ("power", "foreign_keys", 1),
        ("power", "busy_timeout", 10_000),
    ],
)
def test_sqlite_is_set_up(
    make_engine: Callable[..., Engine],
    durability: dialects.Durability,
    pragma: str,
    value: object,
) -> None:
    with make_engine(durability=durability).connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_writing_transaction_has_the_right_to_write_from_its_start(engine: Engine) -> None:
    other = sqlite3.connect(engine.url.database or "", timeout=0)
    with dialects.for_writing(engine).begin(), pytest.raises(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_reading_transaction_hinders_no_writer(engine: Engine) -> None:
    other = sqlite3.connect(engine.url.database or "", timeout=0)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM files")
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_tables_are_created_within_the_transaction(engine: Engine) -> None:
    def create_and_fail() -> None:
        with dialects.for_writing(engine).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE half (done INTEGER)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        create_and_fail()
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    assert "half" not in tables


def test_rebuilding_enforces_no_foreign_keys_and_leaves_no_such_connection(
    engine: Engine,
) -> None:
    with dialects.rebuilding(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def an_error(code: int) -> DBAPIError:
    driver_error = sqlite3.OperationalError("what the driver says")
    driver_error.sqlite_errorcode = code
    return DBAPIError("SELECT hash", {"hash": "secret"}, driver_error, hide_parameters=True)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StorageFull),
        (sqlite3.SQLITE_IOERR, StorageUnavailable),
        (sqlite3.SQLITE_BUSY, StorageUnavailable),
        (sqlite3.SQLITE_CORRUPT, StorageUnavailable),
        (sqlite3.SQLITE_READONLY, StorageUnavailable),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StorageUnavailable),
    ],
)
def test_an_error_of_the_driver_has_one_meaning(code: int, meaning: type) -> None:
    assert type(dialects.fault(an_error(code))) is meaning


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_CANTOPEN, ConfigurationError),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, ConfigurationError),
        (sqlite3.SQLITE_READONLY, ConfigurationError),
        (sqlite3.SQLITE_READONLY_DIRECTORY, ConfigurationError),
        (sqlite3.SQLITE_NOTADB, ConfigurationError),
        (sqlite3.SQLITE_BUSY, StorageUnavailable),
        (sqlite3.SQLITE_CORRUPT, StorageUnavailable),
        (sqlite3.SQLITE_FULL, StorageFull),
    ],
)
def test_while_opening_it_may_be_the_setting_that_is_wrong(code: int, meaning: type) -> None:
    url = make_url("sqlite:///catalogue.db")
    assert type(dialects.opening_fault(an_error(code), url)) is meaning


def test_an_error_that_the_driver_makes_itself_is_unavailability(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.exec_driver_sql("SELECT ?", (object(),))
    assert type(dialects.fault(caught.value)) is StorageUnavailable


def test_an_error_of_another_driver_is_unavailability() -> None:
    error = DBAPIError("SELECT 1", None, RuntimeError("the connection was lost"))
    fault = dialects.fault(error)
    assert type(fault) is StorageUnavailable
    assert "the connection was lost" in str(fault)
