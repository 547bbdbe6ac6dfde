"""Nights with faults, in the middle of which books are compared: every difference is explained by its own parts, against ERP's books."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from tests.engine.reconcile.desk import parts
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import ConnectorError
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, HandBooking, HandCancel, Refused, StockSet
from synchromesh.engine.puller import Puller
from synchromesh.engine.reconcile.reconciler import Reconciler
from synchromesh.engine.reconcile.split import Part
from synchromesh.engine.reconcile.views import Report, StockRow
from synchromesh.engine.worker import Worker, own_message
from synchromesh.model import event as ev
from synchromesh.model.message import ENTERPRISE
from synchromesh.model.posting import Line, PostingKind
from synchromesh.plant.entities import Balance
from synchromesh.plant.policy import Policy
from synchromesh.plant.stock import SEPARATOR, place

RATES = {Fault.LOST: 0.15, Fault.DROPPED: 0.1, Fault.LATE: 0.15, Fault.UNAVAILABLE: 0.1, Fault.PARKED: 0.15, Fault.CLOSED_PERIOD: 0.1}
Place = tuple[str, str]


class Night(World):
    """A plant that pulls what ERP's people do, and a night of chance. `truth` is what really lies where, told by nobody but chance."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        gather = self.chance.choice(["report", "order"])
        super().__init__(Policy(gather=gather, gather_silence_seconds=30, stock_patience_minutes=1), seed=seed)  # type: ignore[arg-type]
        self.truth: dict[Place, Decimal] = defaultdict(Decimal)
        self.told: list[str] = []
        names = '["oslo"]'
        digest = hashlib.sha256(names.encode()).hexdigest()
        self.log.append([own_message(ENTERPRISE, "plants", ev.Activated("plants", ENTERPRISE, digest, names), self.time)])
        self.erp_knows(
            ErpLocation("FG", plant=PLANT), ErpLocation("RM", plant=PLANT), ev.ItemChanged("GEAR", "EA"), ev.ItemChanged("BAR", "EA"),
            *(ErpOrder(str(number), "GEAR", ea(1000), location="FG", plant=PLANT) for number in (4711, 4712)),
            StockSet("BAR", "RM", ea(500)),
        )  # fmt: skip
        self.truth["BAR", "RM"] = Decimal(500)
        self.settle()
        self.faults.set_rates(RATES)

    def start(self) -> None:
        super().start()
        self.worker = Worker(
            self.log, self.store.state(), [PLANT, ENTERPRISE], f"night-{self.starts}", now=lambda: self.time, batch=50
        )  # fmt: skip
        self.puller = Puller("erp", self.erp, self.log, self.store.reading(), [PLANT], now=lambda: self.time)

    def settle(self) -> None:
        """Everything that ERP has to tell is heard and folded."""
        for _ in range(20):
            self.pull()
            self.work()

    def pull(self) -> None:
        with suppress(ConnectorError):
            asyncio.run(self.puller.step())

    # --- what happens ---------------------------------------------------------------------------------------------------

    def happen(self) -> None:
        """One thing of chance."""
        self.chance.choice([self.make, self.make, self.use, self.move, self.wait, self.correct, self.book_by_hand, self.cancel_by_hand])()
        for step, odds in ((self.work, 0.5), (self.send, 0.5), (self.pull, 0.3)):
            if self.chance.random() < odds:
                step()
        self.time += timedelta(seconds=self.chance.choice([0, 1, 5]))

    def send(self) -> None:
        asyncio.run(self.dispatcher.step())

    def fact(self, event: ev.PlantEvent) -> str:
        name = f"f{len(self.told)}"
        self.told.append(name)
        self.tell(event, id=name)
        return name

    def order(self) -> str:  # type: ignore[override]
        return self.chance.choice(["4711", "4712"])

    def make(self) -> None:
        amount = self.chance.randint(1, 9)
        self.fact(ev.ProductionReported(self.order(), good=ea(amount)))
        self.truth["GEAR", "FG"] += amount

    def use(self) -> None:
        amount = self.chance.randint(1, 9)
        self.fact(ev.MaterialConsumed(self.order(), "BAR", ea(amount), location="RM"))
        self.truth["BAR", "RM"] -= amount

    def move(self) -> None:
        amount = self.chance.randint(1, 9)
        self.fact(ev.MaterialTransferred("BAR", ea(amount), "RM", "FG"))
        self.truth["BAR", "RM"] -= amount
        self.truth["BAR", "FG"] += amount

    def wait(self) -> None:
        """A report to an order that ERP will know later, or never."""
        amount = self.chance.randint(1, 9)
        self.fact(ev.ProductionReported("4799", item="GEAR", location="FG", good=ea(amount)))
        self.truth["GEAR", "FG"] += amount

    def correct(self) -> None:
        """Something was told wrong, and is put right at once; it never really was."""
        name = self.fact(ev.ProductionReported("4711", good=ea(50)))
        amount = self.chance.randint(1, 9)
        self.fact(ev.FactCorrected("mes", name, ev.ProductionReported("4711", good=ea(amount))))
        self.truth["GEAR", "FG"] += amount

    def book_by_hand(self) -> None:
        amount = self.chance.randint(1, 9)
        order = self.order()
        self.erp_knows(HandBooking(PostingKind.RECEIPT, self.time.date(), (Line("GEAR", ea(amount), "FG"),), order, plant=PLANT))

    def cancel_by_hand(self) -> None:
        numbers = [number for number, document in self.books.documents.items() if document.kind != "reversal"]
        numbers = [number for number in numbers if number not in self.books.cancelled]
        if numbers:
            try:
                self.erp_knows(HandCancel(self.chance.choice(numbers)))
            except Refused:
                return  # its stock is used already

    # --- asking -----------------------------------------------------------------------------------------------------------

    def ask(self, scope: str) -> Report:
        desk = Reconciler({PLANT: "erp"}, self.store.reading(), self.log, lambda _: self.erp, now=lambda: self.time)
        while True:
            try:
                return asyncio.run(desk.compare(scope, PLANT))
            except ConnectorError:
                continue  # it does not answer just now

    def count(self) -> tuple[datetime, dict[Place, Decimal]]:
        """What a WMS would see now."""
        return self.time, dict(self.truth)


def check_stock(night: Night) -> list[StockRow]:
    """Each row's books are ERP's own, and its parts say why the plant's are others."""
    rows = [row for row in night.ask("stock").stock if row.system == "erp"]
    for row in rows:
        assert row.theirs == night.books.stock.get((row.item, row.location, row.lot, row.status, row.owner), 0)
        assert Part.UNEXPLAINED not in parts(row), row
        for share in row.parts:
            assert not share.amount or share.causes, row
    named = {place(row.item, row.location) for row in rows}
    for (kind, key), value in night.store.of(PLANT).entities.items():
        if kind == "stock" and key not in named:
            balance = msgspec.msgpack.decode(value, type=Balance)
            where = tuple(key.split(SEPARATOR))
            assert sum(balance.reported.values()) + balance.opening == night.books.stock.get(where, 0), key  # type: ignore[call-overload]
    return rows


def check_orders(night: Night) -> None:
    for row in night.ask("orders").orders:
        word = {"receipt": "received", "issue": "issued", "scrap": "scrapped"}[row.kind]
        assert row.erp == night.books.booked(row.order).get((word, row.item), 0)
        assert Part.UNEXPLAINED not in parts(row), row


@pytest.mark.parametrize("seed", range(12))
def test_whenever_it_is_asked_every_difference_is_explained(seed: int) -> None:
    night = Night(seed)
    different = 0
    for step in range(60):
        night.happen()
        if step % 6 == 5:
            different += len(check_stock(night))
            check_orders(night)
    assert different


@pytest.mark.parametrize("seed", range(12, 20))
def test_a_count_in_the_night_differs_by_what_came_late(seed: int) -> None:
    """The WMS counts at a moment and tells it later, while more happens and is folded."""
    night = Night(seed)
    for _ in range(4):
        for _ in range(12):
            night.happen()
        night.work()
        as_of, seen = night.count()
        night.time += timedelta(seconds=1)
        for _ in range(6):
            night.happen()
        lines = tuple(ev.StockLine(item, location, ea(amount)) for (item, location), amount in seen.items())
        night.tell(ev.StockSnapshotTaken("wms", as_of, lines, locations=("FG", "RM")), source="wms")
        night.settle()
        for row in night.ask("stock").stock:
            if row.system == "wms":
                assert Part.UNEXPLAINED not in parts(row), row


def test_what_was_really_lost_is_found_in_the_morning() -> None:
    night = Night(99)
    for _ in range(60):
        night.happen()
    night.faults.set_rates({})
    night.run(600, 20)
    night.settle()
    amount = night.books.stock["BAR", "RM", "", "", ""]
    night.erp_knows(StockSet("BAR", "RM", ea(amount - 7)))
    found = {(row.item, row.location): parts(row).get("unexplained") for row in night.ask("stock").stock if row.beyond}
    assert found == {("BAR", "RM"): -7}
