"""The log in a PostgreSQL database, for many processes on many hosts: durable when `append` returns, whatever the role is set to."""

from __future__ import annotations

from synchromesh.log.agreement import Place, Version, known_only
from synchromesh.log.postgres.log import PostgresLog
from synchromesh.log.postgres.tables import KINDS, PART
from synchromesh.postgres import schema
from synchromesh.postgres.database import SCHEMA, Database, database


def open_log(place: Place) -> PostgresLog:
    """The log in the database of the place's address, in the schema that its setting `schema` names. Its tables are made or migrated where
    that is needed and the role may do it.

    Raises `ValueError` for an address or settings that can't be meant, and `LogError` or a kind of it, before anything is written, for a
    server that can't be used and for a schema of another program, another installation or a newer version.
    """
    return PostgresLog(_database(place), place.archive, place.installation)


def version_of(place: Place) -> Version:
    """Of which version the log's tables are; nothing is changed. Raises as `open_log` does."""
    where, wanted = _database(place), len(PART.steps)
    found = schema.version_of(where, PART, place.installation, KINDS)
    return Version(str(where), str(found or ""), str(wanted), due=found < wanted)


def _database(place: Place) -> Database:
    known_only(place, "schema")
    return database(place.address, str(place.more.get("schema", SCHEMA)))
