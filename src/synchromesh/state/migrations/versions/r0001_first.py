"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables of the first release."""
    op.create_table(
        "lease",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
    )
    op.create_table(
        "partition",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("now", sa.BigInteger, nullable=False),
    )
    _plant_tables()
    _outgoing_tables()
    _identity_tables()


def _number(name: str, kind: type[sa.types.TypeEngine[int]] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _plant_tables() -> None:
    op.create_table(
        "entity",
        _number("partition", sa.Integer),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table("fact", sa.Column("at", sa.Integer, primary_key=True), sa.Column("value", sa.LargeBinary, nullable=False))
    op.create_table(
        "document",
        _number("partition", sa.Integer),
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "exception",
        _number("partition", sa.Integer),
        _number("position"),
        _number("ordinal", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("exception_open", "exception", ["opened"], sqlite_where=sa.text("state = 'open'"))


def _outgoing_tables() -> None:
    op.create_table(
        "posting",
        _number("partition", sa.Integer),
        _number("position"),
        _number("ordinal", sa.Integer),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        _number("partition", sa.Integer),
        _number("position"),
        _number("ordinal", sa.Integer),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("outbox_of_target", "outbox", ["target", "partition", "added", "position", "ordinal"])
    op.create_table(
        "forward",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _identity_tables() -> None:
    op.create_table(
        "identity_segment",
        _number("partition", sa.Integer),
        _number("segment"),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.Column("indexed", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_filter",
        _number("partition", sa.Integer),
        _number("segment"),
        sa.Column("bits", sa.LargeBinary, nullable=False),
    )
