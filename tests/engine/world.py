"""One plant and one simulated ERP in memory, stepped by hand: time goes only where a test takes it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import ClassVar

import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Faults
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.connectors.sandbox.records import Booking, Document, Entry, ErpLocation, ErpOrder, Rules
from synchromesh.engine.activation import copied_through
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.sending import Limits, Retry
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.model.instant import micros
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Line, Posting
from synchromesh.model.quantity import Quantity
from synchromesh.plant import paged
from synchromesh.plant.entities import KINDS, Balance, Order, Totals
from synchromesh.plant.fates import Fate
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import ExceptionRow, FactRow, PostingRow
from synchromesh.plant.stock import place
from synchromesh.plant.view import View
from synchromesh.state import encoding
from synchromesh.state.memory import MemoryStore

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PLANT = "oslo"
_encode = msgspec.json.Encoder(decimal_format="string").encode


def ea(amount: str | int) -> Quantity:
    return Quantity(Decimal(amount), "EA")


class World:
    """A plant `oslo` whose postings go to a sandbox ERP. `step` lets everything run until it is quiet."""

    made: ClassVar[list[World]] = []
    """Every world of the running test: `tests.engine.laws` judges them after it."""

    def __init__(self, policy: Policy | None = None, rules: Rules | None = None, seed: int = 0) -> None:
        World.made.append(self)
        self.time = START
        self.log = MemoryLog()
        self.store = MemoryStore()
        self.books = Books(rules or Rules())
        self.faults = Faults(seed)
        self.erp = InProcess(self.books, self.faults, lambda: self.time)
        self.sent: list[Posting] = []
        self.limits = Limits()
        self.retry = Retry()
        self.starts = 0
        self.activate(policy or Policy())
        self.start()

    # --- processes ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start worker and dispatcher, as after a crash: only log, state and ERP are what they were."""
        self.starts += 1
        self.worker = Worker(self.log, self.store.state(), [PLANT], f"worker-{self.starts}", now=lambda: self.time, batch=50)
        outbox, claimant = self.store.outbox(), f"dispatcher-{self.starts}"
        outbox.attend(claimant, ["erp"])
        self.dispatcher = Dispatcher(
            "erp",
            self.erp,
            outbox,
            self.log,
            claimant,
            clock=lambda: self.time.timestamp(),  # noqa: PLW0108 - the time moves
            now=lambda: self.time,
            jitter=lambda: 1.0,
            limits=self.limits,
            retry=self.retry,
            copied=partial(copied_through, self.store.reading()),
        )

    def work(self) -> None:
        """The worker alone, until it is through."""
        while self.worker.step() or self._ticked():
            pass

    def _ticked(self) -> bool:
        head = self.log.head()
        self.worker.tick()
        return self.log.head() != head

    def step(self) -> None:
        """Worker and dispatcher in turn, until neither has anything to do now."""
        while True:
            self.work()
            head = self.log.head()
            asyncio.run(self.dispatcher.step())
            if self.log.head() == head:
                return

    def run(self, seconds: float = 600, pace: float = 1.0) -> None:
        """Let time pass in steps of `pace` seconds."""
        end = self.time + timedelta(seconds=seconds)
        while self.time < end:
            self.step()
            self.time += timedelta(seconds=pace)
        self.step()

    # --- telling ------------------------------------------------------------------------------------------------------

    def activate(self, policy: Policy) -> None:
        content = _encode(policy).decode()
        digest = hashlib.sha256(content.encode()).hexdigest()
        self.log.append([own_message(PLANT, f"policy:{digest}", ev.Activated("policy", PLANT, digest, content), self.time)])

    def tell(self, event: ev.CanonicalEvent, id: str = "", source: str = "mes", occurred: datetime | None = None) -> int:
        """A source tells a fact; its position. The id is made unique where none is given."""
        message = Message(
            PLANT, source, id or f"m{self.log.head().get(PLANT, 0) + 1}", NATIVE, self.time, _encode(event), occurred=occurred or self.time
        )
        return self.log.append([message])[0]

    def own(self, event: ev.OwnEvent | ev.DecisionEvent) -> None:
        self.log.append([own_message(PLANT, f"own{self.log.head().get(PLANT, 0) + 1}", event, self.time)])  # type: ignore[arg-type]

    def erp_knows(self, *entries: Entry) -> None:
        for entry in entries:
            self.books.enter(entry, self.time)

    def erp_knows_as(self, event: ev.EnterpriseEvent) -> None:
        """ERP knows this, and the plant does not hear of it."""
        self.erp_knows(_as_erp(event))

    def master(self, *events: ev.EnterpriseEvent) -> None:
        """Both ERP and plant know these."""
        for event in events:
            self.erp_knows(_as_erp(event))
            self.tell(event, source="erp")
        self.step()

    def order(self, name: str = "4711", item: str = "GEAR", quantity: str = "100", **more: object) -> None:
        self.master(
            ev.LocationChanged("FG"),
            ev.LocationChanged("RM"),
            ev.ItemChanged(item, "EA", alternatives=(ev.AlternativeUnit("BX", 12), ev.AlternativeUnit("T3", 1, 3))),
            ev.OrderChanged(name, item, ea(quantity), location="FG", **more),  # type: ignore[arg-type]
        )

    # --- looking ------------------------------------------------------------------------------------------------------

    def documents(self) -> list[Document]:
        return list(self.books.documents.values())

    def postings(self) -> list[PostingRow]:
        stored = self.store.of(PLANT).postings
        return [encoding.posting(stored[id]) for id in sorted(stored)]

    def fact(self, position: int) -> FactRow:
        row = self.store.reading().fact(PLANT, position)
        assert row is not None
        return row

    def exceptions(self, state: str = "open") -> list[ExceptionRow]:
        return [row for _, row in self.store.reading().exceptions(state, 1000)]

    def facts(self) -> list[FactRow]:
        stored = self.store.of(PLANT).facts
        return [encoding.fact(stored[position]) for position in sorted(stored)]

    def totals(self) -> Totals:
        totals = self.entity("totals", "")
        assert isinstance(totals, Totals)
        return totals

    def fates(self) -> dict[str, int]:
        return {fate: count for fate, count in self.totals().fates.items() if count}

    def fate(self, position: int) -> str:
        """Where a fact is; see `fate_of`."""
        return self.fate_of(self.fact(position), [row for row in self.postings() if row.group == self.fact(position).group])

    def fate_of(self, row: FactRow, group: Sequence[PostingRow]) -> str:
        """Where a fact is, by its row and the postings of its group: told here without the fold's counters."""
        if row.fate != Fate.BOOKED:
            return row.fate
        states = {posting.state for posting in group if not posting.successor and posting.lane == group[0].lane}
        if states & {"rejected", "in doubt", "reversed outside"}:
            return Fate.EXCEPTION
        if states & {"waiting", "ready", "accepted", "parked"}:
            return Fate.BOOKING
        if group:
            return Fate.BOOKED
        gather = self.found_order(row.order).lane.gather
        return Fate.GATHERED if gather is not None and gather.position == row.group else Fate.RECORDED

    def found_order(self, name: str = "4711") -> Order:
        order = self.entity("order", name)
        assert isinstance(order, Order)
        return order

    def balance(self, item: str, location: str, lot: str = "", status: str = "") -> Balance:
        balance = self.entity("stock", place(item, location, lot, status))
        assert isinstance(balance, Balance)
        return balance

    def postings_lines(self) -> list[Line]:
        """The lines of all postings, in order."""
        return [line for row in self.postings() for line in msgspec.json.decode(row.content, type=Posting).lines]

    def names(self, name: str) -> list[str]:
        """All names of a long list."""
        return paged.read(View(PLANT, self.store.state()), name)

    def entity(self, kind: str, name: str) -> object:
        found = self.store.reading().entities(PLANT, [(kind, name)])
        return msgspec.msgpack.decode(found[(kind, name)], type=KINDS[kind])

    def booked(self, order: str = "4711") -> dict[tuple[str, str], Decimal]:
        return self.books.booked(order)

    def now(self) -> int:
        return micros(self.time)


def _as_erp(event: ev.EnterpriseEvent) -> Entry:
    if isinstance(event, ev.OrderChanged):
        return ErpOrder(**{name: getattr(event, name) for name in event.__struct_fields__}, plant=PLANT)
    if isinstance(event, ev.LocationChanged):
        return ErpLocation(event.location, event.description, plant=PLANT)
    assert isinstance(event, ev.ItemChanged | ev.PeriodChanged)
    return event


__all__ = ["PLANT", "START", "Booking", "World", "ea"]
