"""Opening a state in a database: made if missing, brought up to date, refused if it is of a newer program, before anything is written."""

from __future__ import annotations

from typing import Final

import psycopg

from synchromesh.log.agreement import Version
from synchromesh.postgres.connections import Connection
from synchromesh.postgres.schema import Part, Step
from synchromesh.postgres.schema import prepare as prepare_part
from synchromesh.postgres.schema import version_of as version_of_part
from synchromesh.state.agreement import StateCorrupt, StateError
from synchromesh.state.migrations import CURRENT
from synchromesh.state.postgres.session import KINDS, Session, in_state_words

LOCK_SECONDS: Final = 60
"""How long a migration waits for programs of the version before it to finish what they are doing; then it gives up and changes nothing."""

_MADE: Final = "SELECT to_regclass(%s) IS NOT NULL"

_PART: Final = Part("state", (Step((), serves=1),))
"""That the schema holds a state, and of which installation. What its tables are, the migrations know, which it shares with other stores."""


def prepare(session: Session, installation: str) -> None:
    """Make sure that the schema is this program's. Many programs may do so at once: the first one migrates, the others wait.

    Raises before anything is written: for a schema of another program or another installation, and for one of a newer program."""
    prepare_part(session.database, _PART, installation, KINDS)
    revision = session.ask("opening the state", lambda connection: _revision(session, connection))
    if revision == CURRENT:
        return
    if revision:
        _refuse_newer(session, revision)
    with in_state_words(session.database, "bringing the state up to date"):
        _upgrade(session)


def version_of(session: Session, installation: str) -> Version:
    """Of which revision the schema is; nothing is changed. Raises as `prepare` does."""
    version_of_part(session.database, _PART, installation, KINDS)
    revision = session.ask("opening the state", lambda connection: _revision(session, connection))
    if revision and revision != CURRENT:
        _refuse_newer(session, revision)
    return Version(str(session.database), revision, CURRENT, due=revision != CURRENT)


def check(session: Session) -> None:
    """Refuse a store that is not exactly of this program's schema; for those who only read or claim."""
    revision = session.ask("opening the state", lambda connection: _revision(session, connection))
    if not revision:
        raise StateError(f"there is no state at {session.database}; start the system once, or correct the address")
    if revision != CURRENT:
        raise StateError(
            f"{session.database} has schema {revision}, this program needs {CURRENT}; run synchromesh migrate, or start the system once"
        )


def _revision(session: Session, connection: Connection) -> str:
    """The schema's revision, '' where there is none."""
    found = connection.execute(_MADE, (f"{session.database.schema}.alembic_version",)).fetchone()
    if not found or not found[0]:
        return ""
    row = connection.execute(session.sql("SELECT version_num FROM {schema}.alembic_version")).fetchone()
    return str(row[0]) if row else ""


def _refuse_newer(session: Session, revision: str) -> None:
    from synchromesh.state.migrations.upgrade import knows  # noqa: PLC0415 - loads Alembic, which a current store never needs

    if not knows(revision):
        raise StateCorrupt(
            f"{session.database} has schema {revision}, which this program (schema {CURRENT}) does not know: a newer one wrote it; "
            "nothing was changed: use that program"
        )


def _upgrade(session: Session) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415 - as above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    from synchromesh.state.migrations.upgrade import upgrade  # noqa: PLC0415

    schema = session.database.schema
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(session.database.conninfo), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            run = connection.exec_driver_sql
            run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"synchromesh migration of {schema}",))
            run(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            run(f"SET LOCAL search_path TO {schema}")
            upgrade(connection)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise
    finally:
        engine.dispose()
