"""The store as it was at one committed moment: a connection of its own that can't write, inside one transaction."""

from __future__ import annotations

from typing import Final

import psycopg

from synchromesh.postgres.connections import Connection
from synchromesh.postgres.database import Database
from synchromesh.state.postgres.identities import ReadIdentities, Segment
from synchromesh.state.postgres.loads import PostgresLoads, Statements, rows
from synchromesh.state.postgres.partitions import Partitions
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import told

_ATTEMPTS: Final = 5
_SEGMENTS: Final = "SELECT partition, segment, newest, indexed FROM {schema}.identity_segment ORDER BY partition, segment"


class PostgresMoment(PostgresLoads):
    """`Moment` on one schema. Used by one thread at a time. While it is open the server keeps what is overwritten, in all its databases."""

    def __init__(self, database: Database) -> None:
        self._session = Session(database)
        self._partitions = Partitions(self._session)
        self._statements = Statements(self._session)
        self._identities: ReadIdentities = ReadIdentities(self._session)
        try:
            self._positions = self._session.ask("reading the state", self._begin)
        except BaseException:
            self._session.close()
            raise

    def _begin(self, connection: Connection) -> dict[str, int]:
        for _ in range(_ATTEMPTS):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                return self._look(connection)
            except psycopg.errors.UndefinedTable:
                # A segment has left since the look, and its table is gone: what this moment would say of it can't be told any more.
                connection.execute("ROLLBACK")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return self._look(connection)

    def _look(self, connection: Connection) -> dict[str, int]:
        """The first look makes the moment; tables that may be dropped while it lasts are held."""
        sql = self._session.sql
        found = rows(connection, sql("SELECT name, position FROM {schema}.partition WHERE position > 0"), ())
        segments = [Segment(*each) for each in rows(connection, sql(_SEGMENTS), ())]
        if segments:
            tables = ", ".join(f"{{schema}}.{segment.table}" for segment in segments)
            connection.execute(sql(f"LOCK TABLE {tables} IN ACCESS SHARE MODE"))
        return {told(name): position for name, position in found}

    def positions(self) -> dict[str, int]:
        return dict(self._positions)

    def close(self) -> None:
        self._session.close()
