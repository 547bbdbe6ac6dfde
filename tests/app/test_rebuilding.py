"""The state is made anew by one command, in every kind of store; and a state that the log can't bring up to date is refused."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.app.test_faults import in_words
from tests.app.told import Told, ea
from tests.engine.world import START

from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.engine.handed_on import HandedOn
from synchromesh.engine.worker import own_message
from synchromesh.log.agreement import LogError
from synchromesh.model.event import FactRepaired, ProductionReported
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.plant.decisions import REPAIR
from synchromesh.plant.rows import Changes


def on_postgres(folder: Path, address: str, trimmed: int = 0) -> Told:
    """The same with its state in a database."""
    return Told(folder, trimmed=trimmed, engines=f'\n[state]\naddress = "{address}"\n')


@pytest.fixture(params=["sqlite", "postgres"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    """An installation of which a part of the log is in the archive."""
    if request.param == "sqlite":
        return Told(tmp_path / "one", trimmed=120)
    return on_postgres(tmp_path / "one", request.getfixturevalue("postgres"), trimmed=120)


def rebuilt(told: Told, *more: str) -> Any:
    done = told.command("rebuild", "--json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def lose(told: Told) -> None:
    """The state is empty, as after its file was moved away."""
    Stores(told.settings).set_aside("")
    with closing(Stores(told.settings).log()) as log, closing(Stores(told.settings).state()) as state:
        state.rebind(log.id())


def test_a_lost_state_is_refused_when_the_log_is_trimmed_and_made_anew_by_one_command(told: Told) -> None:
    told.fold()
    rows = told.rows()
    lose(told)
    messages = told.messages()
    with pytest.raises(LogError, match=r"in the archive.*synchromesh rebuild"):
        prepare(told.settings)
    assert told.messages() == messages, "nothing was written"
    assert told.rows() == []
    done = rebuilt(told)
    assert done["finished"]
    assert told.rows() == rows
    prepare(told.settings)
    told.fold()
    verified = told.command("verify")
    assert verified.returncode == 0, verified.stdout


def test_a_state_that_is_there_is_made_anew_and_a_dry_run_changes_nothing(told: Told) -> None:
    before = told.rows()
    with closing(Stores(told.settings).state()) as state:
        position = state.positions()["oslo"]
        state.leave("worker")
        epochs = state.attend("test", ["oslo"])
        state.commit(epochs, [Changes("oslo", position, entities={("item", "WRONG"): b"\x80"})])
        state.leave("test")
    spoilt = told.rows()
    assert spoilt != before
    done = rebuilt(told, "--dry-run")
    assert not done["finished"]
    (oslo,) = [each for each in done["partitions"] if each["partition"] == "oslo"]
    assert oslo == {"partition": "oslo", "head": position + 3, "before": position, "position": position + 3}
    assert told.rows() == spoilt
    rebuilt(told)
    verified = told.command("verify")
    assert verified.returncode == 0, verified.stdout


def test_claims_stay_known_only_where_they_are_no_part_of_the_store(tmp_path: Path, postgres: str) -> None:
    one = Told(tmp_path / "one")
    one.take_over()
    assert rebuilt(one)["claims_known"] == ["oslo"]
    other = on_postgres(tmp_path / "other", postgres)
    other.take_over()
    series = other.series()
    assert rebuilt(other)["claims_known"] == []
    assert other.start() != series, "keys of its next positions may be used"


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    told = Told(tmp_path / "one", trimmed=120)
    told.fold()
    rows = told.rows()
    (told.data / "state.db").write_bytes(b"no database at all" * 500)
    assert not rebuilt(told)["readable"]
    assert told.rows() == rows
    assert (told.data / "state.db.aside").read_bytes().startswith(b"no database")


def test_a_history_with_a_gap_is_refused_and_the_state_stays(tmp_path: Path) -> None:
    told = Told(tmp_path / "one", trimmed=120)
    rows = told.rows()
    first = sorted((told.data / "archive" / "oslo").iterdir())[0]
    first.unlink()
    assert "archive" in in_words(told.command("rebuild"), 3)
    assert told.rows() == rows


def test_an_interrupted_rebuilding_can_not_be_started_on_and_goes_on(told: Told) -> None:
    told.fold()
    rows = told.rows()
    stores = Stores(told.settings)
    with closing(stores.log()) as log:
        mark = f"unfinished rebuild of {log.id()}"
    stores.set_aside(mark)
    with pytest.raises(LogError):
        prepare(told.settings)
    rebuilt(told)
    assert told.rows() == rows


def test_what_was_still_to_be_handed_on_is_told_by_the_logs() -> None:
    def message(plant: str, source: str, id: str) -> Message:
        return Message(plant, source, id, NATIVE, START, b"{}")

    handed_on = HandedOn()
    for each in (message("oslo", ENTERPRISE, "7/0"), message("oslo", ENTERPRISE, "9/0"), message("oslo", REPAIR, "40")):
        handed_on.heard(each)
    handed_on.heard(message("bergen", "mes", "99/0"))
    gone = [message("bergen", ENTERPRISE, "7/0"), message("oslo", ENTERPRISE, "9/0"), message("oslo", REPAIR, "40")]
    left = [message("bergen", ENTERPRISE, "9/0"), message("oslo", ENTERPRISE, "10/0"), message("bergen", REPAIR, "1")]
    assert [handed_on.pending(each) for each in gone] == [False] * 3
    assert [handed_on.pending(each) for each in left] == [True] * 3


def test_a_correction_that_waits_to_become_a_message_still_becomes_one(tmp_path: Path) -> None:
    told = Told(tmp_path / "one")
    with closing(Stores(told.settings).log()) as log:
        (at,) = log.append([own_message("oslo", "fix", FactRepaired(9, "x", "wrong", ProductionReported("4712", good=ea(5))), START)])
    rebuilt(told)
    with closing(Stores(told.settings).state()) as state:
        assert [(partition, each.source, each.id) for partition, each in state.forwards(["oslo"], 9)] == [("oslo", REPAIR, str(at))]
    told.fold()
    rebuilt(told)
    with closing(Stores(told.settings).state()) as state:
        assert state.forwards(["oslo"], 9) == []
