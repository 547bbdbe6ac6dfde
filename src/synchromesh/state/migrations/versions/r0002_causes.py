"""Exceptions are found by their cause: category and subject get columns and an index of what is open."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROW = sa.table(
    "exception",
    *(sa.column(name) for name in ("partition", "position", "ordinal", "value", "category", "subject", "of_order", "facts")),
)


def upgrade() -> None:
    """Add the columns, fill them from the rows, and make the index."""
    for name in ("category", "subject", "of_order"):
        op.add_column("exception", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("exception", sa.Column("facts", sa.BigInteger, nullable=False, server_default="1"))
    connection = op.get_bind()
    for partition, position, ordinal, value in connection.execute(
        sa.select(_ROW.c.partition, _ROW.c.position, _ROW.c.ordinal, _ROW.c.value)
    ).fetchall():
        fields = msgspec.msgpack.decode(value)
        connection.execute(
            sa.update(_ROW)
            .where(_ROW.c.partition == partition, _ROW.c.position == position, _ROW.c.ordinal == ordinal)
            .values(category=fields[2], subject=fields[3], of_order=fields[7])
        )
    op.create_index(
        "exception_of_cause",
        "exception",
        ["category", "subject", "partition", "of_order", "facts", "opened", "state"],
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "exception_in_cause",
        "exception",
        ["category", "subject", "partition", "position", "ordinal"],
        sqlite_where=sa.text("state = 'open'"),
    )
