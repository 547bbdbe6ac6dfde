"""The schema: migrations make what `tables` says, older stores are brought up, newer ones are refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from tests.contracts.state import P, lease

from synchromesh.state.agreement import CauseRow, StateCorrupt, StateError
from synchromesh.state.migrations import CURRENT, upgrade
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.schema import APPLICATION
from synchromesh.state.sqlite.store import SqliteState
from synchromesh.state.tables import METADATA


def _execute(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    SqliteState(tmp_path / "state.db").close()
    with create_engine(f"sqlite:///{tmp_path / 'state.db'}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_revision_known_without_alembic_is_the_newest() -> None:
    assert upgrade.head() == CURRENT
    assert upgrade.knows(CURRENT)
    assert not upgrade.knows("9999")


def test_a_store_without_any_revision_is_brought_up(tmp_path: Path) -> None:
    """What a program before the first revision would have left: the migrations run on the file that is there."""
    path = tmp_path / "state.db"
    _execute(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    _execute(path, f"PRAGMA application_id = {APPLICATION}")
    with pytest.raises(StateError, match="start the system once"):
        SqliteReading(path)
    state = SqliteState(path)
    assert lease(state)[P] == 1
    state.close()
    SqliteReading(path).close()


def test_a_store_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StateCorrupt, match=r"schema 9999, .* a newer one wrote it; use that program"):
        SqliteState(path)
    for open_it in (SqliteOutbox, SqliteReading):
        with pytest.raises(StateError, match="schema 9999"):
            open_it(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    _execute(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    _execute(path, f"PRAGMA application_id = {APPLICATION}")
    _execute(path, "CREATE TABLE identity_segment (in_the_way INTEGER)")
    with pytest.raises(StateError, match=r"state\.db: table identity_segment already exists"):
        SqliteState(path)
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert tables == {"alembic_version", "identity_segment"}


def test_exceptions_of_the_first_release_are_found_by_their_cause(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    for index in ("exception_of_cause", "exception_in_cause"):
        _execute(path, f"DROP INDEX {index}")
    for column in ("category", "subject", "of_order", "facts"):
        _execute(path, f"ALTER TABLE exception DROP COLUMN {column}")
    _execute(path, "DROP TABLE origin")
    _execute(path, "UPDATE alembic_version SET version_num = '0001'")
    _execute(path, "INSERT INTO partition VALUES (1, 'oslo', 5, 0)")
    row = msgspec.msgpack.encode([5, 0, "unknown item", "item X", "s", "r", "open", "4711", "", 7]).hex()
    _execute(path, f"INSERT INTO exception VALUES (1, 5, 0, 'open', 7, x'{row}')")
    SqliteState(path).close()
    reading = SqliteReading(path)
    assert reading.causes() == [CauseRow("oslo", "unknown item", "item X", 1, 1, 1, 7)]
    reading.close()
