"""Each partition is leased by itself, and the store remembers which log its positions are of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables anew: a lease holds no longer than its process, and this one is only starting."""
    op.drop_table("lease")
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "origin",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("log", sa.Text, nullable=False),
    )
