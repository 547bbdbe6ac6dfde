"""One simulated night in one thread: plants, network, log, worker, dispatcher, ERP and people, in virtual time and from one seed.

What must survive a death (log, state, ERP's books) lives as long as the night; worker and dispatcher are made anew after each. Plants that
got no acknowledgement send again. In the end, when nothing moves any more, the auditor judges.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Faults
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, Rules, StockSet
from synchromesh.engine.activation import Deciding, activations, in_force
from synchromesh.engine.desk import Desk, NotFitting
from synchromesh.engine.queue import Unknown
from synchromesh.log.memory import MemoryLog
from synchromesh.model.event import (
    Activated,
    CauseReleased,
    DecisionApproved,
    DecisionEvent,
    ItemChanged,
    LocationChanged,
    OrderChanged,
    OutcomesReported,
    PostingRetried,
)
from synchromesh.model.message import ENTERPRISE, OWN, Message
from synchromesh.model.posting import Category, Fate, Outcome, Refusal
from synchromesh.plant.entities import Clock
from synchromesh.plant.rows import ExceptionRow
from synchromesh.sim.auditor import audit
from synchromesh.sim.chance import Chance
from synchromesh.sim.clerk import Clerk
from synchromesh.sim.closings import again_and_again, once
from synchromesh.sim.deaths import Deaths, MortalConnector
from synchromesh.sim.deliveries import brought
from synchromesh.sim.evidence import People
from synchromesh.sim.faults import disturb
from synchromesh.sim.history import START, history
from synchromesh.sim.minds import alone
from synchromesh.sim.papers import content
from synchromesh.sim.people import NAME, Colleagues, Operator, approvals
from synchromesh.sim.processes import TARGET, Processes, Store
from synchromesh.sim.profile import PROFILES, Profile
from synchromesh.sim.sandboxed import books_of
from synchromesh.sim.slips import INTERFACE, in_own_words, slipped
from synchromesh.sim.told import Known
from synchromesh.sim.verdict import Verdict
from synchromesh.sim.witness import Witness
from synchromesh.state.memory import MemoryStore

LATEST: Final = timedelta(minutes=30)
"""How long after it was given up a request may still be booked."""

ROUNDS: Final = 300
"""How often the operator comes back after the last message, an hour apart, before the auditor judges what there is."""

WORTH_WAITING: Final = timedelta(hours=36)
"""What is due later than this changes nothing any more: horizons of identities."""

CALM_AFTER: Final = 60
"""After so many of these rounds ERP and the processes have no more faults, so that a night comes to its end."""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


Point = Callable[[object], None]
"""Where the processes may die: called with what is about to be committed, or just was."""


def run_seed(seed: int, profile: Profile | str = "rough", store: Callable[[Point, Point], Store] = MemoryStore) -> Verdict:
    """Play one night and judge it. The same seed and profile give the same night, on any kind of `store`."""
    return asyncio.run(Night(seed, PROFILES[profile] if isinstance(profile, str) else profile, store).play())


class Night:
    """The world of one seed. `log`, `store` and `books` may be looked at afterwards."""

    def __init__(self, seed: int, profile: Profile, store: Callable[[Point, Point], Store] = MemoryStore) -> None:
        self.profile = profile
        self.now = START
        past = history(seed, profile.habits, profile.orders)
        said = slipped(past, disturb(past.told, seed, profile.network), seed, profile.slips)
        arrivals = in_own_words(said, past) if profile.misread else said.arrivals
        shelves, self._deliveries = brought(past.scene.opening, seed, profile.scarce)
        self.scene = msgspec.structs.replace(
            said.scene, opening=shelves, closed_period=profile.closed_period, confirmations=profile.confirmations, gather=profile.gather
        )
        self._closings = deque(again_and_again(seed) if profile.reopens else once() if profile.closes else ())
        self.told = arrivals.told
        self._arrivals = deque(arrivals.messages)
        self._known = deque(past.known)
        self._found_late = past.found
        self._chance = Chance(seed, "night")
        self._deaths = Deaths(Chance(seed, "deaths"), profile.kills)
        self.log = MemoryLog(self._deaths.point, self._deaths.point)
        self.store = store(self._deaths.point, self._deaths.point)
        self._faults = Faults(seed, profile.erp, LATEST)
        self.books = Books(Rules(grade=profile.grade, differences=profile.differences))
        self.erp = InProcess(self.books, self._faults, lambda: self.now)
        self.connector = MortalConnector(self.erp, self._deaths, self.log.head, self._folded, lambda: self.now)
        self._operator = Operator(self.books, Chance(seed, "operator"), LATEST * 2, profile.rash, profile.thorough)
        self._colleagues = Colleagues(self.books, Chance(seed, "colleagues"))
        self.processes = Processes(
            self.log,
            self.store,
            self.connector,
            self._deaths,
            Chance(seed, "processes"),
            lambda: self.now,
            self._chance.whole(1, profile.batch),
            self.scene.zones,
        )
        self.clerk = Clerk(said.slips, Chance(seed, "clerk"), self.processes.insist)
        self._mended_at = START + timedelta(minutes=self._chance.whole(60, 900)) if profile.misread else None
        self.acknowledged: list[Message] = []
        self._stalled_until = self._down_until = self._paused_until = self._news_until = START
        self._mishaps = Chance(seed, "mishaps")
        self.restarts = 0
        self._calm = False
        self._decisions = 0

    async def play(self) -> Verdict:
        """From the first message to rest, and the verdict."""
        self._begin()
        await self._read_stock()
        while (moment := self._next()) is not None:
            self.now = max(self.now, moment)
            await self._turn()
        await self._come_to_rest()
        witness = Witness(self.store, self.log, books_of(self.books), tuple(self.scene.zones))
        people = People(
            self._operator.dismissed,
            self._operator.given_up,
            self._operator.left,
            self.clerk.put_right,
            tuple(self.clerk.replayed.items()),
            self.clerk.instead,
        )
        evidence = witness.evidence(self.acknowledged, self.connector.refused, people, self.connector.turned_away)
        evidence = msgspec.structs.replace(
            evidence,
            asked=self.connector.asked,
            short=self.connector.short,
            alone=alone(self.log, list(self.scene.zones), self.profile.approvals),
        )
        return audit(self.scene, self.told, witness.at_rest(evidence, self.scene.orders))

    async def _come_to_rest(self) -> None:
        """After the last message people repair what is open and time passes, until nothing moves any more."""
        for round_ in range(ROUNDS):
            if round_ == CALM_AFTER:
                self._faults.set_rates({})
                self._deaths.stop()
                self._calm = True
            self.now += timedelta(hours=1)
            await self._turn()
            if (
                self.now < max(self._paused_until, self._news_until)
                or self._put_right(0.7)
                or self._repair()
                or self._closings
                or self._deliveries
                or self.processes.busy
                or self.erp.counter.due() is not None
            ):
                continue
            if self.processes.due is None or self.processes.due > self.now + WORTH_WAITING:
                return
            self.now = max(self.now, self.processes.due)

    # --- the world ---------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """What there is before the first message: ERP's masters and stock, and the plants' policies."""
        while self._known and self._known[0].at <= START and not isinstance(self._known[0].event, OrderChanged):
            self._learn(self._known.popleft())
        wanted = [Deciding(ENTERPRISE, "plants", ENTERPRISE, msgspec.json.encode(dict.fromkeys(self.scene.zones, TARGET)).decode())]
        for plant, zone in self.scene.zones.items():
            policy = self.profile.policy(zone, self.connector.abilities.differences)
            wanted.append(Deciding(plant, "policy", plant, msgspec.json.encode(policy).decode()))
            if self.profile.misread:
                wanted.append(Deciding(plant, "adapter", INTERFACE, content(mended=False)))
        for message in activations(self.store.reading(), wanted, START):
            while not self.processes.accept(message):
                pass

    async def _read_stock(self) -> None:
        """Who takes in starts last, when plants know what ERP has: what they book before is in the first reading, or is not."""
        while not all(self._observed(plant) for plant in self.scene.zones):
            await self.processes.pull()
            await self.processes.work(dispatching=False)
            self.now += timedelta(seconds=5)

    def _observed(self, plant: str) -> bool:
        found = self.store.reading().entities(plant, [("clock", "")])
        return any(msgspec.msgpack.decode(body, type=Clock).observed for body in found.values())

    def _learn(self, known: Known) -> None:
        """ERP's people enter what they know."""
        match known.event:
            case OrderChanged() as order:
                fields = {name: getattr(order, name) for name in order.__struct_fields__}
                self.books.enter(ErpOrder(plant=known.plant, **fields), self.now)
            case LocationChanged(location=location):
                self.books.enter(ErpLocation(location=location, plant=known.plant), self.now)
            case ItemChanged() as item:
                self.books.enter(item, self.now)
                self._stock(item)

    def _stock(self, item: ItemChanged) -> None:
        """What lies on the shelf of a new item: known from the beginning, or found and booked by hand."""
        for line in self.scene.opening:
            if line.item == item.item:
                self.books.enter(StockSet(line.item, line.location, line.quantity, line.lot), self.now)
        for line in self._found_late:
            if line.item == item.item:
                self._colleagues.find(line, self.now)

    def _next(self) -> datetime | None:
        """When the next thing happens by itself: a message, news in ERP, or a process that wants to go on. None after the last message."""
        if not self._arrivals and not self._known:
            return None
        moments = [self._arrivals[0].received] if self._arrivals else []
        moments += [self._known[0].at] if self._known else []
        due = self.processes.due
        if due is not None:
            moments.append(max(due, self._stalled_until, self.now + timedelta(seconds=1)))
        return min(moments)

    async def _turn(self) -> None:
        """Everything that is due now, and then work."""
        self.erp.counter.advance(self.now)
        while self._known and self._known[0].at <= self.now:
            self._learn(self._known.popleft())
        while self._closings and self._closings[0].at <= self.now:
            self._operator.tell_period(self._closings.popleft().period, self.now)
        while self._deliveries and self._deliveries[0].at <= self.now:
            self._colleagues.find(self._deliveries.popleft().line, self.now)
        await self.processes.pull()
        while self._arrivals and self._arrivals[0].received <= self.now:
            self._deliver(self._arrivals.popleft())
        if self._chance.happens(self.profile.stalls):
            self._stalled_until = self.now + timedelta(minutes=self._chance.whole(10, 600))
        if self._arrivals and self._chance.happens(self.profile.by_hand):
            self._colleagues.meddle(self._chance.one(list(self.scene.zones)), self.now)
        if self.profile.reopens and self._chance.happens(0.1):
            self._repair(Category.CLOSED_PERIOD)
        if self.profile.instead and not self._calm and self._mishaps.happens(self.profile.instead):
            self._news_until = self.now + timedelta(hours=5)
            self.clerk.book_by_hand(self._mishaps.one(list(self.scene.zones)), self.store.reading(), self.books, self.now)
        if self.profile.slips and self._mishaps.happens(0.2):
            self._put_right(0.1)
        self._mend()
        self._tell_late()
        self._reform()
        await self._mischief()
        if self.profile.pauses and not self._calm and self._mishaps.happens(self.profile.pauses):
            self._paused_until = self.now + timedelta(minutes=self._mishaps.whole(10, 300))
        if self.now >= self._paused_until:
            await self.processes.work(self.now >= self._stalled_until)

    @property
    def _desk(self) -> Desk:
        """The desk that users have, at this moment."""
        reading = self.store.reading()
        return Desk(list(self.scene.zones), reading, self.log, now=lambda: self.now, settled=lambda *_: False)

    def _put_right(self, rate: float) -> bool:
        """The clerk puts right what workers told wrongly, and has the WMS's words read again; whether anything was decided."""
        reading = self.store.reading()
        again = [
            plant
            for plant in (self.scene.zones if self.profile.misread else ())
            if self._is_mended(plant) and (plant not in self.clerk.replayed or self._chance.happens(0.1))
        ]
        replayed = [self.clerk.read_again(plant, reading, self.log, self.now) for plant in again]
        corrected = bool(self.profile.slips) and self.clerk.correct(self._desk, reading, rate)
        return corrected or any(replayed)

    def _mend(self) -> None:
        """The adapter that reads the WMS's words is mended."""
        if self._mended_at is None or self.now < self._mended_at:
            return
        self._mended_at = None
        for plant in self.scene.zones:
            event = Activated("adapter", INTERFACE, _digest(content(mended=True)), content(mended=True))
            message = Message(plant, "synchromesh", "adapter mended", OWN, self.now, msgspec.json.encode(event))
            while not self.processes.accept(message):
                pass

    def _is_mended(self, plant: str) -> bool:
        """Whether the plant has come to where its reader is mended."""
        known = in_force(self.store.reading(), plant, "adapter", INTERFACE)
        return known is not None and known.digest == _digest(content(mended=True))

    def _tell_late(self) -> None:
        """A dispatcher that had stood still reports that ERP refused what another one has sent again and booked since."""
        if not self.profile.stale or not self._mishaps.happens(self.profile.stale):
            return
        plant = self._mishaps.one(list(self.scene.zones))
        reading, head = self.store.reading(), self.log.head().get(plant, 0)
        booked = [row.key for at in range(1, head + 1) for row in reading.postings_of(plant, at) if row.state == "posted"]
        if not booked:
            return
        refusal = Refusal(Category.LOCKED, "erp", "Somebody else was working on it.", "Send it again.")
        outcome = Outcome(self._mishaps.one(booked), Fate.REJECTED, self.now, refusal=refusal)
        self._decisions += 1
        self.processes.tell(plant, f"late:{self._decisions}", OutcomesReported((outcome,)))

    def _reform(self) -> None:
        """A plant's policy is activated anew: operations are confirmed from now on, or no more, and another one yields."""
        if not self.profile.reforms or not self._mishaps.happens(self.profile.reforms):
            return
        plant = self._mishaps.one(list(self.scene.zones))
        policy = self.profile.policy(
            self.scene.zones[plant], self.connector.abilities.differences, self._mishaps.happens(0.5), self._mishaps.one(("", "10", "20"))
        )
        wanted = [Deciding(plant, "policy", plant, msgspec.json.encode(policy).decode())]
        for message in activations(self.store.reading(), wanted, self.now):
            self._decisions += 1
            renamed = msgspec.structs.replace(message, id=f"reform:{self._decisions}")
            while not self.processes.accept(renamed):
                pass

    async def _mischief(self) -> None:
        """ERP is restarted; a dispatcher is replaced that was not dead, and goes on."""
        if self.erp.down and self.now >= self._down_until:
            self.erp.down = False
        if self._calm:
            return
        if self._mishaps.happens(self.profile.restarts):
            self.restarts += 1
            self.erp.counter.restart()
            self.erp.down, self._down_until = True, self.now + timedelta(minutes=self._mishaps.whole(1, 20))
        if self._mishaps.happens(self.profile.revenants):
            self.processes.replace_dispatcher()
        if self._mishaps.happens(self.profile.revenants * 4):
            await self.processes.come_back()

    def _deliver(self, message: Message) -> None:
        """A source sends until it hears "received"."""
        sent = msgspec.structs.replace(message, received=self.now)
        while not self.processes.accept(sent):
            pass
        self.acknowledged.append(sent)

    def _folded(self) -> Mapping[str, int]:
        """How far each plant has come."""
        return self.store.reading().positions()

    def _repair(self, only: Category | None = None) -> bool:
        """The operator goes through the open exceptions, or those of one category; whether anything was decided."""
        decided = False
        self._operator.come(busy=only is not None)
        reading = self.store.reading()
        if not self.profile.approvals:
            self._operator.look_back(reading)
        for plant in self.scene.zones if self.profile.approvals else ():
            for approval in approvals(reading, plant):
                self._decisions += 1
                if self.profile.selfish and self._mishaps.happens(self.profile.selfish):
                    own = DecisionApproved(approval.position, NAME)
                    self.processes.tell(plant, f"decision:{self._decisions}:own", own)
                self.processes.tell(plant, f"decision:{self._decisions}", approval)
                decided = True
        if decided:
            return True
        for plant, row in reading.exceptions("open", 1000):
            if only is not None and row.category != only:
                continue
            decision = self._operator.decide(plant, row, reading, self.now)
            if self.profile.instead and isinstance(decision, PostingRetried | CauseReleased):
                decided = True
                decision = self._warned(plant, row, decision)
            if decision is not None:
                self._decisions += 1
                self.processes.tell(plant, f"decision:{self._decisions}", decision)
                decided = True
        return decided or self._operator.waits

    def _warned(self, plant: str, row: ExceptionRow, decision: PostingRetried | CauseReleased) -> DecisionEvent | None:
        """The desk takes a decision, unless it warns that others have booked the same: that is looked at, and the posting given up."""
        try:
            self.processes.insist(lambda: self._desk.decide(plant, decision))
        except Unknown:
            return None  # the cause is gone with what was decided just now
        except NotFitting:
            if isinstance(decision, PostingRetried):
                return self._operator.give_up(plant, row, self.store.reading())
            self._operator.let_go()
        return None
