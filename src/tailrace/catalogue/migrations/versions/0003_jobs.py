"""Runs of producers, so that they outlive the process that began them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("key_hash", sa.LargeBinary),
        sa.Column("is_for_reader", sa.Boolean, nullable=False),
        sa.Column("submitted_at", _MOMENT, nullable=False),
        sa.Column("deadline_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT),
        sa.Column("worker", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("progress", sa.Text),
        sa.PrimaryKeyConstraint("file_id", name="pk_jobs"),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name="fk_jobs_file_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("key_hash", name="uq_jobs_key_hash"),
    )
    where = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_jobs_due_at", "jobs", ["due_at"], sqlite_where=where, postgresql_where=where
    )
