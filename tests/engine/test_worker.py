"""The worker: what a crash can't lose or repeat, what one bad message can't stop, and how partitions talk to each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from tests.engine import laws
from tests.engine.world import PLANT, START, World, ea

from synchromesh.engine import folding
from synchromesh.engine.reader import Reader
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.agreement import MOST_PARTITIONS, LogFull
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.model.message import ENTERPRISE, NATIVE, OWN, Message, Record
from synchromesh.plant import production, rules
from synchromesh.plant.entities import Totals
from synchromesh.plant.fact import Told
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import Fenced, StateFull
from synchromesh.state.memory import MemoryStore

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Died(Exception):
    """The process ends here."""


def report(good: int = 1) -> ev.ProductionReported:
    return ev.ProductionReported("4711", good=ea(good))


def fail_once(world: World, moment: str, error: Exception) -> None:
    """The next commit raises: before anything is stored, or after all of it is."""

    def fail(_: Sequence[Changes]) -> None:
        world.store.before_commit = world.store.after_commit = None
        raise error

    if moment == "before":
        world.store.before_commit = fail
    else:
        world.store.after_commit = fail


# --- crashes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_commit_loses_and_repeats_nothing(moment: str) -> None:
    world = World()
    world.order()
    world.tell(report())

    fail_once(world, moment, Died())
    with pytest.raises(Died):
        world.worker.step()
    world.start()
    world.step()
    assert world.fates() == {"booked": 1}
    assert len(world.documents()) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_that_failed_is_tried_again_by_the_same_worker(moment: str) -> None:
    world = World()
    world.order()
    world.tell(report())

    fail_once(world, moment, StateFull("no room"))
    with pytest.raises(StateFull):
        world.worker.step()
    world.step()
    assert world.fates() == {"booked": 1}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_was_read_ahead_of_a_commit_that_failed_comes_in_its_turn(moment: str) -> None:
    world = World()
    world.order()
    told = [world.tell(report()) for _ in range(120)]
    world.worker.step()
    assert world.worker._ahead, "with a backlog the next batch is read while the one before it is committed"

    fail_once(world, moment, StateFull("no room"))
    with pytest.raises(StateFull):
        world.worker.step()
    world.step()
    assert world.fates() == {"booked": len(told)}
    laws.check(world)


def test_who_gets_a_partition_back_knows_nothing_of_before() -> None:
    """Another one has written it meanwhile: what was kept in memory is old."""
    world = World()
    world.order()
    world.tell(report())
    world.step()
    mine, theirs = world.worker, Worker(world.log, world.store.state(), [PLANT], "another", now=lambda: world.time)
    world.tell(report())
    while theirs.step():
        pass
    theirs.leave()
    mine.attend()
    world.tell(report())
    world.step()
    assert world.fates() == {"booked": 3}
    laws.check(world)


def test_what_was_read_ahead_of_a_partition_that_was_given_up_is_not_folded() -> None:
    log, store = MemoryLog(), MemoryStore()
    for plant in ("a", "b"):
        for number in range(30):
            log.append([Message(plant, "mes", f"r{number}", NATIVE, START, _encode(report()), occurred=START)])
    worker = Worker(log, store.state(), ["a", "b"], "w", now=lambda: START, batch=10)
    worker.step()
    worker._partitions = ["a"]
    worker.attend()
    while worker.step():
        pass
    assert store.state().positions() == {"a": 30, "b": 5}


def test_a_message_that_crashes_when_it_is_read_ahead_is_set_aside_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.order()
    told = [world.tell(report()) for _ in range(120)]
    read = Reader._canonical

    def crash(self: Reader, record: Record, message: Message) -> Told:
        if record.position == told[100]:
            raise KeyError("unreadable")
        return read(self, record, message)

    monkeypatch.setattr(Reader, "_canonical", crash)
    world.step()
    assert world.fates() == {"booked": len(told) - 1, "exception": 1}
    World.made.clear()  # the message can be read when the laws would be asked


def test_a_worker_that_was_taken_over_can_write_nothing() -> None:
    world = World()
    old = world.worker
    world.start()
    world.tell(report())
    with pytest.raises(Fenced):
        old.step()
    world.step()
    assert world.fates() == {"waiting": 1}


# --- bad messages ----------------------------------------------------------------------------------------------------------------


def poisoned(monkeypatch: pytest.MonkeyPatch, error: type[Exception] = KeyError) -> None:
    """From now on a report of 13 pieces crashes its rule, after it changed something."""
    require, apply = rules.RULES[ev.ProductionReported]

    def crash(view: object, act: object, event: ev.ProductionReported, sign: int) -> None:
        apply(view, act, event, sign)  # type: ignore[arg-type]
        if event.good == ea(13):
            raise error("thirteen")

    monkeypatch.setitem(rules.RULES, ev.ProductionReported, (require, crash))


@pytest.mark.parametrize("error", [KeyError, ZeroDivisionError, AssertionError, RecursionError])
def test_one_bad_message_stops_nothing(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    poisoned(monkeypatch, error)
    world = World()
    world.order()
    told = [world.tell(report(good)) for good in (1, 13, 2, 13, 3)]
    world.step()
    assert world.booked() == {("received", "GEAR"): 6}
    assert [world.fate(at) for at in told] == ["booked", "exception", "booked", "exception", "booked"]
    assert {row.position for row in world.exceptions()} == {told[1], told[3]}
    quarantines = [record.position for record in world.log.read({PLANT: 0}, 1000)[PLANT] if record.message.id.startswith("quarantine:")]
    assert len(quarantines) == 2
    world.own(ev.FactDismissed(told[1], "ann", "a defect"))
    world.step()
    assert world.fate(told[1]) == "dismissed"
    laws.check(world)
    World.made.clear()  # the rule is mended when the laws would be asked again


def test_a_message_is_tried_twice_before_it_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.order()
    apply = production.apply_report
    tries = 0

    def crash_once(view: object, act: object, event: ev.ProductionReported, sign: int) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError if False else ValueError("once")
        apply(view, act, event, sign)  # type: ignore[arg-type]

    monkeypatch.setitem(rules.RULES, ev.ProductionReported, (production.require_report, crash_once))
    at = world.tell(report())
    world.step()
    assert world.fate(at) == "booked"
    assert folding.ATTEMPTS == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"type":"no.such"}', b'{"type":"production.reported"}',
     b'{"type":"production.reported","order":"4711","good":{"amount":"NaN","unit":"EA"}}',
     b'{"type":"production.reported","order":"4711","good":{"amount":"1e999","unit":"EA"}}',
     b'{"type":"production.reported","order":"4711","good":{"amount":"-1","unit":"EA"}}',
     b'{"type":"production.reported","order":"4711","good":{"amount":"1"}}',
     b'{"type":"production.reported","order":"4711","surprise":1}',
     b'{"type":"synchromesh.outcomes","outcomes":[]}',
     b'{"type":"decision.dismissed","position":1,"by":"x","reason":"y"}',
     b"[" * 100_000],
)  # fmt: skip
def test_bytes_that_mean_nothing_are_an_exception_each(body: bytes) -> None:
    world = World()
    world.order()
    at = world.log.append([Message(PLANT, "mes", "x", NATIVE, world.time, body, occurred=world.time)])[0]
    fine = world.tell(report())
    world.step()
    assert (world.fate(at), world.fate(fine)) == ("exception", "booked")
    assert len(world.exceptions()) == 1


def test_a_source_may_say_no_word_of_ours_but_the_end_of_its_input() -> None:
    world = World(Policy(gather="order"))
    world.order()
    world.tell(report())
    for number, event in enumerate((ev.Tick(world.time + timedelta(days=900)), ev.FactDismissed(1, "eve", "x"), ev.InputEnded("mes"))):
        world.log.append([Message(PLANT, "mes", f"own{number}", OWN, world.time, _encode(event), occurred=world.time)])
    world.step()
    assert world.fates() == {"booked": 1, "exception": 2}


# --- ticks and activations ---------------------------------------------------------------------------------------------------------


def test_no_tick_is_told_while_nothing_waits_for_time() -> None:
    world = World()
    world.order()
    world.tell(report())
    world.step()
    head = world.log.head()
    world.run(5)
    assert world.log.head() == head
    assert world.worker.tick() is None


def test_a_tick_is_told_once_when_something_is_due() -> None:
    world = World(Policy(waiting_hours=1))
    world.tell(report())
    world.step()
    left = world.worker.tick()
    assert left is not None
    assert 3600 <= left <= 3602
    world.time += timedelta(seconds=left)
    head = world.log.head()[PLANT]
    world.worker.tick()
    world.worker.tick()
    assert world.log.head()[PLANT] == head + 1
    world.step()
    assert len(world.exceptions()) == 1


def test_a_tick_that_could_not_be_appended_is_told_later() -> None:
    world = World(Policy(waiting_hours=1))
    world.tell(report())
    world.step()
    world.time += timedelta(hours=2)
    head = world.log.head()[PLANT]

    def refuse(_: Sequence[Message]) -> None:
        raise LogFull("the disk is full")

    world.log.before_append = refuse
    with pytest.raises(LogFull):
        world.worker.tick()
    world.log.before_append = None
    world.worker.tick()
    assert world.log.head()[PLANT] == head + 1


def test_ticks_of_very_many_plants_are_appended_in_parts_that_every_log_takes() -> None:
    plants = [f"plant-{number}" for number in range(MOST_PARTITIONS + 1)]
    log, store, time = MemoryLog(), MemoryStore(), START
    policy = _encode(Policy(waiting_hours=1)).decode()
    for plant in plants:
        told = _encode(report())
        log.append([own_message(plant, "policy", ev.Activated("policy", plant, "1", policy), time)])
        log.append([Message(plant, "mes", "1", NATIVE, time, told, occurred=time)])
    worker = Worker(log, store.state(), plants, "worker", now=lambda: time, batch=10_000)
    while worker.step():
        pass
    assert worker.tick() is not None
    groups: list[int] = []
    log.before_append = lambda messages: groups.append(len(messages))
    time += timedelta(hours=2)
    worker.tick()
    assert groups == [MOST_PARTITIONS, 1]


def test_the_time_of_a_plant_never_goes_back() -> None:
    world = World(Policy(horizon_days=1))
    world.order()
    world.time += timedelta(days=3)
    world.tell(report())
    world.time -= timedelta(days=3)
    old = world.tell(report())
    world.step()
    assert world.fate(old) == "exception"


def test_a_policy_decides_from_its_position_on() -> None:
    world = World()
    world.order()
    before = world.tell(report())
    world.activate(Policy(gather="order"))
    after = world.tell(report())
    world.step()
    assert (world.fate(before), world.fate(after)) == ("booked", "gathered")


# --- partitions ------------------------------------------------------------------------------------------------------------------------


def test_what_belongs_to_all_plants_is_handed_on_once_whatever_crashes() -> None:
    plants = ["bergen", "oslo"]
    for crash in ("none", "before the append", "after the append", "before the commit", "after the commit"):
        log, store = MemoryLog(), MemoryStore()
        log.append([own_message(ENTERPRISE, "plants", ev.Activated("plants", ENTERPRISE, "d", '["bergen","oslo"]'), START)])
        for number in range(5):
            event = ev.ItemChanged(f"I{number}", "EA")
            log.append([Message(ENTERPRISE, "erp", f"c{number}", NATIVE, START, _encode(event), occurred=START)])
        armed = {crash}

        def die(what: object, moment: str, armed: set[str] = armed) -> None:
            forwards = all(isinstance(each, Message) for each in what) or any(each.forwarded for each in what)  # type: ignore[attr-defined]
            if forwards and moment in armed:
                armed.clear()
                raise Died

        log.before_append = lambda batch: die(batch, "before the append")
        log.after_append = lambda batch: die(batch, "after the append")
        store.before_commit = lambda batch: die(batch, "before the commit")
        store.after_commit = lambda batch: die(batch, "after the commit")
        for _ in range(3):
            try:
                worker = Worker(log, store.state(), [ENTERPRISE, *plants], "w", now=lambda: START, batch=4)
                while worker.step():
                    pass
            except Died:
                continue
        for plant in plants:
            totals = store.reading().entities(plant, [("totals", "")])[("totals", "")]
            found = store.reading().entities(plant, [("item", f"I{number}") for number in range(5)])
            assert len(found) == 5, crash
            assert msgspec.msgpack.decode(totals, type=Totals).facts == 0
            bodies = [record.message.id for record in log.read({plant: 0}, 100)[plant]]
            assert len(set(bodies)) == 5, crash
        assert store.state().forwards([ENTERPRISE, *plants], 10) == []


def test_a_fact_sent_to_the_enterprise_partition_is_an_exception() -> None:
    log, store = MemoryLog(), MemoryStore()
    log.append([Message(ENTERPRISE, "mes", "r1", NATIVE, START, _encode(report()), occurred=START)])
    worker = Worker(log, store.state(), [ENTERPRISE], "w", now=lambda: START)
    worker.step()
    assert [row.state for _, row in store.reading().exceptions("open", 10)] == ["open"]


def test_partitions_are_folded_side_by_side_and_committed_together() -> None:
    log, store = MemoryLog(), MemoryStore()
    for plant in ("a", "b"):
        for number in range(30):
            log.append([Message(plant, "mes", f"r{number}", NATIVE, START, _encode(report()), occurred=START)])
    worker = Worker(log, store.state(), ["a", "b"], "w", now=lambda: START, batch=10)
    while worker.step():
        positions = store.state().positions()
        assert positions["a"] == positions["b"]
    assert store.state().positions() == {"a": 30, "b": 30}
