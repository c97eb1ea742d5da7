"""Noisy statistics that an owner's acceptances go with, and what they cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "privacy",
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("epsilon", sa.Float(), nullable=False),
        sa.Column("delta", sa.Float(), nullable=False),
        sa.Column("scale", sa.Float(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("noted", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("request"),
    )


def downgrade() -> None:
    """To the version before."""
    op.drop_table("privacy")
