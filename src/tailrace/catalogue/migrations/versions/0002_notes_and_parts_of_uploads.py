"""What a client is told again of its upload, and uploads that become parts of others."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("uploads", sa.Column("notes", sa.Text))
    op.add_column(
        "uploads",
        sa.Column("is_partial", sa.Boolean, nullable=False, server_default=sa.false()),
    )
