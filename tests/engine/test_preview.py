"""A preview says exactly what then happens, and writes nothing: the same messages are previewed and then appended, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
from tests.engine import laws
from tests.engine.stores import Readings
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.engine import preview as module
from synchromesh.engine.preview import Preview, PreviewRefused, Supposed, preview
from synchromesh.engine.worker import own_message
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Category, Fate, Outcome, Refusal
from synchromesh.plant.policy import Policy

_encode = msgspec.json.Encoder(decimal_format="string").encode


def world_of(policy: Policy | None = None) -> World:
    world = World(policy)
    world.order()
    world.tell(ev.StockObserved((), ("GEAR",)), source="erp")
    world.step()
    return world


def report(world: World, good: int = 5, order: str = "4711", id: str = "", **more: str) -> Message:
    event = ev.ProductionReported(order, good=ea(good), **more)
    return Message(PLANT, "mes", id or f"r{good}", NATIVE, world.time, _encode(event), occurred=world.time)


def decision(world: World, event: ev.DecisionEvent) -> Message:
    return own_message(PLANT, f"decision-{event}", event, world.time)  # type: ignore[arg-type]


def rejected(world: World, good: int = 5) -> str:
    """A report whose receipt ERP refuses; the posting's key."""
    world.faults.arm(Fault.CLOSED_PERIOD)
    world.log.append([report(world, good)])
    world.step()
    return world.exceptions()[0].posting


def happens_as_foreseen(world: World, readings: Readings, messages: Sequence[Message]) -> Preview:
    """Preview the messages, then append them: every row that the preview has on top is the one that is committed then."""
    before = laws.rows_of(world.store)
    reading = readings(world)
    foreseen = preview(reading, PLANT, messages, world.time)
    with closing(reading.moment()) as moment:
        supposed = Supposed(moment, PLANT, moment.positions()[PLANT])
        supposed.tell(messages)
        supposed.work_off(world.time, 100)
        assert laws.rows_of(world.store) == before, "a preview writes nothing"
        world.log.append(messages)
        world.work()
        later = world.store.state()
        top = supposed.overlay
        assert {(kind, name): later.load(PLANT, kind, [name]).get(name) for kind, name in top.entities} == top.entities
        assert later.facts(PLANT, top.fact_rows) == top.fact_rows
        assert later.postings(PLANT, top.posting_rows) == top.posting_rows
        assert later.exceptions(PLANT, top.exception_rows) == top.exception_rows
    assert foreseen.facts.after == world.totals().facts
    assert foreseen.exceptions.after == world.totals().exceptions
    assert {name: count.after for name, count in foreseen.fates.items()} == {name: world.totals().fates[name] for name in foreseen.fates}
    return foreseen


# --- facts -------------------------------------------------------------------------------------------------------------------


def test_a_fact_is_foreseen_with_its_posting_and_the_ledgers_it_moves(readings: Readings) -> None:
    world = world_of()
    foreseen = happens_as_foreseen(world, readings, [report(world)])
    [made] = foreseen.made.first
    assert (made.kind, made.state, made.order, made.quantity, made.lines) == ("receipt", "ready", "4711", "5 EA", ("5 EA of GEAR, at FG",))
    assert made.key == world.postings()[-1].key
    assert made.effective == world.time.date()
    assert foreseen.ready.first == (made,)
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"booking": (0, 1)}
    [ledger] = foreseen.stock.first
    assert (ledger.place, ledger.reported, ledger.pending, ledger.booked) == (
        "item GEAR at FG", ("0", "5 EA"), ("0 EA", "5 EA"), None,
    )  # fmt: skip
    assert not foreseen.nothing


def test_a_repeat_is_foreseen_to_change_one_count_only(readings: Readings) -> None:
    world = world_of()
    world.log.append([report(world)])
    world.step()
    foreseen = happens_as_foreseen(world, readings, [report(world)])
    assert (foreseen.made.count, foreseen.stock.count, foreseen.opened.count) == (0, 0, 0)
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"duplicate": (0, 1)}


def test_what_can_t_be_understood_is_foreseen_as_an_exception(readings: Readings) -> None:
    world = world_of()
    message = msgspec.structs.replace(report(world), body=b"\xff\x00 no JSON")
    foreseen = happens_as_foreseen(world, readings, [message])
    assert (foreseen.opened.count, foreseen.opened.first[0].category) == (1, "invalid")


def test_what_waits_is_worked_off_by_the_ticks_that_would_come(readings: Readings) -> None:
    world = World()
    world.log.append([report(world, good, "4799", f"w{good}") for good in range(1, 601)])
    world.step()
    arriving: list[ev.EnterpriseEvent] = [
        ev.LocationChanged("FG"), ev.ItemChanged("GEAR", "EA"), ev.OrderChanged("4799", "GEAR", ea(1_000_000), location="FG")
    ]  # fmt: skip
    for event in arriving:
        world.erp_knows_as(event)
    messages = [Message(PLANT, "erp", f"e{n}", NATIVE, world.time, _encode(event)) for n, event in enumerate(arriving)]
    foreseen = happens_as_foreseen(world, readings, messages)
    assert foreseen.made.count == 600
    assert len(foreseen.made.first) == 20
    assert foreseen.ticks == 3  # pages of 256
    assert foreseen.unfinished == ()
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"waiting": (600, 0), "booking": (0, 600)}


def test_work_beyond_the_limit_is_named_and_not_told_as_done(readings: Readings) -> None:
    world = World()
    world.log.append([report(world, good, "4799", f"w{good}") for good in range(1, 601)])
    world.order("4798")
    event = ev.OrderChanged("4799", "GEAR", ea(1_000_000), location="FG")
    foreseen = preview(readings(world), PLANT, [Message(PLANT, "erp", "e", NATIVE, world.time, _encode(event))], world.time, ticks=1)
    assert foreseen.made.count == 256
    assert foreseen.unfinished == ("waiting:order 4799",)


def test_messages_of_several_batches_build_on_each_other(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    world = world_of()
    foreseen = preview(readings(world), PLANT, [report(world, 5), report(world, 7), report(world, 7), report(world, 5)], world.time)
    assert {name: count.after for name, count in foreseen.fates.items()} == {"booking": 2, "duplicate": 2}
    assert [each.state for each in foreseen.made.first] == ["ready", "waiting"]


# --- decisions -------------------------------------------------------------------------------------------------------------------


def test_a_posting_sent_again_is_foreseen_with_its_new_key_and_the_closed_exception(readings: Readings) -> None:
    world = world_of()
    key = rejected(world)
    foreseen = happens_as_foreseen(world, readings, [decision(world, ev.PostingRetried(key, "ann"))])
    [again] = foreseen.ready.first
    assert again.key == world.postings()[-1].key != key
    assert [each.key for each in foreseen.given_up.first] == [key]
    assert (foreseen.given_up.first[0].before, foreseen.given_up.first[0].successor) == ("rejected", again.key)
    assert [(each.posting, each.state) for each in foreseen.closed.first] == [(key, "resolved")]
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"booking": (0, 1), "exception": (1, 0)}
    assert foreseen.stock.count == 0


def test_a_settled_doubt_is_foreseen_as_booked(readings: Readings) -> None:
    world = world_of()
    world.log.append([report(world)])
    world.work()
    key = world.postings()[-1].key
    refusal = Refusal(Category.OTHER, "x", "Nobody knows.")
    world.own(ev.OutcomesReported((Outcome(key, Fate.UNKNOWN, world.time, refusal=refusal),)))
    world.work()
    foreseen = happens_as_foreseen(world, readings, [decision(world, ev.DoubtSettled(key, "ann", "4900-1"))])
    assert [(each.before, each.state, each.document) for each in foreseen.changed.first] == [("in doubt", "posted", "4900-1")]
    assert (foreseen.documents.before, foreseen.documents.after) == (0, 1)
    assert [ledger.booked for ledger in foreseen.stock.first] == [("0 EA", "5 EA")]


def test_a_dismissal_is_foreseen_with_all_that_is_given_up(readings: Readings) -> None:
    world = world_of()
    rejected(world)
    position = world.facts()[-1].position
    foreseen = happens_as_foreseen(world, readings, [decision(world, ev.FactDismissed(position, "ann", "a test run"))])
    assert [each.before for each in foreseen.given_up.first] == ["rejected"]
    assert [each.state for each in foreseen.closed.first] == ["dismissed"]
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"dismissed": (0, 1), "exception": (1, 0)}


def test_a_decision_that_no_longer_fits_is_foreseen_to_change_nothing(readings: Readings) -> None:
    world = world_of()
    for event in (ev.PostingRetried("oslo:999:receipt:1", "ann"), ev.DoubtSettled("nonsense", "ann"), ev.FactDismissed(998, "ann", "x")):
        assert happens_as_foreseen(world, readings, [decision(world, event)]).nothing


def test_a_new_policy_is_foreseen_for_the_facts_behind_it(readings: Readings) -> None:
    world = world_of()
    content = _encode(Policy(target="other", series="s2")).decode()
    activation = own_message(PLANT, "policy", ev.Activated("policy", PLANT, "digest", content), world.time)
    foreseen = happens_as_foreseen(world, readings, [activation, report(world)])
    assert foreseen.made.first[0].key.startswith("oslo.s2:")


# --- what can't be previewed ---------------------------------------------------------------------------------------------------


def test_nothing_previewed_changes_nothing(readings: Readings) -> None:
    world = world_of()
    foreseen = preview(readings(world), PLANT, [], world.time)
    assert foreseen.nothing
    assert (foreseen.messages, foreseen.ticks, foreseen.position) == (0, 0, world.worker.positions[PLANT])


def test_a_plant_that_was_told_nothing_yet_can_be_previewed(readings: Readings) -> None:
    world = world_of()
    message = msgspec.structs.replace(report(world), partition="bergen")
    foreseen = preview(readings(world), "bergen", [message], world.time)
    assert foreseen.position == 0
    assert {name: (count.before, count.after) for name, count in foreseen.fates.items()} == {"waiting": (0, 1)}


def test_a_message_of_another_plant_is_refused(readings: Readings) -> None:
    world = world_of()
    with pytest.raises(PreviewRefused, match="mes/r5 is of oslo; a preview of bergen"):
        preview(readings(world), "bergen", [report(world)], world.time)


def test_too_many_messages_are_refused(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES", 3)
    world = world_of()
    with pytest.raises(PreviewRefused, match="more than 3 messages"):
        preview(readings(world), PLANT, [report(world, good) for good in range(1, 5)], world.time)


def test_a_message_that_would_crash_the_fold_is_named(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    from synchromesh.plant import rules  # noqa: PLC0415 - only this test breaks a rule

    def crash(*_: object) -> None:
        raise KeyError("thirteen")

    world = world_of()
    reading = readings(world)
    monkeypatch.setitem(rules.RULES, ev.ProductionReported, (rules.RULES[ev.ProductionReported][0], crash))
    foreseen = preview(reading, PLANT, [report(world)], world.time)
    assert foreseen.set_aside == ("message mes/r5: KeyError: 'thirteen'",)
    assert foreseen.opened.count == 1


def test_a_preview_of_time_to_come_also_tells_what_is_due_by_then_only_with_a_tick(readings: Readings) -> None:
    world = World()
    world.log.append([report(world, 1, "4799")])
    world.step()
    later = world.time + timedelta(hours=100)
    assert preview(readings(world), PLANT, [], later).nothing
