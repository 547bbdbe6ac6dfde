"""The dispatcher: claims are durable before anything leaves, doubt is asked about, outcomes are told, and one lane never stops another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec
import pytest
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import Abilities, Connector, ConnectorError, Finding, FindingState, Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.engine import dispatcher
from synchromesh.engine.job import BrokenAgreement
from synchromesh.log.agreement import LogFull
from synchromesh.model import event as ev
from synchromesh.model.message import Message
from synchromesh.model.posting import Category, Fate, Posting, PostingKind, Refusal, Reply
from synchromesh.state.agreement import Fenced, StateFull

GRADES = pytest.mark.parametrize("grade", [Grade.UNIQUE, Grade.ASKABLE, Grade.BLIND])


class Died(Exception):
    """The process ends here."""


class Between:
    """A connector with a test between dispatcher and ERP: it notes what passes, and does what the test wants before and after."""

    def __init__(self, inner: Connector) -> None:
        self.inner = inner
        self.abilities: Abilities = inner.abilities
        self.sent: list[list[Posting]] = []
        self.asked: list[str] = []
        self.before: Callable[[Sequence[Posting]], list[Reply] | None] = lambda postings: None
        self.after: Callable[[list[Reply]], list[Reply]] = lambda replies: replies
        self.gate: Callable[[Sequence[Posting]], Awaitable[None]] | None = None
        self.found: Callable[[str], Finding] | None = None
        self.unanswered = 0
        """How many questions fail."""

    async def post(self, postings: Sequence[Posting]) -> list[Reply]:
        self.sent.append(list(postings))
        if self.gate is not None:
            await self.gate(postings)
        replies = self.before(postings)
        return replies if replies is not None else self.after(await self.inner.post(postings))

    async def find(self, key: str) -> Finding:
        self.asked.append(key)
        if self.unanswered:
            self.unanswered -= 1
            raise ConnectorError("no answer")
        if self.found is not None:
            return self.found(key)
        return await self.inner.find(key)

    async def close(self) -> None:
        """Nothing to let go of."""


def world_of(grade: Grade = Grade.UNIQUE, orders: int = 1) -> tuple[World, Between]:
    world = World(None, Rules(grade=grade))
    between = Between(world.erp)
    world.erp = between  # type: ignore[assignment]
    world.start()
    for number in range(orders):
        world.order(str(4711 + number))
    return world, between


def claim_as(world: World, name: str, limit: int = 10) -> None:
    """Another dispatcher began, claimed, and is gone."""
    outbox = world.store.outbox()
    outbox.attend(name, ["erp"])
    outbox.take("erp", name, limit, 1)


def report(world: World, good: int = 5, order: str = "4711") -> int:
    return world.tell(ev.ProductionReported(order, good=ea(good)))


def refuse_all(fate: Fate, **more: object) -> Callable[[Sequence[Posting]], list[Reply]]:
    return lambda postings: [Reply(key=posting.key, fate=fate, **more) for posting in postings]  # type: ignore[arg-type]


def send(world: World) -> None:
    asyncio.run(world.dispatcher.step())


def send_and_tell(world: World) -> None:
    """Send, and tell in the next step what came of it."""
    send(world)
    send(world)


# --- crashes --------------------------------------------------------------------------------------------------------------------


def test_a_claim_is_durable_before_anything_is_sent() -> None:
    world, between = world_of()
    seen = []
    between.before = lambda postings: seen.append(dict(world.store.claims))  # type: ignore[func-returns-value]
    report(world)
    world.step()
    assert [len(claims) for claims in seen] == [1]
    assert world.store.claims == {}, "the folded outcome has ended the claim"


@GRADES
@pytest.mark.parametrize("moment", ["after the claim", "before it arrives", "after it is booked", "after the reply", "after it is told"])
def test_after_a_crash_everything_is_booked_once_or_an_exception(grade: Grade, moment: str) -> None:
    world, between = world_of(grade)
    at = report(world)
    world.work()

    def die(_: object) -> None:
        raise Died

    if moment == "after the claim":
        claim_as(world, "somebody", 10)
    else:
        if moment == "before it arrives":
            between.before = die  # type: ignore[assignment]
        elif moment == "after it is booked":
            between.after = die  # type: ignore[assignment]
        elif moment == "after the reply":
            world.log.before_append = die
        else:
            world.log.after_append = die
        with pytest.raises(Died):
            send_and_tell(world)
    world.log.before_append = world.log.after_append = None
    between.before, between.after = (lambda postings: None), (lambda replies: replies)
    world.start()
    world.run(5)
    told = moment == "after it is told"
    if grade is Grade.BLIND and not told:
        assert world.fate(at) == "exception"
        assert len(between.sent) == (0 if moment == "after the claim" else 1), "never sent again blindly"
        document = world.documents()[0].number if world.documents() else ""
        world.own(ev.DoubtSettled(world.postings()[0].key, "ann", document))
        world.step()
    assert world.fate(at) == "booked"
    assert world.booked() == {("received", "GEAR"): 5}
    assert world.exceptions() == []


def test_a_new_dispatcher_asks_before_it_sends_what_another_had_claimed() -> None:
    world, between = world_of(Grade.ASKABLE)
    report(world)
    world.work()
    claim_as(world, "the one before", 10)
    world.start()
    send(world)
    assert (len(between.asked), len(between.sent)) == (1, 0)
    world.run(1)
    assert between.sent == [], "not found is not yet not booked: the settle time has not passed"
    world.run(5)
    assert len(between.sent) == 1


def test_a_dispatcher_that_was_only_asleep_ends_when_another_one_has_followed() -> None:
    world, between = world_of(Grade.ASKABLE)
    at = report(world)
    world.work()
    old = world.dispatcher
    world.faults.arm(Fault.LOST)
    send(world)
    world.start()
    world.run(10)
    with pytest.raises(Fenced):
        asyncio.run(old.step())
    world.run(10)
    assert world.fate(at) == "booked"
    assert len(world.documents()) == 1
    assert len(between.sent) == 1


@GRADES
def test_what_a_sleeper_had_claimed_is_not_its_to_send_when_it_wakes_up(grade: Grade) -> None:
    """It stands still with something to send. Another one takes over, waits, sends; and then it goes on."""
    world, between = world_of(grade)
    between.before = refuse_all(Fate.RETRY)
    at = report(world)
    world.step()
    sleeper = world.dispatcher
    between.before = lambda postings: None
    world.start()
    world.run(10)
    with pytest.raises(Fenced):
        asyncio.run(sleeper.step())
    asyncio.run(sleeper.stop(0))
    if grade is Grade.BLIND:
        world.own(ev.DoubtSettled(world.postings()[0].key, "ann"))
        world.run(10)
    assert world.fate(at) == "booked"
    assert len(world.documents()) == 1


def test_a_sleeper_that_wakes_up_before_a_call_sends_nothing() -> None:
    """It was stopped between claiming and sending."""
    world, between = world_of(Grade.ASKABLE, orders=2)
    report(world)
    world.work()
    take = world.store.outbox().take
    sleeper = world.dispatcher

    def sleep(*arguments: object) -> object:
        taken = take(*arguments)  # type: ignore[arg-type]
        world.store.outbox().attend("the next one", ["erp"])
        return taken

    sleeper._outbox.take = sleep  # type: ignore[assignment, method-assign]
    with pytest.raises(Fenced):
        asyncio.run(sleeper.step())
    assert between.sent == []


def test_what_a_sleeper_knows_to_be_unbooked_is_not_told_after_a_takeover() -> None:
    """The one that followed may have sent it again meanwhile."""
    world, between = world_of()
    between.before = refuse_all(Fate.REJECTED, refusal=Refusal(Category.INVALID, "item GEAR", "No."))
    at = report(world)
    world.work()
    sleeper = world.dispatcher

    async def hear_and_sleep() -> None:
        await sleeper.step(None)
        await asyncio.wait_for(sleeper.news.wait(), 30)

    asyncio.run(hear_and_sleep())
    between.before = refuse_all(Fate.RETRY)
    world.start()
    send(world)
    with pytest.raises(Fenced):
        asyncio.run(sleeper.step())
    world.work()
    assert world.exceptions() == []
    between.before = lambda postings: None
    world.run(10)
    assert world.fate(at) == "booked"


@GRADES
@pytest.mark.parametrize(("fault", "fate"), [(None, "booked"), (Fault.CLOSED_PERIOD, "exception")])
def test_what_was_told_before_a_takeover_is_neither_sent_again_nor_asked_about(grade: Grade, fault: Fault | None, fate: str) -> None:
    world, between = world_of(grade)
    at = report(world)
    world.work()
    if fault is not None:
        world.faults.arm(fault)
    before = world.log.head()[PLANT]
    send(world)
    assert world.log.head()[PLANT] == before + 1, "the outcome is in the log"
    world.start()
    for _ in range(5):
        send(world)  # the worker is down: it has not folded the outcome
        world.time += timedelta(seconds=between.abilities.settle_seconds + 1)
    assert (len(between.sent), between.asked) == (1, [])
    world.run(10)
    assert (len(between.sent), between.asked) == (1, [])
    assert world.fate(at) == fate
    assert len(world.exceptions()) == (1 if fault is not None else 0)
    assert all("cannot be asked" not in row.sentence for row in world.exceptions())


@GRADES
def test_a_takeover_goes_on_when_the_worker_does(grade: Grade) -> None:
    """What was claimed and not told is asked about as soon as the state has reached the log's head of the takeover."""
    world, between = world_of(grade, orders=2)
    at = report(world)
    world.work()
    claim_as(world, "the one before", 10)
    other = report(world, order="4712")
    world.start()
    send(world)
    assert between.asked == [], "the log holds a message that the state does not know"
    for _ in range(20):
        report(world, order="4712")  # what comes after the takeover is not waited for
        world.worker.step()
        send(world)
        world.time += timedelta(seconds=between.abilities.settle_seconds / 10)
    world.run(10)
    assert len(between.asked) >= 1
    assert world.fate(at) == ("exception" if grade is Grade.BLIND else "booked")
    assert world.fate(other) == "booked"


# --- doubt -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", [Grade.UNIQUE, Grade.ASKABLE])
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DROPPED, Fault.LATE, Fault.BROKEN, Fault.HALVED])
def test_doubt_is_asked_about_and_ends_in_one_document(grade: Grade, fault: Fault) -> None:
    world, between = world_of(grade, orders=4)
    world.faults.arm(fault)
    told = [report(world, order=str(4711 + number)) for number in range(4)]
    world.run(20)
    assert [world.fate(at) for at in told] == ["booked"] * 4
    assert len(world.documents()) == 4
    assert between.asked


def test_a_commit_long_after_the_sending_was_given_up_is_not_doubled() -> None:
    """The settle time runs from when the sending was given up, not from when it began."""
    world, between = world_of(Grade.ASKABLE)
    settle = between.abilities.settle_seconds
    late: list[Posting] = []

    async def slow(postings: Sequence[Posting]) -> None:
        if not late:
            late.extend(postings)
            world.time += timedelta(seconds=30)  # the timeout of the connector

    between.gate = slow
    between.before = lambda postings: [Reply(key=posting.key, fate=Fate.DOUBT) for posting in postings] if len(between.sent) == 1 else None
    report(world)
    world.step()
    given_up = world.time
    world.run(settle * 0.9, pace=0.1)
    asyncio.run(between.inner.post(late))
    assert world.time < given_up + timedelta(seconds=settle)
    world.run(10)
    assert len(world.documents()) == 1


def test_a_question_without_answer_is_asked_again() -> None:
    world, between = world_of(Grade.ASKABLE)
    world.faults.arm(Fault.LOST)
    between.unanswered = 3
    at = report(world)
    world.run(30)
    assert len(between.asked) == 4
    assert world.fate(at) == "booked"


def test_a_blind_system_is_never_sent_the_same_again() -> None:
    world, between = world_of(Grade.BLIND)
    world.faults.arm(Fault.LOST)
    at = report(world)
    world.run(100)
    assert len(between.sent) == 1
    assert world.fate(at) == "exception"
    assert "cannot be asked" in world.exceptions()[0].sentence


@GRADES
def test_a_system_that_hangs_for_hours_leaves_little_in_doubt(grade: Grade) -> None:
    """It takes requests and never answers. What is sent to try it is one posting at a time, and without answer it is one exception."""
    world, between = world_of(grade, orders=200)
    between.abilities = Abilities(grade, frozenset(PostingKind), batch=5, concurrency=2)
    between.before = refuse_all(Fate.DOUBT)

    def silent(_: str) -> Finding:
        raise ConnectorError("no answer")

    between.found = silent if grade is not Grade.BLIND else None
    told = [report(world, order=str(4711 + number)) for number in range(200)]
    world.run(1800, pace=5)
    sent = {posting.key for batch in between.sent for posting in batch}
    assert len(sent) <= (10 if grade is not Grade.BLIND else 10 + 40)
    assert len(world.exceptions()) <= (len(sent) if grade is Grade.BLIND else 0)
    between.before, between.found = (lambda postings: None), None
    world.run(200)
    fates = [world.fate(at) for at in told]
    assert fates.count("booked") == (200 if grade is not Grade.BLIND else 200 - len(sent))


def test_what_was_parked_and_is_gone_is_an_exception_and_not_sent_again() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.PARKED)
    at = report(world)
    world.run(20)
    assert len(between.sent) == 1
    assert world.fate(at) == "exception"
    assert "not there any more" in world.exceptions()[0].sentence


# --- trying again --------------------------------------------------------------------------------------------------------------------


def test_a_lock_is_tried_again_and_stops_nobody_else() -> None:
    world, between = world_of(orders=2)
    locked = Refusal(Category.LOCKED, "4711", "Locked.")
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=4)
    between.before = lambda postings: [Reply(key=postings[0].key, fate=Fate.RETRY, refusal=locked)] if postings[0].order == "4711" else None
    report(world, order="4711")
    world.run(120)
    report(world, order="4712")
    world.step()
    assert world.booked("4712") == {("received", "GEAR"): 5}, "one lock is no trouble of the system"
    tries = sum(posting.order == "4711" for batch in between.sent for posting in batch)
    assert 7 <= tries <= 15, "twice as long each time, a minute at the most"
    between.before = lambda postings: None
    world.run(61)
    assert world.booked("4711") == {("received", "GEAR"): 5}


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7), (-5.0, 1), (1e12, 3600)])
def test_a_system_that_says_when_is_left_alone_until_then(asked: float, waited: int) -> None:
    world, between = world_of()
    between.before = lambda postings: refuse_all(Fate.RETRY, retry_after=asked)(postings) if len(between.sent) == 1 else None
    report(world)
    world.step()
    world.run(waited - 1, pace=1)
    assert len(between.sent) == (1 if waited > 1 else len(between.sent))
    world.run(2)
    assert len(between.sent) == 2


def test_a_system_that_is_lost_is_tried_by_one_call_at_a_time() -> None:
    world, between = world_of(orders=30)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=8)
    between.before = refuse_all(Fate.RETRY)
    for number in range(30):
        report(world, order=str(4711 + number))
    world.step()
    assert len(between.sent) == 8, "what was on its way together"
    world.run(1, pace=0.1)
    assert len(between.sent) <= 8 + 4, "one trouble, not eight: the first probes come soon"
    before = len(between.sent)
    world.run(600, pace=5)
    assert len(between.sent) - before < 25, "and then about one a minute, however much waits"
    between.before = lambda postings: None
    world.run(70)
    assert len(world.documents()) == 30


def test_while_a_system_is_lost_nothing_more_is_claimed() -> None:
    world, between = world_of(orders=2)
    between.before = refuse_all(Fate.RETRY)
    report(world)
    world.run(30)
    claims = len(world.store.claims)
    report(world, order="4712")
    for _ in range(120):
        world.run(1)
        assert len(world.store.claims) == claims, "not even while it is tried whether the system is back"
    between.before = lambda postings: None
    world.run(70)
    assert len(world.documents()) == 2


# --- stopping -------------------------------------------------------------------------------------------------------------------------


def stop(world: World) -> None:
    asyncio.run(world.dispatcher.stop(0))


@GRADES
def test_what_was_not_sent_is_given_back_at_a_stop_and_not_in_doubt(grade: Grade) -> None:
    world, between = world_of(grade, orders=30)
    between.before = refuse_all(Fate.RETRY)  # certainly not booked
    told = [report(world, order=str(4711 + number)) for number in range(30)]
    world.step()
    assert world.store.claims
    stop(world)
    assert world.store.claims == {}
    assert world.dispatcher.idle
    between.before = lambda postings: None
    world.start()
    world.run(5)
    assert between.asked == []
    assert [world.fate(at) for at in told] == ["booked"] * 30


def test_what_is_in_doubt_at_a_stop_stays_claimed() -> None:
    world, between = world_of(Grade.ASKABLE)
    world.faults.arm(Fault.LOST)
    at = report(world)
    world.step()
    stop(world)
    assert len(world.store.claims) == 1
    world.start()
    world.run(20)
    assert (world.fate(at), len(between.sent)) == ("booked", 1)


def test_a_stop_with_a_full_log_gives_back_what_was_not_sent() -> None:
    world, between = world_of(orders=2)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=2)
    between.before = lambda postings: refuse_all(Fate.RETRY)(postings) if postings[0].order == "4711" else None
    told = [report(world, order=order) for order in ("4711", "4712")]
    world.work()

    def full(_: Sequence[Message]) -> None:
        raise LogFull("no room")

    world.log.before_append = full
    with pytest.raises(LogFull):
        send(world)
    with pytest.raises(LogFull):
        stop(world)
    assert len(world.store.claims) == 1, "what was booked and not told stays in doubt"
    world.log.before_append, between.before = None, lambda postings: None
    world.start()
    world.run(5)
    assert [world.fate(at) for at in told] == ["booked", "booked"]
    assert len(world.documents()) == 2


# --- bounds ---------------------------------------------------------------------------------------------------------------------------


def test_of_a_system_that_cannot_be_asked_no_more_is_claimed_than_is_sent_at_once() -> None:
    world, between = world_of(Grade.BLIND, orders=30)
    between.abilities = Abilities(Grade.BLIND, frozenset(PostingKind), batch=2, concurrency=3)
    seen: list[int] = []
    between.before = lambda postings: seen.append(len(world.store.claims))  # type: ignore[func-returns-value]
    told = [report(world, order=str(4711 + number)) for number in range(30)]
    world.run(5, pace=0.1)
    assert max(seen) <= 6
    assert [world.fate(at) for at in told] == ["booked"] * 30


def test_a_slow_system_is_waited_for_and_not_looked_at_all_the_time() -> None:
    """While all calls are on their way, what is due can't go anyway: only an answer changes that."""
    world, between = world_of(orders=6)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=2, concurrency=2)

    async def slow() -> None:
        answers = asyncio.Event()

        async def wait(_: Sequence[Posting]) -> None:
            await answers.wait()

        between.gate = wait
        assert await world.dispatcher.step(None) is None
        assert await world.dispatcher.step(0) is None
        assert len(between.sent) == 2
        answers.set()
        world.dispatcher.news.clear()
        await asyncio.wait_for(world.dispatcher.news.wait(), 30)
        await world.dispatcher.step(0)
        assert len(between.sent) == 3

    for number in range(6):
        report(world, order=str(4711 + number))
    world.work()
    asyncio.run(slow())
    between.gate = None
    world.run(5)
    assert len(world.documents()) == 6


def test_questions_and_postings_take_turns() -> None:
    """After a crash with much in doubt, what is new does not wait for all of the questions, nor they for it."""
    world, between = world_of(Grade.ASKABLE, orders=40)
    between.abilities = Abilities(Grade.ASKABLE, frozenset(PostingKind), batch=1, concurrency=1, settle_seconds=1000)
    for number in range(20):
        report(world, order=str(4711 + number))
    world.work()
    claim_as(world, "the one before", 100)
    world.start()
    for number in range(20, 40):
        report(world, order=str(4711 + number))
    world.work()
    for _ in range(10):
        send(world)
    assert len(between.asked) == pytest.approx(len(between.sent), abs=1)
    assert len(between.asked) + len(between.sent) >= 10


def test_an_approval_that_takes_days_is_looked_for_ever_more_seldom() -> None:
    world, between = world_of()
    between.before = refuse_all(Fate.PARKED)
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.PARKED))
    at = report(world)
    world.run(60)
    assert 3 <= len(between.asked) <= 6, "soon at first"
    before = len(between.asked)
    world.run(6 * 3600, pace=30)
    assert 70 <= len(between.asked) - before <= 80, "and then every five minutes"
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=Fate.POSTED, document="1"))
    world.run(301)
    assert world.fate(at) == "booked"


@pytest.mark.parametrize("fate", [Fate.RETRY, Fate.PARKED])
def test_orders_that_are_held_up_leave_room_for_others(monkeypatch: pytest.MonkeyPatch, fate: Fate) -> None:
    """A stock count locks all orders of a plant for hours; or ERP keeps all of them for approval."""
    monkeypatch.setattr(dispatcher, "IN_FLIGHT", 5)
    world, between = world_of(orders=12)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=4)
    held = {str(4711 + number) for number in range(10)}
    locked = Refusal(Category.LOCKED, "stock", "Stock is being counted.")
    between.before = lambda postings: [Reply(key=postings[0].key, fate=fate, refusal=locked)] if postings[0].order in held else None
    between.found = lambda key: Finding(FindingState.BOOKED, Reply(key=key, fate=fate))
    for order in sorted(held):
        report(world, order=order)
    world.run(30)
    assert all(any(posting.order == order for batch in between.sent for posting in batch) for order in held)
    at = report(world, order="4722")
    world.run(1)
    assert world.fate(at) == "booked"


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "HELD", 8)
    world, between = world_of(orders=12)
    locked = Refusal(Category.LOCKED, "stock", "Stock is being counted.")
    between.before = refuse_all(Fate.RETRY, refusal=locked)
    for number in range(12):
        report(world, order=str(4711 + number))
    world.run(10)
    assert len(world.store.claims) == 8
    between.before = lambda postings: None
    world.run(61)
    assert len(world.documents()) == 12


# --- lanes ----------------------------------------------------------------------------------------------------------------------------


def test_a_lane_stays_in_order_while_others_flow() -> None:
    world, _ = world_of(orders=2)
    world.faults.arm(Fault.LOCKED)
    for good in (1, 2, 3):
        report(world, good)
        report(world, good, "4712")
    world.run(30)
    for order in ("4711", "4712"):
        amounts = [int(line.quantity.amount) for document in world.documents() if document.order == order for line in document.lines]
        assert amounts == [1, 2, 3]


def test_calls_carry_as_much_as_the_system_takes_and_no_more_at_a_time() -> None:
    world, between = world_of(orders=25)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=4, concurrency=2)
    now = most = 0

    async def count(postings: Sequence[Posting]) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    between.gate = count
    for number in range(25):
        report(world, order=str(4711 + number))
    world.step()
    assert most == 2
    assert max(len(batch) for batch in between.sent) == 4
    assert len(world.documents()) == 25


# --- telling ----------------------------------------------------------------------------------------------------------------------------


def test_an_outcome_is_told_later_when_the_log_is_full() -> None:
    world, between = world_of()
    at = report(world)
    world.work()

    def full(_: Sequence[Message]) -> None:
        raise LogFull("no room")

    world.log.before_append = full
    for _ in range(3):
        with pytest.raises(LogFull):
            send(world)
    assert not world.dispatcher.idle
    world.log.before_append = None
    world.step()
    assert world.dispatcher.idle
    assert world.fate(at) == "booked"
    assert len(between.sent) == 1


def test_what_is_known_is_told_even_when_nothing_more_can_be_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = world_of()
    at = report(world)
    world.work()

    async def hang_and_answer() -> None:
        await world.dispatcher.step(None)
        await asyncio.wait_for(world.dispatcher.news.wait(), 30)

        def full(*_: object) -> None:
            raise StateFull("no room for claims")

        monkeypatch.setattr(world.dispatcher._outbox, "take", full)
        with pytest.raises(StateFull):
            await world.dispatcher.step(None)

    asyncio.run(hang_and_answer())
    world.work()
    assert world.fate(at) == "booked"


def test_many_outcomes_are_one_message() -> None:
    world, _ = world_of(orders=50)
    for number in range(50):
        report(world, order=str(4711 + number))
    world.work()
    head = world.log.head()[PLANT]
    send(world)
    assert world.log.head()[PLANT] == head + 1
    world.step()


@pytest.mark.parametrize("wrong", ["raises", "answers for none", "answers for another"])
def test_a_connector_that_breaks_its_agreement_ends_the_dispatcher_and_loses_nothing(wrong: str) -> None:
    world, between = world_of(orders=2)
    between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=4)

    def break_it(replies: list[Reply]) -> list[Reply]:
        if between.sent[-1][0].order != "4712":
            return replies
        if wrong == "raises":
            raise RuntimeError("a defect")
        return [] if wrong == "answers for none" else [Reply(key="oslo:1:receipt:1", fate=Fate.POSTED, document="1")]

    between.after = break_it
    told = [report(world), report(world, order="4712")]
    with pytest.raises(RuntimeError, match="a defect" if wrong == "raises" else r"the connector answered .* every posting needs one reply"):
        world.run(5)
    between.after = lambda replies: replies
    world.start()
    world.run(5)
    assert [world.fate(at) for at in told] == ["booked", "booked"]
    assert len(world.documents()) == 2


def test_replies_in_another_order_are_not_believed() -> None:
    world, between = world_of(orders=2)
    between.after = lambda replies: replies[::-1]
    told = [report(world), report(world, order="4712")]
    with pytest.raises(BrokenAgreement, match=r"for 'oslo:\d+:receipt:1' in place of 'oslo:\d+:receipt:1'"):
        world.step()
    between.after = lambda replies: replies
    world.start()
    world.run(5)
    assert [world.fate(at) for at in told] == ["booked", "booked"]
    for order in ("4711", "4712"):
        (posting,) = [row for row in world.postings() if row.order == order]
        assert [document.number for document in world.documents() if document.order == order] == [posting.document]


@pytest.mark.parametrize(
    "finding",
    [
        Finding(FindingState.BOOKED),
        Finding(FindingState.BOOKED, Reply(key="oslo:1:receipt:1", fate=Fate.POSTED, document="1")),
        Finding(FindingState.BOOKED, Reply(key="", fate=Fate.DOUBT)),
    ],
)
def test_a_finding_that_names_no_document_of_the_posting_is_not_believed(finding: Finding) -> None:
    world, between = world_of(Grade.ASKABLE)
    world.faults.arm(Fault.LOST)
    between.found = lambda key: msgspec.structs.replace(finding, reply=_keyed(finding.reply, key))
    at = report(world)
    with pytest.raises(BrokenAgreement, match="a finding carries the reply of the first sending"):
        world.run(5)
    between.found = None
    world.start()
    world.run(20)
    assert world.fate(at) == "booked"
    assert (len(world.documents()), len(between.sent)) == (1, 1)


def _keyed(reply: Reply | None, key: str) -> Reply | None:
    return msgspec.structs.replace(reply, key=reply.key or key) if reply is not None else None


def test_stopping_waits_for_answers_and_tells_them() -> None:
    world, between = world_of(orders=2)
    arrived = 0

    async def meet() -> None:
        nonlocal arrived
        release = asyncio.Event()

        async def hold(postings: Sequence[Posting]) -> None:
            nonlocal arrived
            arrived += 1
            if postings[0].order == "4712":
                await release.wait()

        between.gate = hold
        between.abilities = Abilities(Grade.UNIQUE, frozenset(PostingKind), batch=1, concurrency=4)
        await world.dispatcher.step(None)
        await world.dispatcher.stop(0.01)

    told = [report(world), report(world, order="4712")]
    world.work()
    asyncio.run(meet())
    assert arrived == 2
    between.gate = None
    world.work()
    assert [world.fate(at) for at in told] == ["booked", "booking"]
    world.start()
    world.run(5)
    assert [world.fate(at) for at in told] == ["booked", "booked"]
