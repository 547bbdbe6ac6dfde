"""How much a business system is sent: rates, turns of the plants, a circuit that closes step by step, and an end to trying again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from tests.engine.test_dispatcher import refuse_all, report, send, world_of

from synchromesh.connectors.agreement import Abilities, ConnectorError, Finding, FindingState, Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.engine import dispatcher as sending
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.sending import Limits, Retry
from synchromesh.log.memory import MemoryLog
from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, PostingKind, Refusal, Reply
from synchromesh.state.agreement import Ready, TakenOver
from synchromesh.state.fairness import fairly

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LOCKED = Refusal(Category.LOCKED, subject.order("4711"), "Order 4711 is being changed by MILLER.", "Ask MILLER.", "M3 018")
BUSY = Refusal(Category.OTHER, subject.SYSTEM, "ERP takes nothing just now.")


class Shelf:
    """An outbox of several plants, each with so many postings ready."""

    def __init__(self, ready: Mapping[str, int]) -> None:
        self.left = {plant: [_ready(plant, number) for number in range(1, count + 1)] for plant, count in ready.items()}
        self.turn = 0

    def known(self) -> set[str]:
        return set(self.left)

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        self.turn += 1
        taken = fairly([iter(self.left[plant]) for plant in sorted(self.left.keys() - full)], limit, self.turn)
        for ready in taken:
            self.left[ready.partition].remove(ready)
        return taken

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        return TakenOver([], list(heads))

    def disown(self, target: str, claimant: str) -> None:
        """There is only this one."""

    def sends(self, target: str, claimant: str) -> bool:
        return True

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        """Nothing is sent again here."""

    def wait(self, timeout: float) -> bool:
        return False

    def close(self) -> None:
        """Nothing to let go of."""


def _ready(plant: str, number: int) -> Ready:
    posting = Posting(f"{plant}:{number}:receipt:1", PostingKind.RECEIPT, plant, f"order:{number}", date(2026, 3, 2), str(number))
    return Ready(plant, number, 1, "erp", posting.lane, msgspec.json.encode(posting), 0)


class Erp:
    """Books everything, unless `answer` says something else."""

    def __init__(self, batch: int = 1, concurrency: int = 4) -> None:
        self.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=batch, concurrency=concurrency)
        self.sent: list[list[Posting]] = []
        self.answer: Callable[[Sequence[Posting]], list[Reply]] = refuse_all(Fate.POSTED, document="1")
        self.gate: Callable[[], Awaitable[None]] | None = None
        self.now = self.most = 0

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        self.sent.append(list(postings))
        self.now += 1
        self.most = max(self.most, self.now)
        await (self.gate() if self.gate else asyncio.sleep(0))
        self.now -= 1
        return self.answer(postings)

    async def find(self, key: str) -> Finding:
        return Finding(FindingState.ABSENT)

    def plants(self) -> list[str]:
        return [posting.plant for batch in self.sent for posting in batch]


class Line:
    """One dispatcher between a shelf and an ERP, and the time."""

    def __init__(self, ready: Mapping[str, int], erp: Erp, limits: Limits | None = None, retry: Retry | None = None) -> None:
        self.time = START
        self.erp = erp
        self.dispatcher = Dispatcher(
            "erp",
            erp,  # type: ignore[arg-type]
            Shelf(ready),
            MemoryLog(),
            "d",
            clock=lambda: (self.time - START).total_seconds(),  # noqa: PLW0108 - the time moves
            now=lambda: self.time,
            jitter=lambda: 1.0,
            limits=limits,
            retry=retry,
        )

    def run(self, seconds: float, pace: float = 0.1) -> None:
        end = self.time + timedelta(seconds=seconds)
        while self.time < end:
            asyncio.run(self.dispatcher.step())
            self.time += timedelta(seconds=pace)


# --- rates and turns ------------------------------------------------------------------------------------------------------------


def test_what_is_configured_bounds_what_the_connector_can_do() -> None:
    erp = Erp(batch=50, concurrency=8)
    Line({"oslo": 100}, erp, Limits(concurrency=2, batch=5)).run(2)
    assert erp.most == 2
    assert max(map(len, erp.sent)) == 5
    assert len(erp.plants()) == 100


def test_more_than_the_connector_can_do_is_not_done() -> None:
    erp = Erp(batch=3, concurrency=1)
    Line({"oslo": 30}, erp, Limits(concurrency=100, batch=100)).run(2)
    assert (erp.most, max(map(len, erp.sent))) == (1, 3)


def test_no_more_is_sent_a_second_than_is_allowed() -> None:
    erp = Erp(batch=50)
    line = Line({"oslo": 500}, erp, Limits(rate_per_second=10))
    line.run(0.1)
    assert len(erp.plants()) == 10, "a second's worth at once"
    line.run(9.9)
    assert len(erp.plants()) == pytest.approx(110, abs=2)


def test_a_slow_rate_is_kept_too_and_says_when_it_goes_on() -> None:
    line = Line({"oslo": 9}, Erp(), Limits(rate_per_second=0.25))
    assert asyncio.run(line.dispatcher.step()) == pytest.approx(4)
    line.run(20)
    assert len(line.erp.sent) == 1 + 4


def test_one_plant_can_not_take_it_all() -> None:
    """A plant with a long queue and one with a short one: each call carries both."""
    erp = Erp(batch=4, concurrency=1)
    line = Line({"loud": 3000, "quiet": 20}, erp)
    for _ in range(10):
        asyncio.run(line.dispatcher.step())
    assert Counter(erp.plants()) == {"loud": 20, "quiet": 20}


def test_who_comes_behind_a_plant_that_fills_every_place_is_served_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IN_FLIGHT", 8)
    erp = Erp(concurrency=1)
    line = Line({"loud": 500, "quiet": 0}, erp)
    asyncio.run(line.dispatcher.step())
    shelf = line.dispatcher._outbox
    assert isinstance(shelf, Shelf)
    shelf.left["quiet"] = [_ready("quiet", number) for number in range(1, 6)]
    for _ in range(20):
        asyncio.run(line.dispatcher.step())
    assert Counter(erp.plants())["quiet"] == 5


def test_a_plant_has_its_own_rate_and_leaves_the_rest_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IN_FLIGHT", 50)
    erp = Erp(batch=10)
    line = Line({"loud": 1000, "other": 0}, erp, Limits(plant_rate_per_second=2))
    line.run(2)
    shelf = line.dispatcher._outbox
    assert isinstance(shelf, Shelf)
    shelf.left["other"] = [_ready("other", number) for number in range(1, 60)]
    line.run(5)
    assert Counter(erp.plants())["loud"] == pytest.approx(16, abs=1)
    assert Counter(erp.plants())["other"] == pytest.approx(12, abs=1)
    assert sum(ready.partition == "loud" for ready in (job.ready for job in line.dispatcher._jobs.values())) < 40, "claims stay few"


# --- the circuit ------------------------------------------------------------------------------------------------------------------


def test_after_an_outage_calls_grow_step_by_step() -> None:
    erp = Erp(concurrency=8)
    line = Line({"oslo": 200}, erp)
    erp.answer = refuse_all(Fate.RETRY, refusal=BUSY)
    line.run(60, pace=1)
    erp.answer = refuse_all(Fate.POSTED, document="1")
    at_a_time = []
    for _ in range(200):
        before = len(erp.sent)
        asyncio.run(line.dispatcher.step())
        at_a_time.append(len(erp.sent) - before)
        line.time += timedelta(seconds=1)
    steps = [count for count in at_a_time if count]
    assert steps[0] == 1
    assert all(after <= 2 * before for before, after in pairwise(steps) if before < 8), steps
    assert max(steps) >= 8, "and in the end it is as many as before"


def test_refusals_that_name_the_system_open_the_circuit_and_those_that_name_an_order_do_not() -> None:
    world, between = world_of(orders=3)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=1)
    between.before = refuse_all(Fate.RETRY, refusal=BUSY)
    for number in range(3):
        report(world, order=str(4711 + number))
    world.step()
    assert len(between.sent) == 1, "the system is left alone"
    between.before = refuse_all(Fate.RETRY, refusal=LOCKED)
    world.run(1, pace=0.1)
    assert len({batch[0].order for batch in between.sent}) == 3


def test_a_system_that_asks_for_time_gets_it_from_all_plants_and_postings() -> None:
    erp = Erp(concurrency=1)
    line = Line({"oslo": 5, "bergen": 5}, erp)
    busy, booked = refuse_all(Fate.RETRY, refusal=BUSY, retry_after=30.0), erp.answer
    erp.answer = lambda postings: busy(postings) if len(erp.sent) == 1 else booked(postings)
    line.run(29)
    assert len(erp.sent) == 1
    line.run(60, pace=1)
    assert len(erp.sent) == 11


def test_the_first_pause_and_the_longest_are_configured() -> None:
    erp = Erp(concurrency=1)
    line = Line({"oslo": 1}, erp, retry=Retry(backoff_seconds=2, longest_seconds=8))
    erp.answer = refuse_all(Fate.RETRY, refusal=BUSY)
    sent_at = []
    for second in range(60):
        before = len(erp.sent)
        line.run(1, pace=1)
        sent_at += [second] * (len(erp.sent) - before)
    pauses = [after - before for before, after in pairwise(sent_at)]
    assert pauses[0] in (4, 5)
    assert set(pauses[2:]) == {8}


# --- an end to trying again -----------------------------------------------------------------------------------------------------


def test_a_lock_that_stays_is_an_exception_in_the_systems_own_words() -> None:
    world, between = world_of()
    world.retry = Retry(attempts=5)
    world.start()
    between.before = refuse_all(Fate.RETRY, refusal=LOCKED)
    at = report(world)
    world.run(60)
    assert len(between.sent) == 5
    assert world.fate(at) == "exception"
    (row,) = world.exceptions()
    assert (row.category, row.subject, row.detail) == (Category.LOCKED, "order 4711", "M3 018")
    assert row.sentence == "Order 4711 is being changed by MILLER. It was tried 5 time(s) in 1 minute(s)."
    assert row.remedy == "Ask MILLER. Then retry, or dismiss it."
    between.before = lambda postings: None
    world.run(60)
    assert world.documents() == [], "certainly not booked, and not sent again by itself"


def test_a_lock_ends_by_time_where_it_is_met_seldom() -> None:
    world, between = world_of()
    world.retry = Retry(attempts=1000, minutes=10)
    world.start()
    between.before = refuse_all(Fate.RETRY, refusal=LOCKED, retry_after=100.0)
    at = report(world)
    world.run(590, pace=10)
    assert world.fate(at) == "booking"
    world.run(200, pace=10)
    assert world.fate(at) == "exception"
    assert len(between.sent) == 7


def test_a_lock_of_the_whole_system_names_the_system() -> None:
    world, between = world_of()
    world.retry = Retry(attempts=3)
    world.start()
    between.before = refuse_all(Fate.RETRY, refusal=Refusal(Category.LOCKED, subject.SYSTEM, "ERP is locked."))
    report(world)
    world.run(60)
    assert [row.subject for row in world.exceptions()] == ["system erp"]


@pytest.mark.parametrize("refusal", [None, BUSY])
def test_an_outage_however_long_makes_no_exception(refusal: Refusal | None) -> None:
    world, between = world_of(orders=5)
    world.retry = Retry(attempts=2, minutes=1)
    world.start()
    between.before = refuse_all(Fate.RETRY, refusal=refusal)
    told = [report(world, order=str(4711 + number)) for number in range(5)]
    world.run(6 * 3600, pace=20)
    assert world.exceptions() == []
    between.before = lambda postings: None
    world.run(120)
    assert [world.fate(at) for at in told] == ["booked"] * 5


def test_a_posting_that_fails_while_others_are_answered_is_an_exception() -> None:
    """It breaks whatever it is sent to, every time; nobody else is kept waiting, and it does not go on for ever."""
    world, between = world_of(Grade.ASKABLE, orders=40)
    world.retry = Retry(attempts=4)
    between.abilities = Abilities(Grade.ASKABLE, frozenset(PostingKind), batch=1, concurrency=2, settle_seconds=1)
    world.start()
    between.before = lambda postings: refuse_all(Fate.DOUBT)(postings) if postings[0].order == "4711" else None
    at = report(world)
    for number in range(1, 40):
        report(world, order=str(4711 + number))
        world.run(5)
    assert world.fate(at) == "exception"
    (row,) = world.exceptions()
    assert (row.category, row.subject) == (Category.OTHER, "order 4711")
    assert 4 <= sum(batch[0].order == "4711" for batch in between.sent) <= 8
    assert len(world.documents()) == 39


def test_a_question_that_is_never_answered_is_settled_by_a_person() -> None:
    world, between = world_of(Grade.ASKABLE, orders=40)
    world.retry = Retry(attempts=4)
    between.abilities = Abilities(Grade.ASKABLE, frozenset(PostingKind), batch=1, concurrency=2, settle_seconds=1)
    world.start()

    def mute(key: str) -> Finding:
        raise ConnectorError(f"500 for {key}")

    world.faults.arm(Fault.LOST)
    at = report(world)
    world.step()
    between.found = mute
    for number in range(1, 40):
        other = report(world, order=str(4711 + number))
        world.run(15)
    assert world.fate(other) == "booked", "it keeps nobody else waiting"
    assert world.fate(at) == "exception"
    (row,) = world.exceptions()
    assert row.subject == f"posting {row.posting}"
    assert "without an answer" in row.sentence
    assert len(between.sent) == 40, "never sent again"


# --- what the system has taken and not decided ------------------------------------------------------------------------------------


def test_what_is_accepted_and_then_gone_is_an_exception() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.ACCEPTED)
    at = report(world)
    world.run(20)
    assert (world.fate(at), len(between.sent)) == ("exception", 1)
    assert "had accepted" in world.exceptions()[0].sentence


def test_what_is_accepted_and_then_waits_for_an_approval_is_told_both_times() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.ACCEPTED)
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.PARKED))
    report(world)
    world.work()
    send(world)
    world.work()
    assert [row.state for row in world.postings()] == ["accepted"]
    world.run(10)
    assert [row.state for row in world.postings()] == ["parked"]
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.POSTED, document="7", link="http://erp/7"))
    world.run(60)
    assert [(row.state, row.document, row.link) for row in world.postings()] == [("posted", "7", "http://erp/7")]


def test_what_is_accepted_is_looked_for_soon_and_then_ever_more_seldom() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.ACCEPTED)
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.ACCEPTED))
    report(world)
    world.run(60)
    assert 5 <= len(between.asked) <= 7
    before = len(between.asked)
    world.run(6 * 3600, pace=30)
    assert 70 <= len(between.asked) - before <= 80


def test_a_dispatcher_that_takes_over_follows_what_the_one_before_had_followed() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.ACCEPTED)
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.ACCEPTED))
    at = report(world)
    world.run(3)
    world.start()
    world.run(10)
    assert [row.state for row in world.postings()] == ["accepted"]
    between.found = lambda key: Finding(
        FindingState.BOOKED, Reply(key, Fate.REJECTED, refusal=Refusal(Category.UNKNOWN_LOT, "lot L of item GEAR", "No such lot."))
    )
    world.run(60)
    assert (world.fate(at), len(between.sent)) == ("exception", 1)
    assert world.exceptions()[0].category == Category.UNKNOWN_LOT
