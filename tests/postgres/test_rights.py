"""The roles of docs/how-to/postgres.md have the rights that are needed, and the one that works has no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.contracts.log import message
from tests.postgres.server import Server

from synchromesh.log.agreement import LogError, Place
from synchromesh.log.postgres import open_log, tables
from synchromesh.postgres.schema import Part, Step

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "postgres.md"


def _statements() -> list[str]:
    block = re.search(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block
    return [line for line in block[1].splitlines() if line]


def test_the_roles_of_the_page_are_enough(postgres_server: Server, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = postgres.rsplit("/", 1)[1]
    owner, worker = (
        Place(postgres_server.address(name, role, password), tmp_path, tmp_path / "archive")
        for role, password in (("synchromesh_owner", "change%20me"), ("synchromesh", "change%20me%20too"))
    )
    for statement in _statements():
        postgres_server.run(statement, name=name)
    try:
        with pytest.raises(LogError, match=r"permission denied .*postgres\.md"):
            open_log(worker)
        open_log(owner).close()
        log = open_log(worker)
        assert log.append([message(), message()]) == [1, 2]
        log.trim("plant-1", 1)
        assert [record.position for record in log.read({"plant-1": 1}, 10)["plant-1"]] == [2]
        log.resume("moved", 7, "")
        assert log.head() == {"plant-1": 2, "moved": 7}
        log.close()
        newer = Part("log", (*tables.PART.steps, Step(("ALTER TABLE {schema}.message ADD COLUMN more int",), serves=1)))
        monkeypatch.setattr("synchromesh.log.postgres.log.PART", newer)
        with pytest.raises(LogError, match=r"must be owner .*postgres\.md"):
            open_log(worker)
        open_log(owner).close()
        open_log(worker).close()
    finally:
        for role in ("synchromesh_owner", "synchromesh"):
            postgres_server.run(f"DROP OWNED BY {role} CASCADE", name=name)
            postgres_server.run(f"DROP ROLE {role}")
