"""The first tables: files, links, uploads, credentials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_files()
    _create_links()
    _create_uploads()
    _create_credentials()


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("length", sa.BigInteger),
        sa.Column("complete_length", sa.BigInteger),
        sa.Column("sha256", sa.LargeBinary),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("sealed_at", _MOMENT),
        sa.Column("expires_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("reason", sa.Text),
        sa.Column("abandoned_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.UniqueConstraint("blob", name="uq_files_blob"),
    )
    for name, columns, where in (
        ("ix_files_created_at_id", ["created_at", "id"], "ended_at IS NULL"),
        ("ix_files_expires_at", ["expires_at"], "ended_at IS NULL"),
        ("ix_files_growing", ["created_at", "id"], "state = 'growing'"),
        ("ix_files_ended_at", ["ended_at"], "ended_at IS NOT NULL"),
    ):
        op.create_index(
            name, "files", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name="fk_links_file_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("token_hash", name="uq_links_token_hash"),
    )
    op.create_index("ix_links_file_id", "links", ["file_id"])


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("repr_digest", sa.Text),
        sa.PrimaryKeyConstraint("key_hash", name="pk_uploads"),
        sa.UniqueConstraint("file_id", name="uq_uploads_file_id"),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name="fk_uploads_file_id", ondelete="CASCADE"
        ),
    )


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_credentials"),
    )
