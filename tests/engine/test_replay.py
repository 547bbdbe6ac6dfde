"""Replay into the live plant: what was refused takes its place, what is booked is corrected once, and the second time changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.engine.stores import Readings
from tests.engine.test_desk import desk_of
from tests.engine.world import PLANT, START, World, ea
from tests.mapping import world as mapping

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.engine import replay as module
from synchromesh.engine.desk import NotFitting
from synchromesh.engine.inquiry import Inquiry
from synchromesh.engine.replay import Replay, ReplayRefused, Request, replay, review
from synchromesh.engine.worker import own_message
from synchromesh.mapping.adapter import Adapter
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message, Record
from synchromesh.plant.policy import Policy

HALF = """
[rules.report]
event = "production.reported"
[rules.report.fields]
order = 'row.order'
good = 'quantity(row.good / 2, row.unit)'
"""

KEPT = """
[rules.report]
record = "test runs are only kept"
"""

REFUSES = """
[rules.report]
refuse = "nothing is taken from this machine"
"""

STRICT = mapping.REPORT.replace("row.good", "row.pieces")
"""Misreads every message: there is no field of this name."""


class Line(World):
    """A world whose plant has a machine that tells of itself in its own words."""

    def __init__(self, folder: Path, rest: str = mapping.REPORT, policy: Policy | None = None) -> None:
        super().__init__(policy)
        self.folder = folder
        self.order()
        self.adapt(rest)

    def adapter(self, rest: str) -> Adapter:
        return mapping.adapter(self.folder / f"a{len(list(self.folder.iterdir()))}", rest)

    def activation(self, rest: str) -> ev.Activated:
        adapter = self.adapter(rest)
        return ev.Activated("adapter", adapter.interface, adapter.digest, adapter.content())

    def adapt(self, rest: str) -> None:
        """From now on this adapter decides."""
        self.log.append([own_message(PLANT, f"adapter{self.log.head()}", self.activation(rest), self.time)])
        self.step()

    def machine(self, id: str = "1", occurred: datetime | None = START, order: str = "4711", **row: object) -> int:
        body = json.dumps({"id": id, "order": order, "good": 8, "unit": "EA"} | row).encode()
        [position] = self.log.append([Message(PLANT, "mes", id, "demo/1", self.time, body, occurred=occurred)])
        self.step()
        return position

    def records(self, *positions: int) -> list[Record]:
        everything = self.log.read({PLANT: 0}, 1_000_000)[PLANT]
        return [record for record in everything if not positions or record.position in positions]

    def replayed(self, readings: Readings, *positions: int, mapping: module.Mapping = "current", dismissed: bool = False) -> Replay:
        request = Request("ann", "the scale was wrong", mapping, dismissed)
        found = replay(readings(self), self.log.append, PLANT, self.records(*positions), request, self.time)
        self.step()
        return found


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def courses(found: Replay) -> dict[str, int]:
    return {course: count for course, count in found.courses.items() if count}


def refusal(found: Replay) -> str:
    assert courses(found) == {"not replayable": 1}
    return found.refused.first[0].why


def nothing_the_second_time(line: Line, readings: Readings, *positions: int, dismissed: bool = False) -> None:
    """A replay run twice changes nothing the second time."""
    before = line.booked(), line.fates(), len(line.postings()), line.log.head()
    again = line.replayed(readings, *positions, dismissed=dismissed)
    assert courses(again) == {"the same": len(positions)}
    assert again.decided == 0
    assert (line.booked(), line.fates(), len(line.postings()), line.log.head()) == before


# --- what was not applied ----------------------------------------------------------------------------------------------------


def test_what_the_mapping_refused_takes_its_own_place_with_the_mapping_of_now(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    assert (line.fate(at), line.exceptions()[0].category) == ("exception", "invalid")
    line.adapt(mapping.REPORT)
    found = line.replayed(readings, at)
    assert courses(found) == {"told anew": 1}
    assert line.booked() == {("received", "GEAR"): 8}
    assert (line.fate(at), line.fact(at).type, line.fates()) == ("booked", "production.reported", {"booked": 1})
    assert line.exceptions() == []
    assert [(by, what) for _, by, what in line.exceptions("resolved")[0].doings] == [("ann", "replayed it: the scale was wrong")]
    nothing_the_second_time(line, readings, at)


def test_a_repeat_of_what_was_replayed_is_a_duplicate(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    line.adapt(mapping.REPORT)
    line.replayed(readings, at)
    again = line.machine()
    assert (line.fate(again), line.fact(again).reference) == ("duplicate", str(at))
    assert refusal(line.replayed(readings, again)).startswith("it came again under the identity of another fact")


def test_a_replay_with_the_mapping_that_ran_refuses_what_that_refused(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    line.adapt(mapping.REPORT)
    assert "would refuse it again" in refusal(line.replayed(readings, at, mapping="ran"))


def test_an_adapter_at_hand_replays_though_it_decides_nowhere(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    native = line.tell(ev.ProductionReported("4711", good=ea(3)))
    line.step()
    found = line.replayed(readings, at, native, mapping=line.activation(HALF))
    assert courses(found) == {"told anew": 1}  # the other message is of another interface
    assert line.booked() == {("received", "GEAR"): 7}
    later = line.machine("2")
    assert line.fate(later) == "exception"


def test_a_fact_that_waits_for_a_wrong_name_is_told_under_the_right_one(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, mapping.REPORT.replace("row.order", 'row.order + "x"'))
    first, second = line.machine("1"), line.machine("2")
    assert line.fact(first).reference == "order 4711x"
    line.adapt(mapping.REPORT)
    assert courses(line.replayed(readings, first)) == {"told anew": 1}
    assert (line.fate(first), line.fate(second)) == ("booked", "waiting")
    nothing_the_second_time(line, readings, first)
    line.master(ev.OrderChanged("4711x", "GEAR", ea(10), location="FG"))
    assert (line.fate(first), line.fate(second)) == ("booked", "booked")
    assert line.booked() == {("received", "GEAR"): 8}
    assert line.booked("4711x") == {("received", "GEAR"): 8}


def test_a_fact_moves_from_one_unknown_order_to_another_and_back(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path)
    at = line.machine(order="A")
    for order in ("B", "A", "B", "A"):
        line.adapt(mapping.REPORT.replace("row.order", f'"{order}"'))
        line.replayed(readings, at)
        assert (line.fact(at).reference, line.fact(at).order) == (f"order {order}", order)
        assert line.names("waiting:order " + order) == [str(at)]
    line.master(ev.OrderChanged("A", "GEAR", ea(10), location="FG"), ev.OrderChanged("B", "GEAR", ea(10), location="FG"))
    assert line.fates() == {"booked": 1}
    assert (line.booked("A"), line.booked("B")) == ({("received", "GEAR"): 8}, {})
    assert line.fact(at).previous == 0


def test_when_the_last_fact_leaves_a_late_name_its_exception_is_closed(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, mapping.REPORT.replace("row.order", 'row.order + "x"'), Policy(waiting_hours=1))
    at = line.machine()
    line.run(7200, 600)
    assert [row.subject for row in line.exceptions()] == ["order 4711x"]
    line.adapt(mapping.REPORT)
    line.replayed(readings, at)
    assert line.exceptions() == []


def test_a_fact_that_stands_in_the_chain_of_an_order_is_corrected_and_not_moved(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, mapping.REPORT + "location = '\"NEW\"'\n")
    line.order("4712")
    at = line.machine()
    assert (line.fact(at).reference, line.fact(at).order) == ("location NEW", "4711")
    line.adapt(mapping.REPORT.replace("row.order", '"4712"'))
    assert courses(line.replayed(readings, at)) == {"corrected": 1}
    assert line.fates() == {"booked": 1, "recorded": 1}
    assert line.booked("4712") == {("received", "GEAR"): 8}
    nothing_the_second_time(line, readings, at)
    line.master(ev.LocationChanged("NEW"))
    assert (line.booked(), line.found_order().waiting) == ({}, 0)


def test_what_is_only_kept_is_booked_by_a_mapping_that_understands_it(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, KEPT)
    at = line.machine()
    assert (line.fate(at), line.fact(at).reference) == ("recorded", "test runs are only kept")
    assert courses(line.replayed(readings, at)) == {"the same": 1}
    line.adapt(mapping.REPORT)
    assert courses(line.replayed(readings, at)) == {"told anew": 1}
    assert (line.booked(), line.fates()) == ({("received", "GEAR"): 8}, {"booked": 1})


def test_what_was_refused_can_be_only_kept(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    line.adapt(KEPT)
    assert courses(line.replayed(readings, at)) == {"told anew": 1}
    assert (line.fates(), line.exceptions(), line.fact(at).reference) == ({"recorded": 1}, [], "test runs are only kept")
    nothing_the_second_time(line, readings, at)


def test_a_dismissed_fact_is_told_only_when_that_is_asked_for(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine()
    line.own(ev.FactDismissed(at, "bob", "a test"))
    line.adapt(mapping.REPORT)
    assert refusal(line.replayed(readings, at)) == (
        "it was dismissed (bob: a test); ask for dismissed facts too, if it shall be booked after all"
    )
    assert line.fates() == {"dismissed": 1}
    assert courses(line.replayed(readings, at, dismissed=True)) == {"told anew": 1}
    assert (line.booked(), line.fates()) == ({("received", "GEAR"): 8}, {"booked": 1})
    nothing_the_second_time(line, readings, at, dismissed=True)


def test_a_dismissed_fact_whose_posting_was_given_up_is_not_told_again(line: Line, readings: Readings) -> None:
    line.faults.arm(Fault.CLOSED_PERIOD)
    at = line.machine()
    line.own(ev.FactDismissed(at, "bob", "a test"))
    line.step()
    assert "its posting was given up with it" in refusal(line.replayed(readings, at, dismissed=True))


def test_a_fact_without_an_age_is_told_when_the_mapping_knows_its_time(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path)
    at = line.machine(occurred=None, at="2026-03-02T07:00:00Z")
    assert line.fate(at) == "exception"
    assert "no time of its own" in refusal(line.replayed(readings, at))
    line.adapt("occurred = 'time(row.at)'\n" + mapping.REPORT)
    assert courses(line.replayed(readings, at)) == {"told anew": 1}
    assert line.booked() == {("received", "GEAR"): 8}


def test_a_fact_that_was_too_old_when_it_came_stays_an_exception(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, STRICT)
    at = line.machine(occurred=START - timedelta(days=8))
    line.adapt(mapping.REPORT)
    assert "older than its interface's horizon" in refusal(line.replayed(readings, at))
    assert line.fates() == {"exception": 1}


# --- what was applied --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("differences", [True, False])
def test_what_is_booked_is_corrected_by_the_difference_once(tmp_path: Path, readings: Readings, differences: bool) -> None:
    line = Line(tmp_path, policy=Policy(differences=differences))
    at = line.machine()
    line.adapt(HALF)
    found = line.replayed(readings, at)
    assert courses(found) == {"corrected": 1}
    assert (line.booked(), line.fates()) == ({("received", "GEAR"): 4}, {"booked": 2})
    assert line.fact(at).reference == f"corrected by {line.facts()[-1].position}"
    correction = line.facts()[-1]
    assert (correction.source, correction.type) == ("synchromesh.replay", "correction.corrected")
    assert line.store.reading().identity(PLANT, correction.source, correction.id) == correction.position
    nothing_the_second_time(line, readings, at)


def test_what_a_replay_corrected_is_corrected_again_by_the_next_mapping_and_back(line: Line, readings: Readings) -> None:
    at = line.machine()
    for rest, pieces in ((HALF, 4), (mapping.REPORT, 8), (HALF, 4)):
        line.adapt(rest)
        assert courses(line.replayed(readings, at)) == {"corrected": 1}
        assert line.booked() == {("received", "GEAR"): pieces}
        nothing_the_second_time(line, readings, at)


def test_what_is_booked_and_maps_to_the_same_is_left_alone(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt(mapping.REPORT + "\n# read by another eye\n")
    for which in ("ran", "current"):
        assert courses(line.replayed(readings, at, mapping=which)) == {"the same": 1}
    assert line.booked() == {("received", "GEAR"): 8}


def test_what_is_booked_can_be_cancelled_and_booked_again(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt(KEPT)
    assert courses(line.replayed(readings, at)) == {"cancelled": 1}
    assert line.booked() == {}
    nothing_the_second_time(line, readings, at)
    line.adapt(mapping.REPORT)
    assert courses(line.replayed(readings, at)) == {"corrected": 1}
    assert line.booked() == {("received", "GEAR"): 8}


def test_one_fact_can_become_several_and_one_again(line: Line, readings: Readings) -> None:
    at = line.machine()
    several = ev.FactReplayed(
        at, "ann", "why", "m", (ev.ProductionReported("4711", good=ea(7)), ev.ScrapRecorded("4711", ea(1))), occurred=START
    )
    line.own(several)
    line.step()
    assert line.booked() == {("received", "GEAR"): 7, ("scrapped", "GEAR"): 1}
    assert len(line.facts()) == 2
    line.own(several)  # decided twice, by two who did not know of each other
    line.step()
    assert len(line.facts()) == 2
    assert courses(line.replayed(readings, at)) == {"corrected": 1}
    assert line.booked() == {("received", "GEAR"): 8}


def test_a_posting_that_erp_refused_is_replaced_by_what_the_fact_says_now(line: Line, readings: Readings) -> None:
    line.faults.arm(Fault.CLOSED_PERIOD)
    at = line.machine()
    assert line.fate(at) == "exception"
    line.adapt(HALF)
    assert courses(line.replayed(readings, at)) == {"corrected": 1}
    assert line.booked() == {("received", "GEAR"): 4}
    assert line.exceptions() == []


def test_a_source_s_own_correction_counts_more_than_a_mapping(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.tell(ev.FactCorrected("mes", "1", ev.ProductionReported("4711", good=ea(5))))
    line.step()
    line.adapt(HALF)
    why = refusal(line.replayed(readings, at))
    assert why.startswith("it was corrected by ")
    assert "a message of mes, whose word counts" in why
    assert line.booked() == {("received", "GEAR"): 5}


def test_what_is_booked_and_refused_by_the_new_mapping_stays_booked(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt(REFUSES)
    assert refusal(line.replayed(readings, at)) == "the mapping refuses it: nothing is taken from this machine"
    assert line.booked() == {("received", "GEAR"): 8}


def test_a_change_of_time_alone_is_not_replayable(line: Line, readings: Readings) -> None:
    at = line.machine(at="2026-03-01T07:00:00Z")
    line.adapt("occurred = 'time(row.at)'\n" + mapping.REPORT)
    assert refusal(line.replayed(readings, at)).startswith("only its time would change")


def test_what_can_t_be_corrected_is_named(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt("[rules.end]\nevent = \"production.order.completed\"\n[rules.end.fields]\norder = 'row.order'\n")
    assert refusal(line.replayed(readings, at)) == "a fact of type production.order.completed can't be corrected or told as a correction"


# --- a dry run, and the plant meanwhile -----------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_then_happens_and_writes_nothing(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, policy=Policy(differences=True))
    first, second = line.machine("1"), line.machine("2")
    line.adapt(HALF)
    head = line.log.head()
    dry, decisions = review(readings(line), PLANT, line.records(), Request("ann", "x"), line.time, preview=True)
    assert line.log.head() == head
    assert dry.preview is not None
    assert (len(decisions), dry.preview.made.count, dry.preview.facts.after - dry.preview.facts.before) == (2, 2, 2)
    assert [each.position for each in dry.changing.first] == [first, second]
    line.log.append(decisions)
    line.work()
    assert [each.key for each in dry.preview.made.first] == [row.key for row in line.postings()[-2:]]
    line.step()
    assert line.booked() == {("received", "GEAR"): 8}


def test_a_decision_that_came_too_late_changes_nothing(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt(HALF)
    _, decisions = review(readings(line), PLANT, line.records(at), Request("ann", "x"), line.time)
    line.tell(ev.FactCancelled("mes", "1"))
    line.log.append(decisions)
    line.step()
    assert line.booked() == {}
    assert line.names("audit")[-1].endswith(" stale")


def test_two_replays_at_the_same_time_book_once(line: Line, readings: Readings) -> None:
    at = line.machine()
    line.adapt(HALF)
    reading = readings(line)
    for _ in range(2):
        replay(reading, line.log.append, PLANT, line.records(at), Request("ann", "x"), line.time)
    line.step()
    assert line.booked() == {("received", "GEAR"): 4}
    assert len(line.facts()) == 2


def test_a_second_person_may_have_to_approve(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path, policy=Policy(approvals=("replay",)))
    at = line.machine()
    line.adapt(HALF)
    line.replayed(readings, at)
    assert line.booked() == {("received", "GEAR"): 8}
    line.own(ev.DecisionApproved(line.log.head()[PLANT], "bob"))
    line.step()
    assert line.booked() == {("received", "GEAR"): 4}
    assert "ann, approved by bob" not in str(line.exceptions())


@pytest.mark.parametrize("approve", [True, False])
def test_a_replay_of_many_is_one_proposal_that_is_judged_once(
    tmp_path: Path, readings: Readings, monkeypatch: pytest.MonkeyPatch, approve: bool
) -> None:
    monkeypatch.setattr("synchromesh.engine.desk.PAGE", 3)
    monkeypatch.setattr("synchromesh.engine.queue.PROPOSED", 3)
    line = Line(tmp_path, policy=Policy(approvals=("replay",)))
    positions = [line.machine(str(n)) for n in range(8)]
    line.adapt(HALF)
    line.replayed(readings, *positions[:7])
    line.time += timedelta(seconds=1)
    line.replayed(readings, *positions[7:])
    queue = desk_of(line).queue
    many, other = queue.proposals()
    assert (many.facts, other.facts) == (7, 1), "another replay is another proposal"
    with pytest.raises(NotFitting, match="a second person must approve"):
        desk_of(line).decide(PLANT, ev.DecisionApproved(many.position, "ann"))
    word = ev.DecisionApproved(many.position, "bob") if approve else ev.DecisionDenied(many.position, "bob", "no")
    head = line.log.head()[PLANT]
    foreseen = desk_of(line).decide(PLANT, word, dry_run=True)
    assert line.log.head()[PLANT] == head
    assert (foreseen.foreseen is not None and foreseen.foreseen.given_up.count + foreseen.foreseen.made.count > 0) is approve
    assert desk_of(line).decide(PLANT, word).came_of == "done"
    assert [each.position for each in queue.proposals()] == [other.position]
    line.step()
    assert line.booked() == {("received", "GEAR"): 7 * 4 + 8 if approve else 64}


def test_many_are_replayed_in_steps(line: Line, readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    for n in range(8):
        line.machine(str(n))
    line.adapt(HALF)
    told: list[int] = []
    appended: list[int] = []

    def append(messages: Sequence[Message]) -> None:
        appended.append(len(messages))
        line.log.append(messages)

    found = replay(
        readings(line), append, PLANT, line.records(), Request("ann", "x"), line.time, progress=lambda done, end: told.append(done)
    )
    line.step()
    assert (appended, told, found.decided) == ([3, 3, 2], [3, 6, 8], 8)
    assert line.booked() == {("received", "GEAR"): 32}


# --- what is refused as a whole --------------------------------------------------------------------------------------------------


def test_nothing_selected_is_a_clear_refusal(line: Line, readings: Readings) -> None:
    for records in ([], line.records(1)):  # an activation is no message of a plant
        with pytest.raises(ReplayRefused, match="no message of a plant was selected; nothing was changed"):
            review(readings(line), PLANT, records, Request("ann", "x"), line.time)


@pytest.mark.parametrize("request_", [Request("", "x"), Request("ann", ""), Request("a" * 129, "x")])
def test_a_replay_needs_a_name_and_a_reason(line: Line, readings: Readings, request_: Request) -> None:
    at = line.machine()
    with pytest.raises(ReplayRefused, match="must have 1 to 128 characters"):
        review(readings(line), PLANT, line.records(at), request_, line.time)


def test_too_many_are_refused_before_anything_is_written(line: Line, readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DECISIONS", 2)
    for n in range(3):
        line.machine(str(n))
    line.adapt(HALF)
    head = line.log.head()
    with pytest.raises(ReplayRefused, match="more than 2 facts would change"):
        line.replayed(readings)
    assert line.log.head() == head


def test_the_enterprise_has_no_facts(line: Line, readings: Readings) -> None:
    with pytest.raises(ReplayRefused, match="name a plant"):
        review(readings(line), "enterprise", [], Request("ann", "x"), line.time)


def test_a_decision_about_no_fact_is_stale(line: Line) -> None:
    for position in (1, 999_999):
        line.own(ev.FactReplayed(position, "ann", "why", "m", (ev.ProductionReported("4711", good=ea(7)),)))
        line.step()
        assert line.names("audit")[-1].endswith(" stale")


def test_what_is_no_json_is_refused_and_stays_an_exception(line: Line, readings: Readings) -> None:
    [at] = line.log.append([Message(PLANT, "mes", "x", NATIVE, line.time, b"\xff\xfe\x00", occurred=line.time)])
    line.step()
    assert refusal(line.replayed(readings, at)).startswith("the mapping refuses it: The message is no canonical event")
    assert line.fates() == {"exception": 1}


def test_a_trace_tells_what_was_replayed_with_its_closed_exception_and_both_ends_of_a_correction(line: Line, readings: Readings) -> None:
    line.faults.arm(Fault.CLOSED_PERIOD)
    at = line.machine()
    key = line.postings()[0].key
    line.own(ev.PostingRetried(key, "ann"))
    line.step()
    line.adapt(HALF)
    line.replayed(readings, at)
    inquiry = Inquiry("one", [PLANT], readings(line), line.log, tuple, now=lambda: line.time, clock=lambda: 0.0)
    later = line.facts()[-1].position
    first, correction = inquiry.story(PLANT, at), inquiry.story(PLANT, later)
    assert first is not None
    assert correction is not None
    assert [(each.category, each.state) for each in first.exceptions] == [("closed period", "resolved")]
    assert (first.caused_by, first.led_to) == ((), (f"{PLANT}:{later}",))
    assert (correction.caused_by, correction.led_to) == ((f"{PLANT}:{at}",), ())
    for query in (key, line.postings()[-1].key, line.documents()[-1].number):
        assert inquiry.trace(query).stories, query
    assert inquiry.trace("oslo:" + "9" * 40 + ":receipt:1").stories == ()


# --- repeats of what was read again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [STRICT, HALF], ids=["told anew", "corrected"])
def test_a_message_that_comes_once_more_after_it_was_read_again_is_a_repeat(tmp_path: Path, readings: Readings, first: str) -> None:
    line = Line(tmp_path, first)
    at = line.machine()
    line.adapt(mapping.REPORT)
    line.replayed(readings, at)
    again = line.machine()
    line.run(30)
    assert (line.fate(again), line.exceptions()) == ("duplicate", [])
    assert line.booked() == {("received", "GEAR"): 8}


def test_a_message_whose_payload_a_person_put_right_may_come_once_more_as_it_was(tmp_path: Path, readings: Readings) -> None:
    line = Line(tmp_path)
    at = line.machine(unit="nothing")
    right = Record(at, msgspec.structs.replace(line.records(at)[0].message, body=json.dumps(ROW).encode()))
    _, decisions = review(readings(line), PLANT, [right], Request("ann", "the unit was wrong"), line.time)
    line.log.append(decisions)
    line.step()
    again, other = line.machine(unit="nothing"), line.machine(unit="something else")
    line.run(30)
    assert [line.fate(position) for position in (at, again, other)] == ["booked", "duplicate", "exception"]


ROW = {"id": "1", "order": "4711", "good": 8, "unit": "EA"}
