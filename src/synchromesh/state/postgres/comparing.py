"""Every row of a partition that a fold decides, in the one order in which all stores tell them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from synchromesh.postgres.connections import Connection
from synchromesh.state import encoding
from synchromesh.state.postgres.identities import Segments
from synchromesh.state.postgres.rows import at, position_of
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import told

PAGE: Final = 10_000

_SQL: Final = {
    "position": "SELECT position, now FROM {schema}.partition WHERE number = %s AND position > 0",
    "entity": "SELECT kind, name, value FROM {schema}.entity WHERE partition = %s ORDER BY kind, name",
    "fact": "SELECT at, value FROM {schema}.fact WHERE at >= %s AND at < %s ORDER BY at",
    "posting": "SELECT position, ordinal, value FROM {schema}.posting WHERE partition = %s ORDER BY position, ordinal",
    "outbox": "SELECT position, ordinal, target, lane FROM {schema}.outbox WHERE partition = %s ORDER BY position, ordinal",
    "document": "SELECT number, position, ordinal FROM {schema}.document WHERE partition = %s ORDER BY number",
    "exception": "SELECT position, ordinal, value FROM {schema}.exception WHERE partition = %s ORDER BY position, ordinal",
    "forward": "SELECT value FROM {schema}.forward WHERE partition = %s ORDER BY sequence",
}


class Comparing:
    """The statements that tell rows, for one schema."""

    def __init__(self, session: Session) -> None:
        self._sql = {name: session.sql(sql) for name, sql in _SQL.items()}

    def rows(self, connection: Connection, number: int, segments: Segments) -> Iterator[encoding.Row]:
        """The rows of one committed moment, read a page at a time."""
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield from self.read(connection, number, segments)

    def read(self, connection: Connection, number: int, segments: Segments) -> Iterator[encoding.Row]:
        """The rows as the connection's transaction sees them."""
        found = connection.execute(self._sql["position"], (number,)).fetchone()
        if found is None:
            return
        yield encoding.position_row(*found)
        for kind, name, value in self._read(connection, "entity", number):
            yield encoding.entity_row((told(kind), told(name)), value)
        for row, value in self._read(connection, "fact", at(number, 0), at(number + 1, 0)):
            yield encoding.fact_row(position_of(row), value)
        for position, ordinal, value in self._read(connection, "posting", number):
            yield encoding.posting_row((position, ordinal), value)
        for position, ordinal, target, lane in self._read(connection, "outbox", number):
            yield encoding.outbox_row((position, ordinal), told(target), told(lane))
        for name, position, ordinal in self._read(connection, "document", number):
            yield encoding.document_row(told(name), (position, ordinal))
        for position, ordinal, value in self._read(connection, "exception", number):
            yield encoding.exception_row((position, ordinal), value)
        for index, (value,) in enumerate(self._read(connection, "forward", number)):
            yield encoding.forward_row(index, value)
        for position, identity in segments.all(connection, number):
            yield encoding.identity_row(identity, position)

    def _read(self, connection: Connection, name: str, *values: object) -> Iterator[Any]:
        with connection.cursor("rows", binary=True) as cursor:
            cursor.itersize = PAGE
            cursor.execute(self._sql[name], values)
            yield from cursor
