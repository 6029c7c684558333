import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from tailrace.catalogue import (
    FileRecord,
    LinkRecord,
    dialects,
    migrations,
    reading,
    schema,
    writing,
)
from tailrace.errors import ConfigurationError


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations.SCRIPTS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def shape_of(engine: Engine) -> dict[str, list[str]]:
    """Return the clauses of everything in the database, by name.

    Their order does not matter: what is added to a table stands behind its constraints.
    """
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").all()
    return {
        name: sorted(clause.strip("() \n\t") for clause in (sql or "").split(","))
        for name, sql in rows
    }


def contents_of(engine: Engine) -> dict[str, list[object]]:
    with engine.connect() as connection:
        return {
            table: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]
            for table in inspect(connection).get_table_names()
        }


def test_the_migrations_make_the_same_database_as_the_tables(
    engine: Engine, tmp_path: Path
) -> None:
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with migrated.begin() as connection:
        migrations.upgrade(connection)
    assert shape_of(migrated) == shape_of(engine)
    assert contents_of(migrated) == contents_of(engine)
    migrated.dispose()


def test_the_newest_migration_is_the_version_of_the_tables() -> None:
    assert scripts().get_heads() == [schema.HEAD]


def test_a_revision_is_known_if_it_has_a_module() -> None:
    assert migrations.is_known(schema.HEAD)
    assert not migrations.is_known("9999")
    assert not migrations.is_known("")


def test_the_modules_are_numbered_in_their_order() -> None:
    revisions = list(scripts().walk_revisions())
    revisions.reverse()
    assert [script.revision for script in revisions] == [
        f"{number:04}" for number in range(1, len(revisions) + 1)
    ]
    for script in revisions:
        assert Path(script.path).name.startswith(f"{script.revision}_")


NEXT = f"{int(schema.HEAD) + 1:04}"

# A version to come, which replaces a whole table: the hardest change for SQLite, as all
# links and uploads hang on it.
REBUILDS_FILES = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{schema.HEAD}"

def upgrade():
    with op.batch_alter_table("files", recreate="always") as files:
        files.add_column(sa.Column("colour", sa.Text, server_default="blue"))
"""

FAILS_HALF_WAY = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{schema.HEAD}"

def upgrade():
    op.add_column("files", sa.Column("colour", sa.Text))
    op.drop_table("credentials")
    raise ArithmeticError
"""


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Act as a later tailrace that has one migration more."""

    def publish(migration: str) -> None:
        later = tmp_path / "a later 100% tailrace"  # a path that configuration may not read
        shutil.copytree(migrations.SCRIPTS, later)
        (later / "versions" / f"{NEXT}_colour.py").write_text(migration)
        monkeypatch.setattr(migrations, "SCRIPTS", later)
        monkeypatch.setattr(schema, "HEAD", NEXT)

    return publish


def test_an_older_version_is_migrated_and_all_rows_stay(
    engine: Engine,
    publish: Callable[[str], None],
    make_file: Callable[..., FileRecord],
    make_link: Callable[..., LinkRecord],
) -> None:
    file = make_file()
    with dialects.for_writing(engine).begin() as connection:
        writing.add_file(connection, file, [make_link(file)], None)
    publish(REBUILDS_FILES)
    schema.prepare(engine)
    with engine.connect() as connection:
        assert reading.find_link(connection, make_link(file).token_hash) == (
            make_link(file),
            file,
        )
        colours = connection.exec_driver_sql("SELECT colour FROM files").scalars().all()
        enforced = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
    assert colours == ["blue"]
    assert enforced == 1
    assert contents_of(engine)["tailrace_version"] == [(NEXT,)]


def test_a_migration_is_made_once(engine: Engine, publish: Callable[[str], None]) -> None:
    publish(REBUILDS_FILES)
    schema.prepare(engine)
    shape = shape_of(engine)
    schema.prepare(engine)
    assert shape_of(engine) == shape


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    engine: Engine, publish: Callable[[str], None]
) -> None:
    before = shape_of(engine), contents_of(engine)
    publish(FAILS_HALF_WAY)
    with pytest.raises(ArithmeticError):
        schema.prepare(engine)
    assert (shape_of(engine), contents_of(engine)) == before


def test_after_a_migration_an_older_tailrace_refuses_the_database(
    engine: Engine, publish: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context():
        publish(REBUILDS_FILES)
        schema.prepare(engine)
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match=f"version {NEXT}, made by a newer tailrace"):
        schema.prepare(engine)


def test_alembic_is_among_what_is_installed_with_tailrace() -> None:
    requirements = importlib.metadata.requires("tailrace") or []
    assert any(line.startswith("alembic") for line in requirements)
