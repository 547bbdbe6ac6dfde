"""Emptying a store in a database, so that it is made again in its place."""

from __future__ import annotations

from typing import Final

from synchromesh.postgres.database import Database
from synchromesh.state.postgres.loads import rows
from synchromesh.state.postgres.schema import prepare
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept

_EMPTY: Final = (
    "DELETE FROM {schema}.partition",
    "DELETE FROM {schema}.entity",
    "DELETE FROM {schema}.fact",
    "DELETE FROM {schema}.posting",
    "DELETE FROM {schema}.outbox",
    "DELETE FROM {schema}.document",
    "DELETE FROM {schema}.exception",
    "DELETE FROM {schema}.forward",
    "DELETE FROM {schema}.identity_segment",
    "DELETE FROM {schema}.identity_filter",
    "DELETE FROM {schema}.claims",
    "DELETE FROM {schema}.origin",
)
"""Tables of what a log makes, and of what is known of it. Leases stay, so that who had an epoch before writes nothing any more."""

_IDENTITIES: Final = r"SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename ~ '^identity_\d+_\d+_\d+$'"


def set_aside(database: Database, installation: str, mark: str) -> None:
    """Empty the store and bind it to `mark`: both or nothing. Rows are deleted, since a program need not own the tables."""
    session = Session(database)
    try:
        prepare(session, installation)
        sql = session.sql
        with session.transaction("setting the state aside") as connection:
            connection.execute("SET LOCAL lock_timeout = '60s'")
            for statement in _EMPTY:
                connection.execute(sql(statement))
            for (table,) in rows(connection, sql(_IDENTITIES), (database.schema,)):
                connection.execute(sql("SELECT {schema}.drop_identities(%s)"), (table,))
            connection.execute(sql("INSERT INTO {schema}.origin VALUES (1, %s)"), (kept(mark),))
    finally:
        session.close()
