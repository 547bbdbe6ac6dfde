"""A rehearsal tells what other decisions would have made of a range, from the log alone; nothing of the live plant changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.engine import laws
from tests.engine.test_replay import HALF, KEPT, STRICT, Line
from tests.engine.world import PLANT
from tests.mapping import world as mapping

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.engine import rehearsal as module
from synchromesh.engine.rehearsal import Rehearsal, rehearse
from synchromesh.engine.replay import ReplayRefused
from synchromesh.engine.worker import own_message
from synchromesh.model.event import Activated
from synchromesh.model.message import Record
from synchromesh.plant.policy import Policy
from synchromesh.state.agreement import State
from synchromesh.state.memory import MemoryStore
from synchromesh.state.sqlite.store import SqliteState

Pair = tuple[State, State]


@pytest.fixture(params=["memory", "sqlite"])
def scratch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two empty stores of either kind."""
    if request.param == "memory":
        yield MemoryStore().state(), MemoryStore().state()
        return
    folder = tmp_path_factory.mktemp("scratch")
    with closing(SqliteState(folder / "a.db")) as one, closing(SqliteState(folder / "b.db")) as other:
        yield one, other


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def history(line: Line) -> list[Record]:
    return line.log.read({PLANT: 0}, 1_000_000)[PLANT]


def rehearsed(line: Line, scratch: Pair, first: int, decisions: Sequence[Activated], last: int = 0) -> Rehearsal:
    before = laws.rows_of(line.store), line.log.head()
    found = rehearse(PLANT, history(line), first, last or line.worker.positions[PLANT], decisions, scratch)
    assert (laws.rows_of(line.store), line.log.head()) == before, "nothing of the live plant changes"
    return found


def policy(**fields: object) -> Activated:
    return Activated("policy", PLANT, "other", msgspec.json.encode(Policy(**fields)).decode())  # type: ignore[arg-type]


def test_the_same_decisions_make_no_difference(line: Line, scratch: Pair) -> None:
    at = line.machine()
    found = rehearsed(line, scratch, at, [line.activation(mapping.REPORT)])
    assert (found.messages, found.changed) == (1, ("adapter demo/1",))
    lists = (found.facts, found.made, found.gone, found.other, found.stock, found.opened, found.closed)
    assert [each.count for each in lists] == [0] * 7
    assert found.fates == {}


def test_another_mapping_is_told_with_its_events_postings_and_stock(line: Line, scratch: Pair) -> None:
    before = line.machine("1")
    at = line.machine("2")
    found = rehearsed(line, scratch, at, [line.activation(HALF)])
    [fact] = found.facts.first
    assert (fact.position, fact.before[0]["good"], fact.after[0]["good"]) == (
        at, {"amount": "8", "unit": "EA"}, {"amount": "4", "unit": "EA"},
    )  # fmt: skip
    [posting] = found.other.first
    assert (posting.before.quantity, posting.after.quantity, posting.after.state) == ("8 EA", "4 EA", "posted")
    [place] = found.stock.first
    assert (place.reported, place.booked) == (("16 EA", "12 EA"), ("16 EA", "12 EA"))
    assert before < at


def test_what_was_refused_would_have_been_booked(tmp_path: Path, scratch: Pair) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    found = rehearsed(line, scratch, at, [line.activation(mapping.REPORT)])
    assert [(each.kind, each.state, each.quantity) for each in found.made.first] == [("receipt", "ready", "8 EA")]
    assert [each.category for each in found.closed.first] == ["invalid"]
    assert {name: (count.before, count.after) for name, count in found.fates.items()} == {"exception": (1, 0), "booking": (0, 1)}
    assert found.facts.first[0].before == ()


def test_what_was_booked_would_have_been_kept_only(line: Line, scratch: Pair) -> None:
    at = line.machine()
    found = rehearsed(line, scratch, at, [line.activation(KEPT)])
    assert [(each.kind, each.state) for each in found.gone.first] == [("receipt", "posted")]
    assert (found.documents.before, found.documents.after) == (1, 0)
    assert found.facts.first[0].fate == ("booked", "recorded test runs are only kept")


def test_another_policy_gathers_what_was_booked_one_by_one(line: Line, scratch: Pair) -> None:
    first = line.machine("1")
    line.machine("2")
    found = rehearsed(line, scratch, first, [policy(gather="order")])
    assert (found.made.count, found.gone.count) == (0, 2)
    assert found.fates["gathered"].after == 2


def test_an_activation_within_the_range_is_overruled(line: Line, scratch: Pair) -> None:
    at = line.machine("1")
    line.adapt(KEPT)
    line.machine("2")
    found = rehearsed(line, scratch, at, [line.activation(mapping.REPORT)])
    assert (found.made.count, found.gone.count) == (1, 0)


def test_what_happened_before_the_range_is_as_it_was(line: Line, scratch: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    for n in range(9):
        line.machine(str(n))
    facts = [row.position for row in line.facts()]
    found = rehearsed(line, scratch, facts[-2], [line.activation(HALF)])
    assert found.facts.count == 2
    assert [each.position for each in found.facts.first] == facts[-2:]


def test_a_range_may_begin_with_the_first_message_and_end_before_the_last(line: Line, scratch: Pair) -> None:
    first = line.machine("1")
    line.machine("2")
    found = rehearsed(line, scratch, 1, [line.activation(HALF)], last=first)
    assert (found.facts.count, found.last) == (1, first)


def test_exceptions_that_would_be_open_besides_are_told(line: Line, scratch: Pair) -> None:
    line.faults.arm(Fault.CLOSED_PERIOD)
    at = line.machine()
    assert [each.category for each in rehearsed(line, scratch, at, [line.activation(STRICT)]).opened.first] == ["invalid"]


def test_a_history_with_a_gap_or_an_early_end_is_refused(line: Line, scratch: Pair) -> None:
    line.machine()
    whole = history(line)
    for broken in (whole[:-1], whole[:3] + whole[4:], whole[2:], []):
        with pytest.raises(ReplayRefused, match="are not there, neither in the log nor in the archive"):
            rehearse(PLANT, broken, 2, len(whole), [line.activation(HALF)], scratch)


def test_nothing_to_decide_otherwise_is_refused(line: Line, scratch: Pair) -> None:
    with pytest.raises(ReplayRefused, match="nothing would decide otherwise"):
        rehearse(PLANT, history(line), 1, 2, [], scratch)


def test_progress_is_told_to_the_end(line: Line, scratch: Pair) -> None:
    line.machine()
    told: list[int] = []
    rehearse(PLANT, history(line), 2, 5, [line.activation(HALF)], scratch, progress=told.append)
    assert told == [1, 5]


def test_another_activation_of_the_range_stays(line: Line, scratch: Pair) -> None:
    line.log.append([own_message(PLANT, "p", policy(gather="order"), line.time)])
    at = line.machine()
    found = rehearsed(line, scratch, at - 1, [line.activation(mapping.REPORT)])
    assert (found.facts.count, found.made.count, found.gone.count) == (0, 0, 0)
