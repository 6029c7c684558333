"""The version of the tables: made when there are none, migrated when old, refused when new.

A fresh database gets the newest tables at once. Alembic, whose import takes a third of a
second, is asked only when a database is not of the version of this module.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, false, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError

from tailrace.catalogue import dialects
from tailrace.catalogue.tables import metadata, version
from tailrace.errors import ConfigurationError

HEAD = "0003"
"""The newest revision in `migrations/versions`."""


def prepare(engine: Engine) -> None:
    """Bring a database to the newest version. Many processes may do so at once.

    Raises:
        ConfigurationError: it cannot be opened or written, it is another program's, or a
            newer tailrace has changed it.
        StorageUnavailable, StorageFull: it does not answer.
    """
    try:
        with dialects.for_writing(engine).begin() as connection:
            revision = _find_revision(connection)
            if revision is None:
                _create(connection)
            # To begin is no proof: of a file that is read-only SQLite makes a reader.
            connection.execute(update(version).where(false()), {"version_num": HEAD})
        if revision not in (None, HEAD):
            _migrate(engine, revision)
    except DBAPIError as exc:
        raise dialects.opening_fault(exc, engine.url) from exc


def _find_revision(connection: Connection) -> str | None:
    """Return the database's version, or None where it is empty."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if version.name in tables:
        revision: str | None = connection.scalar(select(version.c.version_num))
        if revision is not None:
            return revision
    raise ConfigurationError(
        f"the database {_shown(connection.engine)} has tables but no catalogue of tailrace; "
        "give tailrace a database of its own"
    )


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    version.create(connection)
    connection.execute(insert(version), {"version_num": HEAD})


def _migrate(engine: Engine, revision: str) -> None:
    from tailrace.catalogue import migrations  # late, for the sake of Alembic's import

    if not migrations.is_known(revision):
        raise ConfigurationError(
            f"the catalogue {_shown(engine)} is of version {revision}, made by a newer "
            f"tailrace; this one knows versions up to {HEAD}: pip install --upgrade tailrace"
        )
    with dialects.rebuilding(engine) as connection:
        migrations.upgrade(connection)


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
