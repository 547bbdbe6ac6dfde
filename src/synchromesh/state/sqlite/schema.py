"""Opening a store's file: made if missing, brought up to date, refused if it is damaged, foreign or of a newer program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from synchromesh.log.agreement import Version
from synchromesh.sqlite.database import Kinds, connect, create, damaged, in_words, query, told
from synchromesh.sqlite.lock import WriterLock
from synchromesh.state.agreement import StateCorrupt, StateError, StateFull
from synchromesh.state.migrations import CURRENT

KINDS: Final = Kinds(StateError, StateFull, StateCorrupt)
APPLICATION: Final = 0x534D5354  # "SMST": what `file` and SQLite's header say this is.


@contextmanager
def in_state_words(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite, the system or the decoder of rows says into the agreement's exceptions."""
    with in_words(path, KINDS, doing):
        try:
            yield
        except msgspec.DecodeError as error:
            raise damaged(path, KINDS, f"{doing}: a row can't be read: {error}") from error


def prepare(path: Path, lock: WriterLock) -> None:
    """Make sure that the file is a store with the schema of this program. Migrations run in one transaction."""
    with lock:
        if not path.exists():
            create(path, _build)
            return
        connection = connect(path, cache_kib=1024)
        try:
            revision = _revision(connection, path)
        finally:
            connection.close()
        if revision != CURRENT:
            _migrate(path, revision)


def check(connection: apsw.Connection, path: Path) -> None:
    """Refuse a store that is not exactly of this program's schema; for those who only read."""
    revision = _revision(connection, path)
    if revision != CURRENT:
        raise StateError(f"{path} has schema {revision}, this program needs {CURRENT}; run synchromesh migrate, or start the system once")


def _revision(connection: apsw.Connection, path: Path) -> str:
    if query(connection, "PRAGMA application_id")[0][0] != APPLICATION:
        raise damaged(path, KINDS, "it is a database, but not a state of Synchromesh")
    row = query(connection, "SELECT version_num FROM alembic_version")
    return str(row[0][0]) if row else ""


def _build(path: Path) -> None:
    connection = apsw.Connection(str(path))
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
    finally:
        connection.close()
    _upgrade(path)


def version_of(path: Path) -> Version:
    """Of which revision the file is; nothing is changed. Raises `StateError` or one of its kinds for one that can't be migrated."""
    if not path.exists():
        return Version(str(path), "", CURRENT, due=True)
    with in_state_words(path, "opening the state"):
        connection = connect(path, cache_kib=1024, read_only=True)
        try:
            revision = _revision(connection, path)
        finally:
            connection.close()
    _refuse_newer(path, revision)
    return Version(str(path), revision, CURRENT, due=revision != CURRENT)


def _migrate(path: Path, revision: str) -> None:
    _refuse_newer(path, revision)
    _upgrade(path)


def _refuse_newer(path: Path, revision: str) -> None:
    from synchromesh.state.migrations.upgrade import knows  # noqa: PLC0415 - loads Alembic, which a current store never needs

    if revision and not knows(revision):
        raise StateCorrupt(
            f"{path} has schema {revision}, which this program (schema {CURRENT}) does not know: a newer one wrote it; use that program"
        )


def _upgrade(path: Path) -> None:
    import sqlite3  # noqa: PLC0415 - SQLAlchemy speaks to SQLite through it; nobody else has the file open in this process

    from sqlalchemy import create_engine, event  # noqa: PLC0415 - as above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    from synchromesh.state.migrations.upgrade import upgrade  # noqa: PLC0415

    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=NullPool)
    # The connection leaves transactions to us, so that a migration is done whole or not at all.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            upgrade(connection)
    except DBAPIError as error:
        code: int = getattr(error.orig, "sqlite_errorcode", apsw.SQLITE_ERROR)
        raise told(code, str(error.orig), path, KINDS, "bringing the state up to date") from error


def open_existing(path: Path, cache_kib: int) -> apsw.Connection:
    """A reading connection to a store that is there. Raises `StateError` when it is not."""
    with in_state_words(path, "opening the state"):
        if not path.exists():
            raise StateError(f"there is no state at {path}; start the system once, or give the directory that it works in")
        connection = connect(path, cache_kib=cache_kib, read_only=True)
        try:
            check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection
