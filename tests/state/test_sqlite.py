"""The state on SQLite keeps the contract, with one segment of identities and with many."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.state import Openings, P, StateContract, fact, lease, posting, ready
from tests.log.lossy import ROOT
from tests.state.openings import sqlite_openings

from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import StateError, TakenOver
from synchromesh.state.sqlite import identities as segments
from synchromesh.state.sqlite import outbox
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState


class TestSqliteState(StateContract):
    @pytest.fixture
    def open(self, tmp_path: Path) -> Iterator[Openings]:
        with sqlite_openings(tmp_path) as openings:
            yield openings


class TestSqliteStateInManySegments(StateContract):
    """Every position its own segment, and every entry indexed at once; claims are swept at every take."""

    @pytest.fixture
    def open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Openings]:
        monkeypatch.setattr(segments, "TAIL", 1)
        monkeypatch.setattr(outbox, "SWEEP_AFTER", 1)
        with sqlite_openings(tmp_path, 1) as openings:
            yield openings


def test_a_snapshot_is_one_moment_and_opens_like_the_store(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    epoch = lease(state)
    state.commit(epoch, [ready(1, (1, 0)), Changes("b", 1, identities={("mes", "1"): 1}, entities={("order", "1"): b"x"})])
    rows = list(state.rows("b"))
    state.snapshot(tmp_path / "copy.db")
    state.commit(epoch, [Changes("b", 2)])
    copy = SqliteState(tmp_path / "copy.db")
    assert copy.positions() == {P: 1, "b": 1}
    assert list(copy.rows("b")) == rows
    assert copy.known("b", [("mes", "1")]) == {("mes", "1"): 1}
    copy.commit(lease(copy), [Changes("b", 5)])
    assert state.positions() == {P: 1, "b": 2}
    copy.close()
    state.close()


def test_a_snapshot_that_cant_be_written_says_where(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    with pytest.raises(StateError, match=r"nowhere"):
        state.snapshot(tmp_path / "nowhere" / "copy.db")
    state.close()


def test_a_restored_store_sends_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot's outbox names a posting that was sent, booked and forgotten since. The log is folded again; meanwhile another plant is
    served as ever, and what is in doubt stays in doubt."""
    monkeypatch.setattr(outbox, "SWEEP_AFTER", 1)
    path = tmp_path / "state.db"
    state = SqliteState(path)
    epoch = lease(state)
    later = [ready(2, (2, 0)), Changes(P, 3, outbox_removed={(1, 0)}), ready(4, (4, 0))]
    state.commit(epoch, [ready(1, (1, 0))])
    state.snapshot(tmp_path / "copy.db")
    dispatcher = SqliteOutbox(path)
    assert [each.position for each in dispatcher.take("erp", "d", 9, 1)] == [1]
    state.commit(epoch, [later[0]])
    state.commit(epoch, [later[1]])
    assert [each.position for each in dispatcher.take("erp", "d", 9, 1)] == [2]
    dispatcher.close()
    state.close()
    (tmp_path / "copy.db").replace(path)

    state = SqliteState(path)
    epoch = lease(state, owner="after")
    dispatcher = SqliteOutbox(path)
    for position, batch in enumerate(later[:2], 1):
        assert dispatcher.take("erp", "d", 9, 1) == []
        state.commit(epoch, [ready(position, (position, 0), partition="other")])
        assert [each.partition for each in dispatcher.take("erp", "d", 9, 1)] == ["other"]
        state.commit(epoch, [batch])
    assert [each.position for each in dispatcher.take_over("erp", "e", {P: 3}, 9).entries] == [2]
    assert dispatcher.take("erp", "e", 9, 1) == []
    state.commit(epoch, [later[2]])
    assert [each.position for each in dispatcher.take("erp", "e", 9, 1)] == [4]
    dispatcher.close()
    state.close()


def test_claims_of_postings_that_left_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SWEEP_AFTER", 10)
    state = SqliteState(tmp_path / "state.db")
    epoch = lease(state)
    dispatcher = outbox.SqliteOutbox(tmp_path / "state.db")
    for position in range(1, 100):
        state.commit(epoch, [ready(position, (position, 0))])
        assert len(dispatcher.take("erp", "d", 9, 1)) == 1
        state.commit(epoch, [Changes(P, position, outbox_removed={(position, 0)})])
    assert dispatcher._connection.execute("SELECT count(*) FROM claim").fetchone()[0] <= 11
    dispatcher.close()
    state.close()


def test_lost_claims_are_doubted_once_for_all_systems_and_only_what_was_told_before(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path)
    epoch = lease(state)
    state.commit(epoch, [ready(3, (1, 0), (3, 0)), ready(1, (1, 0), partition="other")])
    first, second = SqliteOutbox(path), SqliteOutbox(path)
    assert first.take_over("erp", "d", {P: 5, "other": 1}, 9).partitions == ["other"]
    assert second.take_over("mes", "e", {P: 3}, 9) == TakenOver([], []), "what the other system lost is not told before it is known"
    assert first.take("erp", "d", 9, 1) == []
    state.commit(epoch, [Changes(P, 7, postings={(7, 0): posting(7)}, outbox_added={(7, 0): ("erp", "lane")})])
    state.commit(epoch, [ready(8, (2, 0), target="mes")])
    assert first.take("erp", "d", 9, 1) == [], "first it is taken over"
    assert [each.position for each in second.take_over("mes", "e", {P: 3}, 9).entries] == [2]
    assert [each.position for each in first.take_over("erp", "d", {P: 5}, 9).entries] == [1, 3]
    assert [each.position for each in first.take("erp", "d", 9, 1)] == [7]
    first.close()
    second.close()
    state.close()


def test_what_was_claimed_is_known_again_when_the_state_has_caught_up(tmp_path: Path) -> None:
    """Not before: a claim for another partition, and another start, change nothing about it."""
    path = tmp_path / "state.db"
    state = SqliteState(path)
    epoch = lease(state)
    state.commit(epoch, [ready(1, (1, 0)), ready(1, (1, 0), partition="other")])
    dispatcher = SqliteOutbox(path)
    assert dispatcher.known() == set()
    dispatcher.take_over("erp", "d", {P: 2, "other": 1}, 9)
    state.commit(epoch, [ready(2, (2, 0), partition="other")])
    assert [each.partition for each in dispatcher.take("erp", "d", 9, 1)] == ["other"]
    dispatcher.close()
    dispatcher = SqliteOutbox(path)
    assert dispatcher.known() == {"other"}
    state.commit(epoch, [Changes(P, 2)])
    dispatcher.take_over("erp", "d", {P: 2, "other": 2}, 9)
    assert dispatcher.known() == {P, "other"}
    dispatcher.close()
    state.close()


@pytest.mark.parametrize(
    "earlier",
    [
        "DROP TABLE trouble; DROP TABLE sender; DROP TABLE unknown; PRAGMA user_version = 1;",
        "DROP TABLE trouble; DROP TABLE sender; PRAGMA user_version = 2;",
    ],
)
def test_claims_of_an_earlier_program_are_kept(tmp_path: Path, earlier: str) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path)
    state.commit(lease(state), [ready(2, (1, 0), (2, 0))])
    dispatcher = SqliteOutbox(path)
    assert [each.position for each in dispatcher.take("erp", "d", 1, 1)] == [1]
    dispatcher.close()
    connection = sqlite3.connect(path.with_suffix(".claims"))
    connection.executescript(earlier)
    connection.close()
    dispatcher = SqliteOutbox(path)
    assert [each.position for each in dispatcher.take_over("erp", "e", {P: 2}, 9).entries] == [1]
    assert [each.position for each in dispatcher.take("erp", "e", 9, 1)] == [2]
    dispatcher.attend("e", ["erp"])
    assert not dispatcher.sends("erp", "d")
    dispatcher.close()
    state.close()


def test_claims_of_a_newer_program_are_refused(tmp_path: Path) -> None:
    SqliteState(tmp_path / "state.db").close()
    SqliteOutbox(tmp_path / "state.db").close()
    connection = sqlite3.connect(tmp_path / "state.claims")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match=r"state\.claims has schema 99 .* use the program that wrote it"):
        SqliteOutbox(tmp_path / "state.db")


CLAIMING = """
import sys
from pathlib import Path
from synchromesh.state.sqlite.outbox import SqliteOutbox
outbox = SqliteOutbox(Path(sys.argv[1]))
print([each.position for each in outbox.take("erp", "doomed", 3, 77)], flush=True)
sys.stdin.readline()
"""


def test_claims_of_a_killed_process_are_orphans(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path)
    state.commit(lease(state), [ready(5, *((number, 0) for number in range(1, 6)))])
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "[1, 2, 3]\n"
        process.kill()
    survivor = SqliteOutbox(path)
    assert [(each.position, each.claimed_at) for each in survivor.take_over("erp", "new", {P: 5}, 9).entries] == [(1, 77), (2, 77), (3, 77)]
    assert [each.position for each in survivor.take("erp", "new", 9, 1)] == [4, 5]
    survivor.close()
    state.close()


def test_an_outbox_entry_without_its_posting_is_damage_and_not_passed_over(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.commit(lease(state), [Changes(P, 1, outbox_added={(1, 0): ("erp", "lane")})])
    dispatcher = SqliteOutbox(tmp_path / "state.db")
    for _ in range(2):
        with pytest.raises(StateError, match=r"plant-1: the outbox names posting 1\.0, which is not there"):
            dispatcher.take("erp", "d", 9, 1)
    dispatcher.close()
    state.close()


def test_a_reader_of_another_moment_sees_whole_batches_only(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    reading = SqliteReading(tmp_path / "state.db")
    epoch = lease(state)
    for position in range(1, 30):
        state.commit(epoch, [Changes(P, position, facts={position: fact(position)}, postings={(position, 0): posting(position)})])
        assert reading.positions() == {P: position}
        assert reading.fact(P, position) == fact(position)
        assert reading.postings_of(P, position) == [posting(position)]
    reading.close()
    state.close()


QUICK = """
import sys, time
from pathlib import Path
from synchromesh.state.sqlite.store import SqliteState
start = time.perf_counter()
SqliteState(Path(sys.argv[1])).close()
print(time.perf_counter() - start, "sqlalchemy" in sys.modules, "alembic" in sys.modules)
"""


def test_a_current_store_opens_quickly_and_without_the_migrations_libraries(tmp_path: Path) -> None:
    SqliteState(tmp_path / "state.db").close()
    done = subprocess.run(
        [sys.executable, "-c", QUICK, str(tmp_path / "state.db")], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    seconds, *loaded = done.stdout.split()
    assert loaded == ["False", "False"]
    assert float(seconds) < 0.5


LEASING = """
import sys
from pathlib import Path
from synchromesh.state.sqlite.store import SqliteState
SqliteState(Path(sys.argv[1])).attend("x", ["p"])
"""


def test_many_processes_may_make_the_same_store(tmp_path: Path) -> None:
    start = time.monotonic()
    processes = [subprocess.Popen([sys.executable, "-c", LEASING, str(tmp_path / "state.db")], cwd=ROOT) for _ in range(3)]
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    assert time.monotonic() - start < 30
    state = SqliteState(tmp_path / "state.db")
    assert state.attend("last", ["p"]) == {"p": 4}
    state.close()
