"""The store in a schema of a PostgreSQL database: any number of workers, dispatchers and readers, on any hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synchromesh.log.agreement import Place
    from synchromesh.postgres.database import Database
    from synchromesh.state.agreement import Outbox, Reading, State

SCHEMA: Final = "synchromesh_state"
"""The schema, where nothing else is said: another one than the log's, so that both may be in one database."""


def open_state(place: Place) -> State:
    """Open as a worker; the schema is made or brought up to date first. Raises `StateError` or one of its kinds, and `ValueError` for an
    address or settings that can't be."""
    from synchromesh.state.postgres.store import PostgresState  # noqa: PLC0415 - who only reads need not load it

    return PostgresState(_database(place), place.installation)


def open_outbox(place: Place) -> Outbox:
    """Open as a dispatcher. Raises `StateError` where there is no store yet."""
    from synchromesh.state.postgres.outbox import PostgresOutbox  # noqa: PLC0415 - as above

    return PostgresOutbox(_database(place))


def open_reading(place: Place) -> Reading:
    """Open for questions only. Raises `StateError` where there is no store yet."""
    from synchromesh.state.postgres.reading import PostgresReading  # noqa: PLC0415 - as above

    return PostgresReading(_database(place))


def set_aside(place: Place, mark: str) -> None:
    """Let the store be empty and bound to `mark`, in one transaction. Nothing is known of its claims then."""
    from synchromesh.state.postgres.aside import set_aside  # noqa: PLC0415 - as above

    set_aside(_database(place), place.installation, mark)


def _database(place: Place) -> Database:
    from synchromesh.log.agreement import known_only  # noqa: PLC0415 - as above
    from synchromesh.postgres.database import database  # noqa: PLC0415 - as above

    known_only(place, "schema")
    return database(place.address, str(place.more.get("schema", SCHEMA)))
