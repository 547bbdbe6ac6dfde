"""A part of a schema is made once and whole, migrated while others use it, and refused before anything is written where it is not ours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.postgres.server import Server
from tests.postgres.test_connections import KINDS, Corrupt, Failed

from synchromesh.postgres.connections import connect
from synchromesh.postgres.database import Database, database
from synchromesh.postgres.schema import Part, Step, prepare

FIRST = Step(("CREATE TABLE {schema}.thing (a int)",), serves=1)
SECOND = Step(("ALTER TABLE {schema}.thing ADD COLUMN b int",), serves=1)
THIRD = Step(("ALTER TABLE {schema}.thing DROP COLUMN a",), serves=3)


def _columns(where: Database) -> list[str]:
    with connect(where, KINDS) as connection:
        rows = connection.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'thing' ORDER BY 1")
        return [name for (name,) in rows]


def test_a_part_is_made_and_migrated_and_keeps_its_id(postgres: str) -> None:
    where = database(postgres)
    made = prepare(where, Part("thing", [FIRST]), "plant", KINDS)
    assert prepare(where, Part("thing", [FIRST]), "plant", KINDS) == made
    assert prepare(where, Part("thing", [FIRST, SECOND]), "plant", KINDS) == made
    assert _columns(where) == ["a", "b"]
    other = Step(("CREATE TABLE {schema}.other ()",), serves=1)
    assert prepare(where, Part("other", [other]), "plant", KINDS) != made


def test_many_programs_make_it_once(postgres: str) -> None:
    where = database(postgres)
    with ThreadPoolExecutor(6) as threads:
        ids = set(threads.map(lambda _: prepare(where, Part("thing", [FIRST, SECOND]), "plant", KINDS), range(12)))
    assert len(ids) == 1


def test_an_older_program_goes_on_beside_a_newer_one_as_long_as_that_says_so(postgres: str) -> None:
    where = database(postgres)
    made = prepare(where, Part("thing", [FIRST, SECOND]), "plant", KINDS)
    assert prepare(where, Part("thing", [FIRST]), "plant", KINDS) == made
    prepare(where, Part("thing", [FIRST, SECOND, THIRD]), "plant", KINDS)
    with pytest.raises(Failed, match="serves programs from version 3 on; this program knows version 2"):
        prepare(where, Part("thing", [FIRST, SECOND]), "plant", KINDS)
    assert _columns(where) == ["b"]


def test_a_step_that_fails_leaves_nothing(postgres: str) -> None:
    where = database(postgres)
    with pytest.raises(Failed):
        prepare(where, Part("thing", [FIRST, Step(("SELECT 1 / 0",), serves=1)]), "plant", KINDS)
    with connect(where, KINDS) as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'synchromesh'").fetchone() == (0,)


def test_another_installations_schema_is_refused(postgres: str) -> None:
    where = database(postgres)
    prepare(where, Part("thing", [FIRST]), "plant", KINDS)
    for part in (Part("thing", [FIRST, SECOND]), Part("other", [SECOND])):
        with pytest.raises(Failed, match="belongs to the installation 'plant' and this is 'another'"):
            prepare(where, part, "another", KINDS)
    assert _columns(where) == ["a"]
    assert prepare(database(postgres, "second"), Part("thing", [FIRST]), "another", KINDS)


def test_another_programs_schema_is_refused(postgres_server: Server, postgres: str) -> None:
    where = database(postgres)
    with connect(where, KINDS) as connection:
        connection.execute("CREATE SCHEMA synchromesh")
        connection.execute("CREATE TABLE synchromesh.foreigner ()")
    with pytest.raises(Corrupt, match="another program"):
        prepare(where, Part("thing", [FIRST]), "plant", KINDS)


def test_a_role_without_rights_is_told_so_and_one_with_rights_to_rows_only_is_enough(postgres_server: Server, postgres: str) -> None:
    where = database(postgres)
    postgres_server.run("CREATE ROLE clerk LOGIN PASSWORD 'c'")
    name = postgres.rsplit("/", 1)[1]
    clerk = database(postgres_server.address(name, "clerk", "c"))
    try:
        with pytest.raises(Failed, match=r"permission denied .*postgres\.md"):
            prepare(clerk, Part("thing", [FIRST]), "plant", KINDS)
        made = prepare(where, Part("thing", [FIRST]), "plant", KINDS)
        postgres_server.run("GRANT USAGE ON SCHEMA synchromesh TO clerk", name=name)
        postgres_server.run("GRANT SELECT ON ALL TABLES IN SCHEMA synchromesh TO clerk", name=name)
        assert prepare(clerk, Part("thing", [FIRST]), "plant", KINDS) == made
        with pytest.raises(Failed, match=r"must be owner .*postgres\.md"):
            prepare(clerk, Part("thing", [FIRST, SECOND]), "plant", KINDS)
    finally:
        postgres_server.run("DROP OWNED BY clerk", name=name)
        postgres_server.run("DROP ROLE clerk")
