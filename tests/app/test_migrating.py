"""`synchromesh migrate` makes what is missing, brings up what is older, leaves alone what is newer, and says so before."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.app.test_settings import GOOD
from tests.nats.server import Server as Nats
from tests.postgres.server import Server
from tests.postgres.test_rights import PAGE

from synchromesh.app.holding import Holding
from synchromesh.cli import run
from synchromesh.cli.frame import Code
from synchromesh.log.sqlite import SCHEMA
from synchromesh.log.sqlite import SqliteLog as Log
from synchromesh.state.migrations import CURRENT
from synchromesh.state.sqlite.schema import APPLICATION
from synchromesh.state.sqlite.store import SqliteState


class Installation:
    """A configuration, and what `migrate` says of it."""

    def __init__(self, folder: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = folder / "data"
        self.config = folder / "synchromesh.toml"
        self.config.write_text(f'{GOOD}[synchromesh]\ndata = "{self.data}"\n{where}')
        self._capsys = capsys

    def migrate(self, *words: str) -> tuple[int, dict[str, Any]]:
        code = run(["migrate", "--config", str(self.config), "--json", *words])
        return code, json.loads(self._capsys.readouterr().out)

    def refused(self, *words: str) -> str:
        assert run(["migrate", "--config", str(self.config), *words]) == Code.UNREACHED
        return self._capsys.readouterr().err


@pytest.fixture
def installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installation:
    return Installation(tmp_path, "", capsys)


def _execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def _older(data: Path) -> None:
    """Log and state as the first programs left them."""
    data.mkdir()
    Log(data / "log.db").close()
    _execute(data / "log.db", "DROP TABLE log", "PRAGMA user_version = 1")
    _execute(data / "state.db", "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)", f"PRAGMA application_id = {APPLICATION}")


def _found(told: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(told[name]["found"], told[name]["wanted"], told[name]["due"]) for name in ("log", "state")]


def test_what_is_missing_is_made(installation: Installation) -> None:
    code, told = installation.migrate("--dry-run")
    assert (code, told["done"]) == (Code.PROBLEMS, False)
    assert _found(told) == [("", str(SCHEMA), True), ("", CURRENT, True)]
    assert not list(installation.data.glob("*.db"))
    code, told = installation.migrate()
    assert (code, told["done"]) == (Code.OK, True)
    assert installation.migrate("--dry-run")[0] == Code.OK


def test_what_is_older_is_brought_up_and_nothing_before_that(installation: Installation) -> None:
    _older(installation.data)
    before = [(installation.data / name).read_bytes() for name in ("log.db", "state.db")]
    code, told = installation.migrate("--dry-run")
    assert code == Code.PROBLEMS
    assert _found(told) == [("1", str(SCHEMA), True), ("", CURRENT, True)]
    assert [(installation.data / name).read_bytes() for name in ("log.db", "state.db")] == before
    assert installation.migrate()[0] == Code.OK
    code, told = installation.migrate("--dry-run")
    assert (code, _found(told)) == (Code.OK, [(str(SCHEMA), str(SCHEMA), False), (CURRENT, CURRENT, False)])


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_newer_state_leaves_the_older_log_alone(installation: Installation, words: tuple[str, ...]) -> None:
    _older(installation.data)
    (installation.data / "state.db").unlink()
    SqliteState(installation.data / "state.db").close()
    _execute(installation.data / "state.db", "UPDATE alembic_version SET version_num = '9999'")
    before = (installation.data / "log.db").read_bytes()
    assert "schema 9999, which this program" in installation.refused(*words)
    assert (installation.data / "log.db").read_bytes() == before


def test_a_newer_log_is_refused(installation: Installation) -> None:
    installation.migrate()
    _execute(installation.data / "log.db", "PRAGMA user_version = 99")
    assert "has schema 99 and this program knows schema" in installation.refused()


def test_files_that_somebody_works_on_are_not_touched(installation: Installation) -> None:
    holding = Holding(installation.data, "")
    try:
        assert run(["migrate", "--config", str(installation.config)]) == Code.USAGE
    finally:
        holding.release()
    assert not list(installation.data.glob("*.db"))


def test_the_owner_migrates_for_a_role_that_may_not(
    postgres_server: Server, postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgres.rsplit("/", 1)[1]

    def of(role: str, password: str) -> Installation:
        (tmp_path / role).mkdir()
        where = f'address = "{postgres_server.address(name, role, password)}"\n'
        return Installation(tmp_path / role, f"[log]\n{where}[state]\n{where}schema = 'synchromesh'\n", capsys)

    block = re.search(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block
    for statement in filter(None, block[1].splitlines()):
        postgres_server.run(statement, name=name)
    try:
        owner, worker = of("synchromesh_owner", "change%20me"), of("synchromesh", "change%20me%20too")
        assert worker.migrate("--dry-run")[0] == Code.PROBLEMS
        assert "let their owner run synchromesh migrate" in worker.refused()
        assert owner.migrate()[0] == Code.OK
        code, told = worker.migrate()
        assert (code, _found(told)) == (Code.OK, [("1", "1", False), (CURRENT, CURRENT, False)])
        postgres_server.run("UPDATE synchromesh.alembic_version SET version_num = '9999'", name=name)
        assert "a newer one wrote it" in owner.refused()
    finally:
        for role in ("synchromesh_owner", "synchromesh"):
            postgres_server.run(f"DROP OWNED BY {role} CASCADE", name=name)
            postgres_server.run(f"DROP ROLE {role}")


def test_a_stream_is_made_and_then_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Nats(tmp_path / "nats") as server:
        installation = Installation(tmp_path, f'[log]\naddress = "{server.address}"\n', capsys)
        assert _found(installation.migrate("--dry-run")[1])[0] == ("", "1", True)
        assert _found(installation.migrate("--dry-run")[1])[0] == ("", "1", True)
        assert installation.migrate()[0] == Code.OK
        assert _found(installation.migrate("--dry-run")[1])[0] == ("1", "1", False)
