"""Orders from pages, and why data sets do not match."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "orders",
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("transaction", sa.String(), nullable=True),
        sa.Column("placed", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("purpose"),
    )
    op.add_column("requests", sa.Column("matches", sa.JSON(), nullable=True))


def downgrade() -> None:
    """To the version before."""
    op.drop_column("requests", "matches")
    op.drop_table("orders")
