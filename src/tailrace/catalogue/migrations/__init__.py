"""How old tables become new ones, by Alembic. Imported only when a database is not new.

`versions/` has one module a change. A change to `tailrace.catalogue.tables` needs the next
one there, and its number in `tailrace.catalogue.schema.HEAD`; the tests compare both ways.
SQLite changes a column only by `op.batch_alter_table`. Released modules are never edited.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

SCRIPTS = Path(__file__).parent


def is_known(revision: str) -> bool:
    """Whether there is a way from this revision to the newest."""
    revisions = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in revisions)


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision, within the connection's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # Options are read with interpolation, in which a percent sign must be doubled.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
