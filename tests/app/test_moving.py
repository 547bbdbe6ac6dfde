"""An installation moves to other engines with everything it has, and at no moment can both send: on real servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.app.test_backup import kill_when, running
from tests.app.test_faults import in_words
from tests.app.told import Told, ea, empty
from tests.nats.server import Server as Nats
from tests.postgres.server import Server

from synchromesh.app import alone
from synchromesh.app.moving import move
from synchromesh.app.stores import Stores
from synchromesh.log import carrying
from synchromesh.log.agreement import LogError
from synchromesh.model import event as ev
from synchromesh.state.agreement import StateError
from synchromesh.state.sqlite.store import SqliteState

NUMBERS = count(1)
"""Each stream has a name of its own."""


class Engines:
    """Tables of the configuration that name fresh places, by what keeps the log and what keeps the state."""

    def __init__(self, postgres: Server, nats: Nats, opened: ExitStack) -> None:
        self._postgres = postgres
        self._nats = nats
        self._opened = opened
        self._numbers = NUMBERS

    def __getitem__(self, name: str) -> str:
        log, _, state = name.partition("+")
        database = self._postgres.address(self._opened.enter_context(self._postgres.fresh())) if "postgresql" in name else ""
        return self._table("log", log, database) + self._table("state", state, database)

    def _table(self, part: str, kind: str, database: str) -> str:
        if kind == "nats":
            return f'[{part}]\naddress = "{self._nats.address}"\nstream = "MOVE{next(self._numbers)}"\n'
        return f'[{part}]\naddress = "{database}"\n' if kind == "postgresql" else ""


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def engines(postgres_server: Server, nats: Nats) -> Iterator[Engines]:
    with ExitStack() as opened:
        yield Engines(postgres_server, nats, opened)


def moved(source: Told, target: Told) -> Any:
    done = source.command("move", "--to", target.config, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def entries(plant: Told) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """What is claimed and what can be taken, as a dispatcher that begins finds it."""
    stores = Stores(plant.settings)
    with closing(stores.log()) as log, closing(stores.outbox()) as outbox:
        outbox.attend("looker", ["main"])
        taken = outbox.take_over("main", "looker", log.head(), 99).entries
        return {(each.position, each.ordinal) for each in taken}, {
            (each.position, each.ordinal) for each in outbox.take("main", "looker", 99, 1)
        }


def with_claims(plant: Told) -> tuple[int, int]:
    """One of two postings that are ready is claimed; which one."""
    plant.say(ev.OrderChanged("4799", "GEAR", ea(9), location="FG"), ev.ProductionReported("4799", good=ea(1)))
    plant.fold()
    with closing(Stores(plant.settings).outbox()) as outbox:
        outbox.attend("before", ["main"])
        (ready,) = outbox.take("main", "before", 1, 1)
        outbox.leave("before")
    return ready.position, ready.ordinal


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sqlite+sqlite", "postgresql+postgresql"),
        ("postgresql+postgresql", "nats+postgresql"),
        ("nats+postgresql", "sqlite+sqlite"),
        ("sqlite+sqlite", "nats+postgresql"),
    ],
)
def test_everything_is_where_it_was_on_the_other_engines(tmp_path: Path, engines: Engines, before: str, after: str) -> None:
    source = Told(tmp_path / "source", trimmed=120, engines=engines[before])
    claimed = with_claims(source)
    rows, messages = source.rows(), source.messages()
    target = empty(tmp_path / "target", engines[after])
    done = moved(source, target)
    assert (done["finished"], done["log"], done["state"], done["claims"]) == (True, True, True, 1)
    assert target.rows() == rows
    assert target.messages() == messages
    assert "has been moved" in in_words(source.command("serve"), 3)
    series = source.series()
    assert target.start() == series, "what was claimed is known, so that keys go on"
    assert target.command("verify").returncode == 0
    taken, free = entries(target)
    assert taken == {claimed}
    assert len(free) == 1
    assert moved(source, target)["already"]


@pytest.mark.parametrize("engine", ["postgresql", "nats"])
def test_the_log_alone_moves(tmp_path: Path, engines: Engines, engine: str) -> None:
    source = Told(tmp_path / "source", trimmed=120)
    rows, messages = source.rows(), source.messages()
    target = empty(tmp_path / "target", engines[f"{engine}+sqlite"])
    target.config.write_text(target.config.read_text("utf-8").replace('data = "data"', f'data = "{source.data}"'), "utf-8")
    done = moved(source, target)
    assert (done["log"], done["state"]) == (True, False)
    assert (target.rows(), target.messages()) == (rows, messages)
    assert "belongs to the log" in in_words(source.command("serve"), 3)
    target.start()
    assert target.command("verify").returncode == 0


def test_the_state_alone_moves(tmp_path: Path, engines: Engines) -> None:
    source = Told(tmp_path / "source", trimmed=120)
    rows, messages = source.rows(), source.messages()
    target = empty(tmp_path / "target", engines["sqlite+postgresql"])
    target.config.write_text(target.config.read_text("utf-8").replace('data = "data"', f'data = "{source.data}"'), "utf-8")
    done = moved(source, target)
    assert (done["log"], done["state"]) == (False, True)
    assert (target.rows(), target.messages()) == (rows, messages)
    assert "has been moved" in in_words(source.command("serve"), 3)
    target.start()
    assert target.command("verify").returncode == 0


def test_a_target_that_has_something_in_it_is_refused_and_stays_as_it_was(tmp_path: Path, engines: Engines) -> None:
    source = Told(tmp_path / "source", facts=9)
    target = Told(tmp_path / "target", facts=5, engines=engines["postgresql+postgresql"])
    rows, messages = target.rows(), target.messages()
    assert "has something in it" in in_words(source.command("move", "--to", target.config), 3)
    assert (target.rows(), target.messages()) == (rows, messages)
    source.start()


def test_a_log_of_another_history_is_refused_though_the_state_stays(tmp_path: Path, engines: Engines) -> None:
    tables = engines["nats+sqlite"]
    Told(tmp_path / "other", facts=5, engines=tables)
    source = Told(tmp_path / "source", facts=9)
    target = empty(tmp_path / "target", tables)
    target.config.write_text(target.config.read_text("utf-8").replace('data = "data"', f'data = "{source.data}"'), "utf-8")
    assert "another message" in in_words(source.command("move", "--to", target.config), 3)
    source.start()


def test_nothing_moves_to_itself_or_beside_somebody_who_runs(tmp_path: Path) -> None:
    source, target = Told(tmp_path / "source", facts=5), empty(tmp_path / "target")
    assert "nothing to move" in in_words(source.command("move", "--to", source.config), 3)
    for plant in (source, target):
        with running(plant):
            assert "another synchromesh serve runs" in in_words(source.command("move", "--to", target.config), 2)


def test_somebody_at_work_on_another_host_is_noticed(tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "TRIES", 3)
    source = Told(tmp_path / "source", facts=9, engines=engines["postgresql+postgresql"])
    with closing(Stores(source.settings).state()) as state:
        assert state.attend("worker elsewhere", ["oslo", "enterprise"])
        with pytest.raises(StateError, match="still run"):
            move(source.settings, empty(tmp_path / "target").settings, lambda name, end, position: None)
    source.start()


def test_somebody_who_begins_to_work_meanwhile_is_noticed(tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Told(tmp_path / "source", facts=9, engines=engines["postgresql+postgresql"])
    with closing(Stores(source.settings).state()) as state:

        def meanwhile(name: str, end: int, position: int) -> None:
            if name == "oslo: state" and position == end:
                monkeypatch.setattr(alone, "TRIES", 3)
                state.attend("worker elsewhere", ["oslo", "enterprise"])

        with pytest.raises(StateError, match="still run"):
            move(source.settings, empty(tmp_path / "target").settings, meanwhile)
    source.start()


def test_a_source_that_is_told_something_meanwhile_does_not_move(tmp_path: Path) -> None:
    source, target = Told(tmp_path / "source", facts=9), empty(tmp_path / "target")

    def meanwhile(name: str, end: int, position: int) -> None:
        if name == "oslo: state" and position == end:
            source.report(1)

    with pytest.raises(LogError, match="told more meanwhile"):
        move(source.settings, target.settings, meanwhile)
    assert "is not finished" in in_words(target.command("serve"), 3)
    source.start()
    moved(source, target)
    assert target.messages() == source.messages()


class Died(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before the source is told", "between", "after the target is told"])
def test_at_no_moment_can_both_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    source, target = Told(tmp_path / "source", facts=9), empty(tmp_path / "target")
    number = {"before the source is told": 2, "between": 3, "after the target is told": 4}[moment]
    calls = count(1)  # the first one marks the target

    def rebind(self: Any, log: str, original: Any = SqliteState.rebind) -> None:
        if next(calls) == number:
            raise Died
        original(self, log)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteState, "rebind", rebind)
        if moment == "after the target is told":
            patch.setattr(Stores, "worked", lambda self: _die())
        with pytest.raises(Died):
            move(source.settings, target.settings, lambda name, end, position: None)
    can = [_can_start(plant) for plant in (source, target)]
    assert can == {"before the source is told": [True, False], "between": [False, False], "after the target is told": [False, True]}[moment]
    assert moved(source, target)["finished"]
    assert [_can_start(plant) for plant in (source, target)] == [False, True]


def _die() -> None:
    raise Died


def _can_start(plant: Told) -> bool:
    try:
        plant.start()
    except LogError:
        return False
    return True


@pytest.mark.parametrize(("file", "size"), [("log.db-wal", 200_000), ("state.db-wal", 400_000)])
def test_a_move_that_was_killed_is_repeated(tmp_path: Path, file: str, size: int) -> None:
    source, target = Told(tmp_path / "source", facts=20_000, trimmed=3_000), empty(tmp_path / "target")
    rows, messages = source.rows(), source.messages()
    words = [sys.executable, "-m", "synchromesh.cli", "move", "--config", str(source.config), "--to", str(target.config)]
    assert kill_when(words, target.data / file, size) == -signal.SIGKILL
    assert "is not finished" in in_words(target.command("serve"), 3)
    moved(source, target)
    assert (target.rows(), target.messages()) == (rows, messages)
    assert target.command("verify").returncode == 0


def test_a_state_that_its_log_does_not_make_does_not_move(tmp_path: Path) -> None:
    source, target = Told(tmp_path / "source", facts=9), empty(tmp_path / "target")
    with closing(Stores(source.settings).state()) as state:
        state._connection.execute("DELETE FROM entity WHERE kind = 'item'")  # type: ignore[attr-defined]
    done: subprocess.CompletedProcess[str] = source.command("move", "--to", target.config)
    assert done.returncode == 1
    assert "entity" in done.stdout
    assert "is not finished" in in_words(target.command("serve"), 3)


def test_carrying_once_more_finds_a_message_that_is_not_the_same(tmp_path: Path) -> None:
    source, target = Told(tmp_path / "source", facts=9), Told(tmp_path / "target", facts=9)
    stores, others = Stores(source.settings), Stores(target.settings)
    with closing(stores.log()) as log, closing(others.log()) as other:
        history = carrying.history_of(log, stores.archive, "oslo", "", log.head()["oslo"])
        with pytest.raises(LogError, match="another message there"):
            carrying.carry(history, other, others.archive)
