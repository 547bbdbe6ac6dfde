"""The schema: migrations make what `tables` says, older stores are brought up, newer ones are refused."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from tests.contracts.state import P, lease

from synchromesh.plant.rows import Changes
from synchromesh.postgres.connections import connect
from synchromesh.postgres.database import database
from synchromesh.state.agreement import CauseRow, StateCorrupt, StateError
from synchromesh.state.migrations import CURRENT, upgrade
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.session import KINDS
from synchromesh.state.postgres.store import PostgresState
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


def _differences(connection: Connection) -> list[Any]:
    """What the migrated database has otherwise than the tables say, of what they say of this kind of database."""
    dialect = connection.dialect.name

    def included(item: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
        of_its_own = reflected and name is not None and re.match(r"identity_\d|part$", name)
        return not of_its_own and item.info.get("only", dialect) == dialect

    options = {"include_object": included, "compare_type": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    return found


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    SqliteState(tmp_path / "state.db").close()
    with create_engine(f"sqlite:///{tmp_path / 'state.db'}").connect() as connection:
        assert _differences(connection) == []


def test_the_migrations_make_the_tables_in_postgresql_and_all_text_has_the_order_of_its_code_points(postgres: str) -> None:
    state = PostgresState(database(postgres), "plant")
    state.commit(lease(state), [Changes(P, 1, identities={("mes", "1"): 1})])
    state.close()
    address = postgres.replace("postgresql://", "postgresql+psycopg://") + "?options=-csearch_path%3Dsynchromesh"
    with create_engine(address).connect() as connection:
        assert _differences(connection) == []
        other = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'synchromesh' AND data_type = 'text' "
            "AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'part'"
        )
        assert other.fetchall() == []


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


def _dump(address: str) -> list[tuple[object, ...]]:
    """Every table and column of the schema, and the revision."""
    with connect(database(address), KINDS) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'synchromesh' ORDER BY 1, 2"
        ).fetchall()
        return [*columns, *connection.execute("SELECT version_num FROM synchromesh.alembic_version").fetchall()]


def test_a_schema_of_a_newer_program_is_refused_and_left_alone(postgres: str) -> None:
    where = database(postgres)
    PostgresState(where, "plant").close()
    with connect(where, KINDS) as connection:
        connection.execute("UPDATE synchromesh.alembic_version SET version_num = '9999'")
    before = _dump(postgres)
    with pytest.raises(StateCorrupt, match=r"schema 9999, .* a newer one wrote it; nothing was changed: use that program"):
        PostgresState(where, "plant")
    for open_it in (PostgresOutbox, PostgresReading):
        with pytest.raises(StateError, match="schema 9999"):
            open_it(where)
    assert _dump(postgres) == before


def test_what_is_open_goes_on_beside_a_newer_schema_and_can_not_be_opened_again(postgres: str) -> None:
    """The rule of a rolling upgrade at a store: processes of the older program that run go on, those that start are refused."""
    where = database(postgres)
    state, reading = PostgresState(where, "plant"), PostgresReading(where)
    leased = lease(state)
    with connect(where, KINDS) as connection:
        connection.execute("UPDATE synchromesh.alembic_version SET version_num = '9999'")
    state.commit(leased, [Changes(P, 1)])
    assert reading.positions()[P] == 1
    with pytest.raises(StateCorrupt, match="a newer one wrote it"):
        PostgresState(where, "plant")
    with pytest.raises(StateError, match="schema 9999"):
        PostgresReading(where)
    with connect(where, KINDS) as connection:
        connection.execute(f"UPDATE synchromesh.alembic_version SET version_num = '{CURRENT}'")
    PostgresState(where, "plant").close()
    reading.close()
    state.close()


def test_a_database_without_a_state_is_told_of(postgres: str) -> None:
    for open_it in (PostgresOutbox, PostgresReading):
        with pytest.raises(StateError, match=r"there is no state at postgresql://.*start the system once"):
            open_it(database(postgres))


def test_a_state_of_another_installation_is_refused(postgres: str) -> None:
    PostgresState(database(postgres), "plant").close()
    before = _dump(postgres)
    with pytest.raises(StateError, match="belongs to the installation 'plant' and this is 'other'"):
        PostgresState(database(postgres), "other")
    assert _dump(postgres) == before


def test_many_programs_migrate_once(postgres: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for state in threads.map(lambda _: PostgresState(database(postgres), "plant"), range(4)):
            state.close()
    assert _dump(postgres)[-1] == (CURRENT,)


def test_a_migration_of_a_database_that_fails_changes_nothing(postgres: str) -> None:
    where = database(postgres)
    PostgresState(where, "plant").close()
    with connect(where, KINDS) as connection:
        connection.execute("DROP SCHEMA synchromesh CASCADE")
        connection.execute("CREATE SCHEMA synchromesh")
        connection.execute("CREATE TABLE synchromesh.part (name text PRIMARY KEY, version int, serves int, id text, installation text)")
        connection.execute("CREATE TABLE synchromesh.identity_segment (in_the_way int)")
    with pytest.raises(StateError, match='relation "identity_segment" already exists'):
        PostgresState(where, "plant")
    with connect(where, KINDS) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'synchromesh' ORDER BY 1").fetchall()
    assert tables == [("identity_segment",), ("part",)]
