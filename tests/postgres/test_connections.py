"""A database is opened one way: what its address says counts, what is wrong is told before anything is written, and a server that comes
back is used again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from tests.postgres.server import Server

from synchromesh.postgres.connections import DURABLE, Connections, connect, pooled
from synchromesh.postgres.database import Database, database
from synchromesh.postgres.errors import Kinds, in_words


class Failed(Exception):
    """Any kind."""


class Full(Failed):
    """No room."""


class Corrupt(Failed):
    """Damage."""


class Away(Failed):
    """Later, perhaps."""


KINDS = Kinds(Failed, Full, Corrupt, Away)


def test_an_address_may_say_all_that_libpq_knows_and_its_words_win() -> None:
    said = database("postgresql://u:p@a:1,b:2/plant?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3", "other")
    assert "sslmode=verify-full" in said.conninfo
    assert "connect_timeout=3" in said.conninfo
    assert "target_session_attrs=read-write" in said.conninfo
    assert said.sql("SELECT FROM {schema}.part") == b"SELECT FROM other.part"
    assert str(said) == "postgresql://a:1,b:2/plant (schema other)"


@pytest.mark.parametrize(
    ("address", "schema", "why"),
    [
        ("mysql://u@h/d", "synchromesh", "begins with postgresql://"),
        ("host=h password=secret", "synchromesh", "begins with postgresql://"),
        ("postgresql://u:se%cret@h/d?nonsense=1", "synchromesh", "can't be read"),
        ("postgresql://u@h/d?nonsense=1", "synchromesh", "can't be read"),
        ("postgresql://u@h/d", "pg_own", "no name here"),
        ("postgresql://u@h/d", 'a"; DROP TABLE b', "no name here"),
        ("postgresql://u@h/d", "", "no name here"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(address: str, schema: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        database(address, schema)
    assert "secret" not in str(error.value)
    assert "cret" not in str(error.value)


def test_a_wrong_password_and_a_wrong_database_are_told_at_once(postgres_server: Server) -> None:
    postgres_server.run("CREATE ROLE plain LOGIN PASSWORD 'right'")
    try:
        connect(database(postgres_server.address(user="plain", password="right")), KINDS).close()
        for address in (
            postgres_server.address(user="plain", password="wrong"),
            postgres_server.address(user="plain"),
            postgres_server.address(user="unheard", password="wrong"),
            postgres_server.address("unheard"),
        ):
            with pytest.raises(Failed, match="address are right") as error:
                connect(database(address), KINDS)
            assert type(error.value) is Failed
            assert "wrong@" not in str(error.value)
    finally:
        postgres_server.run("DROP ROLE plain")


def test_a_server_that_does_not_answer_may_do_so_later(postgres_server: Server) -> None:
    where = postgres_server.address().replace(str(postgres_server.port), "1")
    with pytest.raises(Away, match="may work later"):
        connect(database(where), KINDS)


def test_a_server_that_is_too_old_is_refused(postgres: str) -> None:
    with pytest.raises(Failed, match="too old: Synchromesh needs 99"):
        connect(database(postgres), KINDS, oldest=990000)


def test_a_database_in_another_encoding_is_refused(postgres_server: Server) -> None:
    postgres_server.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    try:
        with pytest.raises(Failed, match="keeps text as LATIN1"):
            connect(database(postgres_server.address("latin")), KINDS)
    finally:
        postgres_server.run("DROP DATABASE latin")


def test_the_servers_certificate_is_checked_where_the_address_asks_for_it(postgres_server: Server, tmp_path: Path) -> None:
    asked = {"sslmode": "verify-full", "sslrootcert": str(postgres_server.authority)}
    with connect(database(postgres_server.address(**asked)), KINDS) as connection:
        assert connection.pgconn.ssl_in_use
    with pytest.raises(Failed, match="certificate") as error:
        connect(database(postgres_server.address(sslmode="verify-full", sslrootcert=str(_another_authority(tmp_path)))), KINDS)
    assert type(error.value) is Failed


def _another_authority(folder: Path) -> Path:
    path = folder / "other.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


def test_a_direct_connection_prepares_and_one_through_a_pooler_does_not(postgres: str) -> None:
    with connect(database(postgres), KINDS) as connection:
        assert not pooled(connection)


def test_a_commit_is_durable_whatever_the_role_is_set_to(postgres_server: Server, postgres: str) -> None:
    with connect(database(postgres), KINDS) as connection:
        connection.execute("SET synchronous_commit = off")
        with connection.transaction():
            connection.execute(DURABLE.encode())
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
        connection.execute("SET synchronous_commit = remote_apply")
        with connection.transaction():
            connection.execute(DURABLE.encode())
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("remote_apply",)


class TestConnections:
    @pytest.fixture
    def where(self, postgres: str) -> Database:
        return database(postgres)

    def test_a_question_is_answered_after_the_connections_were_cut(self, postgres_server: Server, where: Database) -> None:
        connections = Connections(where, KINDS)
        with connections.one() as one, connections.one() as other:
            assert one is not other
        assert postgres_server.cut(one.info.dbname) == 2
        assert connections.ask("asking", lambda each: each.execute("SELECT 1").fetchone()) == (1,)
        connections.close()

    def test_a_question_is_answered_after_a_restart_and_after_a_crash(self, postgres_server: Server, where: Database) -> None:
        connections = Connections(where, KINDS)
        for again in (postgres_server.restart, postgres_server.crash):
            connections.ask("asking", lambda each: each.execute("SELECT 1"))
            again()
            if again == postgres_server.crash:
                with pytest.raises(Away):
                    connections.ask("asking", lambda each: each.execute("SELECT 1"))
                postgres_server.start()
            assert connections.ask("asking", lambda each: each.execute("SELECT 1").fetchone()) == (1,)
        connections.close()

    def test_a_connection_left_in_a_transaction_is_not_used_again(self, where: Database) -> None:
        connections = Connections(where, KINDS)
        with connections.one() as connection:
            connection.execute("BEGIN")
        assert connection.closed
        with connections.one() as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
        connections.close()
        assert another.closed


@pytest.mark.parametrize(
    ("statement", "kind", "what"),
    [
        ("SELECT * FROM unheard", Corrupt, "tables are missing"),
        ("DO $$BEGIN RAISE SQLSTATE '53100'; END$$", Full, "free space"),
        ("DO $$BEGIN RAISE SQLSTATE 'XX001'; END$$", Corrupt, "restore it from a backup"),
        ("DO $$BEGIN RAISE SQLSTATE '42501'; END$$", Failed, "postgres.md"),
        ("DO $$BEGIN RAISE SQLSTATE '40P01'; END$$", Away, "may work later"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Away, "may work later"),
        ("SELECT 1 / 0", Failed, "PostgreSQL error 22012"),
    ],
)
def test_errors_are_told_in_the_words_of_the_agreement(postgres: str, statement: str, kind: type[Exception], what: str) -> None:
    where = database(postgres)
    connection = connect(where, KINDS)
    with pytest.raises(Failed, match=what) as error, in_words(where, KINDS, "trying"):
        connection.execute(statement.encode())
    assert type(error.value) is kind
    assert str(error.value).startswith("trying: postgresql://127.0.0.1:")
    connection.close()
