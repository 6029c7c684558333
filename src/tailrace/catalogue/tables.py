"""The catalogue's tables.

Each has the columns of its record, by name and in order, so that a row is a record. The
same tables are made by the migrations; a test holds the two together.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.exc import DontWrapMixin

from tailrace.catalogue.records import (
    CredentialRecord,
    FileRecord,
    FileState,
    JobRecord,
    LinkRecord,
    Origin,
    UploadRecord,
)


class NaiveMoment(ValueError, DontWrapMixin):
    """A datetime without a time zone, of which nobody can say what moment it is."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept and given back in UTC.

    SQLite keeps no zone, and text of one width: there the order of the text is the order
    of the moments only because every one of them is in UTC.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise NaiveMoment(f"{value!r} has no time zone; give an aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text_of(members: type[enum.Enum]) -> Enum:
    # Plain text and no list of values in the schema: a new member needs no migration.
    return Enum(
        members,
        native_enum=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("blob", Text, nullable=False, unique=True),
    Column("state", _text_of(FileState), nullable=False),
    Column("length", BigInteger),
    Column("complete_length", BigInteger),
    Column("sha256", LargeBinary),
    Column("origin", _text_of(Origin), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sealed_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", Text),
    Column("abandoned_at", UtcDateTime),
)

# The records of ended files stay for a while and may be many: what lists or sweeps living
# files has an index of the living only.
_has_not_ended = files.c.ended_at.is_(None)
_is_growing = files.c.state == FileState.GROWING
_has_ended = files.c.ended_at.is_not(None)

Index(
    "ix_files_created_at_id",
    files.c.created_at,
    files.c.id,
    sqlite_where=_has_not_ended,
)
Index(
    "ix_files_expires_at",
    files.c.expires_at,
    sqlite_where=_has_not_ended,
)
Index(
    "ix_files_growing",
    files.c.created_at,
    files.c.id,
    sqlite_where=_is_growing,
)
Index(
    "ix_files_ended_at",
    files.c.ended_at,
    sqlite_where=_has_ended,
)

links = Table(
    "links",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "file_id", Text, ForeignKey("files.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

uploads = Table(
    "uploads",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column(
        "file_id", Text, ForeignKey("files.id", ondelete="CASCADE"), nullable=False, unique=True
    ),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("repr_digest", Text),
    Column("notes", Text),
    Column("is_partial", Boolean, nullable=False, server_default=false()),
)

jobs = Table(
    "jobs",
    metadata,
    Column("file_id", Text, ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("producer", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("key_hash", LargeBinary, unique=True),
    Column("is_for_reader", Boolean, nullable=False),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("deadline_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("worker", Text),
    Column("attempts", Integer, nullable=False),
    Column("progress", Text),
)

Index("ix_jobs_due_at", jobs.c.due_at, sqlite_where=jobs.c.due_at.is_not(None))

credentials = Table(
    "credentials",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key_hash", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Alembic's own table, under a name of ours. It is not in `metadata`: Alembic makes it when
# migrations make the rest.
version = Table(
    "tailrace_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="tailrace_version_pkc"),
)


def row_of(
    table: Table,
    record: FileRecord | LinkRecord | UploadRecord | JobRecord | CredentialRecord,
) -> dict[str, object]:
    """Return a record as the values of its table's columns, by name."""
    return {column.key: getattr(record, column.key) for column in table.c}
