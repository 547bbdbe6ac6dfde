"""The log in a PostgreSQL database, for many processes on many hosts: durable when `append` returns, whatever the role is set to."""

from __future__ import annotations

from synchromesh.log.agreement import Place, known_only
from synchromesh.log.postgres.log import PostgresLog
from synchromesh.postgres.database import SCHEMA, database


def open_log(place: Place) -> PostgresLog:
    """The log in the database of the place's address, in the schema that its setting `schema` names. Its tables are made or migrated where
    that is needed and the role may do it.

    Raises `ValueError` for an address or settings that can't be meant, and `LogError` or a kind of it, before anything is written, for a
    server that can't be used and for a schema of another program, another installation or a newer version.
    """
    known_only(place, "schema")
    return PostgresLog(database(place.address, str(place.more.get("schema", SCHEMA))), place.archive, place.installation)
