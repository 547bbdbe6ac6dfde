"""Bad disks and bad files: a full disk leaves nothing half done, damage is named and never repaired silently."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts.state import P, fact, lease, ready
from tests.log.lossy import ROOT

from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import StateCorrupt, StateError, StateFull
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState


def test_a_full_disk_takes_nothing_of_a_batch_and_works_again_with_room(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    epoch = lease(state)
    state.commit(epoch, [Changes(P, 1, entities={("order", "1"): b"old"})])
    before = list(state.rows(P))
    pages = state._connection.execute("PRAGMA page_count").fetchone()[0]
    state._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    big = Changes(
        P,
        9,
        entities={("order", f"{number}"): b"x" * 2000 for number in range(1, 100)},
        identities={("mes", f"{number}"): number for number in range(2, 10)},
        facts={9: fact(9)},
    )
    assert state.known(P, list(big.identities)) == {}
    with pytest.raises(StateFull, match=r"state\.db: no room") as error:
        state.commit(epoch, [Changes("new", 1), big])
    assert "free space" in str(error.value)
    assert state.positions() == {P: 1}
    assert list(state.rows(P)) == before
    state.commit(epoch, [Changes(P, 2, identities={("mes", "2"): 2})])
    state._connection.execute("PRAGMA max_page_count = 1000000")
    state.commit(epoch, [Changes("new", 1), big])
    assert state.positions() == {P: 9, "new": 1}
    assert state.known(P, [("mes", "2"), ("mes", "9")]) == {("mes", "2"): 2, ("mes", "9"): 9}
    state.close()


# Commits until the system refuses to let a file grow, says so, and goes on when it may.
LIMITED = """
import resource, sys
from pathlib import Path
from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import StateFull
from synchromesh.state.sqlite.store import SqliteState

state = SqliteState(Path(sys.argv[1]))
epoch = state.attend("w", ["p"])
state.commit(epoch, [Changes("p", 1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
position = 1
def batch():
    return Changes("p", position + 1, entities={("order", f"{position}.{number}"): b"x" * 3000 for number in range(10)})
try:
    while True:
        if sys.argv[2] == "meanwhile":
            state.commit_meanwhile(epoch, [batch()], lambda: None)
        else:
            state.commit(epoch, [batch()])
        position += 1
except StateFull as error:
    print(error)
assert state.positions() == {"p": position}
assert sum(row[0] == "entity" for row in state.rows("p")) == (position - 1) * 10
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
state.commit(epoch, [batch()])
assert state.positions() == {"p": position + 1}
state.close()
"""


@pytest.mark.parametrize("way", ["at once", "meanwhile"])
def test_a_file_that_may_not_grow_is_no_room(tmp_path: Path, way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "state.db"), way], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    assert "no room to write" in done.stdout


def test_claims_without_room_are_not_made(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.commit(lease(state), [ready(500, *((number, 0) for number in range(1, 501)))])
    outbox = SqliteOutbox(tmp_path / "state.db")
    outbox._connection.execute("PRAGMA main.max_page_count = 5")
    with pytest.raises(StateFull, match="no room"):
        outbox.take("erp", "dispatcher-with-a-long-name", 500, 1)
    outbox._connection.execute("PRAGMA main.max_page_count = 100000")
    assert len(outbox.take("erp", "d", 500, 1)) == 500
    outbox.close()
    state.close()


def _filled(path: Path) -> int:
    state = SqliteState(path)
    epoch = lease(state)
    noise = random.Random(3)
    for position in range(1, 40):
        entities = {("order", f"{position}-{number}"): noise.randbytes(500) for number in range(10)}
        state.commit(epoch, [Changes(P, position, entities=dict(entities), facts={position: fact(position)})])
    state.close()
    return path.stat().st_size


def _read_all(path: Path) -> None:
    state = SqliteState(path)
    try:
        list(state.rows(P))
    finally:
        state.close()


@pytest.mark.parametrize("where", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_overwritten_pages_are_found_named_and_left_alone(tmp_path: Path, where: float) -> None:
    path = tmp_path / "state.db"
    size = _filled(path)
    with path.open("r+b") as file:
        file.seek(int(size * where) // 4096 * 4096)
        file.write(random.Random(2).randbytes(5 * 4096))
    before = path.read_bytes()
    with pytest.raises(StateCorrupt, match=r"state\.db is damaged") as error:
        _read_all(path)
    assert "backup in its place" in str(error.value)
    assert path.read_bytes() == before


def test_a_truncated_file_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    size = _filled(path)
    os.truncate(path, size // 2 // 4096 * 4096)
    with pytest.raises(StateCorrupt, match=r"state\.db is damaged"):
        _read_all(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is a text file\n" * 500, b"SQLite format 3\0" + b"\0" * 4096])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    for open_it in (SqliteState, SqliteReading, SqliteOutbox):
        with pytest.raises(StateCorrupt, match=r"state\.db is damaged"):
            open_it(path)
    assert path.read_bytes() == content


def test_damaged_claims_are_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    path.with_suffix(".claims").write_bytes(b"")
    with pytest.raises(StateCorrupt, match=r"state\.claims is damaged.*move the file away.*are asked"):
        SqliteOutbox(path)
    path.with_suffix(".claims").write_bytes(b"no database")
    with pytest.raises(StateCorrupt, match=r"state\.claims is damaged.*not a database.*move the file away"):
        SqliteOutbox(path)


def test_a_row_that_cant_be_read_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    _filled(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE fact SET value = x'00' WHERE at & 1048575 = 7")
    connection.commit()
    connection.close()
    state, reading = SqliteState(path), SqliteReading(path)
    with pytest.raises(StateCorrupt, match="a row can't be read"):
        state.facts(P, [7])
    with pytest.raises(StateCorrupt, match="a row can't be read"):
        reading.recent(100)
    reading.close()
    state.close()


def test_a_missing_store_or_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"nowhere.*make sure that the directory exists"):
        SqliteState(tmp_path / "nowhere" / "state.db")
    for open_it in (SqliteReading, SqliteOutbox):
        with pytest.raises(StateError, match=r"no state at .*state\.db; start the system once"):
            open_it(tmp_path / "state.db")


def test_text_that_no_file_can_hold_is_refused_whole(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    epoch = lease(state)
    with pytest.raises(StateError):
        state.commit(epoch, [Changes(P, 1, entities={("order", "\ud800"): b"x"})])
    assert state.positions() == {}
    state.commit(epoch, [Changes(P, 1)])
    state.close()
