"""Simulated plants: orders in work side by side, and workers who report, forget, correct and cancel.

A plant is endless or makes a given number of orders. Everything comes from a seed; what it yields is the plant's true history in true
order. What workers take from stock is there in the truth: they take from opening balances, or from what no later correction takes back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec

from synchromesh.model.event import (
    Component,
    FactCancelled,
    FactCorrected,
    InputEnded,
    MaterialConsumed,
    MaterialTransferred,
    Operation,
    OperationCompleted,
    OrderChanged,
    OrderCompleted,
    OrderStarted,
    PlantEvent,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    TimeRecorded,
)
from synchromesh.model.quantity import Quantity
from synchromesh.sim.catalogue import AWKWARD, Catalogue, lots, site, told_as
from synchromesh.sim.chance import Chance
from synchromesh.sim.told import Known, Told
from synchromesh.sim.truth import HELD, Place, factor, yields

Happening = Known | Told

Correctable = ProductionReported | MaterialConsumed | ScrapRecorded | TimeRecorded | MaterialTransferred | StockAdjusted


class Habits(msgspec.Struct, frozen=True):
    """How a plant's people behave, as rates. `at_once` is how many orders are in work side by side; `reports` how many times an
    operation is reported at most; `pause` the longest time between two facts in seconds. `steps` is how many operations an order has at
    most; `closing`: an order's completion is the last thing that is told about it, as where ERP closes its books then. `terms`: how often
    ERP says something else of an order in work."""

    at_once: int = 2
    reports: int = 3
    steps: int = 3
    closing: bool = False
    pause: int = 2400
    corrected: float = 0.1
    cancelled: float = 0.05
    late_orders: float = 0.15
    unknown_orders: float = 0.0
    unknown_items: float = 0.0
    unplanned: float = 0.1
    moves: float = 0.3
    terms: float = 0.0


class _Revision(msgspec.Struct, frozen=True, order=True):
    """A correction or cancellation, of a fact about `order` or none, that will be told once so many facts have been told."""

    after: int
    number: int
    source: str
    event: FactCorrected | FactCancelled
    order: str


class SimulatedPlant:
    """One plant. `orders` and `never` grow as the history goes on, and are what a `Scene` needs of it."""

    def __init__(self, name: str, seed: int, start: datetime, habits: Habits, catalogue: Catalogue = AWKWARD) -> None:
        self.name = name
        self.orders: dict[str, OrderChanged] = {}
        self.never: set[str] = {catalogue.strange.item}
        self._catalogue = catalogue
        self._items = catalogue.items
        self._habits = habits
        self._chance = Chance(seed, f"plant {name}")
        self._lot_chance = Chance(seed, f"lots of plant {name}")
        self._site = site(name)
        self._now = start
        self._counts: dict[str, int] = {}
        self._told = 0
        self._revisions: list[_Revision] = []
        self._late: list[tuple[datetime, str]] = []
        self._closed: set[str] = set()
        self._sure: dict[tuple[str, Place], Fraction] = {}

    def happenings(self, orders: int | None) -> Iterator[Happening]:
        """The plant's history: `orders` of them from release to completion and the end of input, or without end when None."""
        released = 0
        scripts: list[Iterator[tuple[str, PlantEvent]]] = []
        while True:
            while len(scripts) < self._habits.at_once and (orders is None or released < orders):
                released += 1
                order = self._release(released)
                yield from self._announce(order)
                scripts.append(self._work(order))
            if not scripts:
                break
            script = self._chance.one(scripts)
            step = next(script, None)
            if step is None:
                scripts.remove(script)
                continue
            yield from self._tell(*step)
        yield from self._end()

    # --- telling ----------------------------------------------------------------------------------------------------------

    def _tell(self, source: str, event: PlantEvent) -> Iterator[Happening]:
        self._now += timedelta(seconds=self._chance.whole(1, self._habits.pause))
        yield from self._known_by_now()
        if self._habits.terms and self._chance.happens(self._habits.terms):
            yield Known(self._now, self.name, self._otherwise(self._chance.one(list(self.orders.values()))))
        if self._habits.closing and isinstance(event, OrderCompleted):
            yield from self._close(event.order)
        yield self._fact(source, event)
        while self._revisions and self._revisions[0].after <= self._told:
            revision = heapq.heappop(self._revisions)
            self._now += timedelta(seconds=self._chance.whole(1, 60))
            yield self._fact(revision.source, revision.event)

    def _close(self, order: str) -> Iterator[Happening]:
        """Whatever there is to correct in an order is corrected before it is closed."""
        self._closed.add(order)
        due = sorted(revision for revision in self._revisions if revision.order == order)
        self._revisions = [revision for revision in self._revisions if revision.order != order]
        heapq.heapify(self._revisions)
        for revision in due:
            yield self._fact(revision.source, revision.event)

    def _fact(self, source: str, event: PlantEvent) -> Told:
        self._told += 1
        return Told(self._now, self.name, source, self._next_id(source), event)

    def _next_id(self, source: str) -> str:
        self._counts[source] = self._counts.get(source, 0) + 1
        return f"{self._counts[source]:06d}"

    def _end(self) -> Iterator[Happening]:
        while self._revisions:
            revision = heapq.heappop(self._revisions)
            yield self._fact(revision.source, revision.event)
        yield from self.known_at_last()
        for source in list(self._counts):
            yield self._fact(source, InputEnded(source))

    def _announce(self, order: OrderChanged) -> Iterator[Known]:
        if self._chance.happens(self._habits.unknown_orders):
            self.never.add(order.order)
        elif self._chance.happens(self._habits.late_orders):
            delay = timedelta(seconds=self._chance.whole(1, 10) * self._habits.pause)
            heapq.heappush(self._late, (self._now + delay, order.order))
        else:
            yield Known(self._now, self.name, order)

    def _known_by_now(self) -> Iterator[Known]:
        while self._late and self._late[0][0] <= self._now:
            yield self._known_late()

    def known_at_last(self) -> Iterator[Known]:
        """The orders that ERP has still to hear of: a history that is cut short needs them to become whole."""
        while self._late:
            yield self._known_late()

    def _known_late(self) -> Known:
        at, order = heapq.heappop(self._late)
        return Known(at, self.name, self.orders[order])

    # --- orders -----------------------------------------------------------------------------------------------------------

    def _release(self, number: int) -> OrderChanged:
        chance = self._chance
        item = chance.one(self._catalogue.products)
        steps = chance.whole(0, self._habits.steps)
        marked = chance.whole(1, steps) if steps and chance.happens(0.5) else 0
        operations = tuple(Operation(str(n * 10), yields=n == marked) for n in range(1, steps + 1))
        components = [
            Component(part.item, told_as(chance, part, Fraction(chance.whole(5, 80))), chance.one((self._site.raw, self._site.line)))
            for part in self._catalogue.components
            if chance.happens(0.6)
        ]
        components += [
            Component(part.item, Quantity(Decimal(chance.whole(20, 300)), part.unit), self._site.line, backflush=True)
            for part in self._catalogue.backflushed
            if chance.happens(0.4)
        ]
        order = OrderChanged(
            f"{self.name}-{number:05d}",
            item.item,
            Quantity(Decimal(chance.whole(10, 200)), item.unit),
            operations=operations,
            components=tuple(components),
            location=self._site.finished,
        )
        self.orders[order.order] = order
        return order

    def _otherwise(self, order: OrderChanged) -> OrderChanged:
        """The order as ERP has it from now on: received somewhere else, with components from somewhere else and another yield."""
        chance, site = self._chance, self._site
        marked = chance.whole(1, len(order.operations)) if order.operations else 0
        return msgspec.structs.replace(
            order,
            location=chance.one((site.finished, site.shipping)),
            operations=tuple(Operation(each.operation, yields=n == marked) for n, each in enumerate(order.operations, 1)),
            components=tuple(
                each if each.backflush else msgspec.structs.replace(each, location=chance.one((site.raw, site.line)))
                for each in order.components
            ),
        )

    def _work(self, order: OrderChanged) -> Iterator[tuple[str, PlantEvent]]:
        """What the workers tell about an order, from its start to some time after its completion."""
        lot = self._lot_of(order)
        if self._chance.happens(0.7):
            yield "mes", OrderStarted(order.order)
        for operation in [step.operation for step in order.operations] or [""]:
            for _ in range(self._chance.whole(1, self._habits.reports)):
                yield from self._consume(order, operation, lot)
                yield self._revisable("mes", self._report(order, operation, lot))
                yield from self._asides(order, operation)
                yield from self._move(order, lot)
            if operation and self._chance.happens(0.8):
                yield "mes", OperationCompleted(order.order, operation)
        yield "mes", OrderCompleted(order.order)
        if not self._habits.closing and self._chance.happens(0.2):
            yield self._revisable("terminal", self._report(order, "", lot))

    def _lot_of(self, order: OrderChanged) -> str:
        """The lot that an order makes, '' where its item has none."""
        return f"{order.order}-L" if self._items[order.item].lot_controlled else ""

    def _report(self, order: OrderChanged, operation: str, lot: str) -> ProductionReported:
        chance, item = self._chance, self._items[order.item]

        def some(rate: float, most: int) -> Quantity | None:
            return told_as(chance, item, Fraction(chance.whole(1, most))) if chance.happens(rate) else None

        report = ProductionReported(
            order.order, operation, good=some(0.9, 40), scrap=some(0.25, 6), held=some(0.15, 6), rework=some(0.1, 6), lot=lot,
            labour_seconds=chance.whole(0, 600),
        )  # fmt: skip
        if chance.happens(0.1):
            report = msgspec.structs.replace(report, location=self._site.line)
        if lot and self._lot_chance.happens(0.3):
            report = msgspec.structs.replace(report, consumed_lots=self._went_in())
        return report

    def _went_in(self) -> tuple[str, ...]:
        """Component lots that a report names itself, whether or not their consumption was told by lot."""
        parts = [part for part in self._catalogue.components if part.lot_controlled]
        return tuple(f"{part.item}/{self._lot_chance.one(lots(self.name, part))}" for part in parts if self._lot_chance.happens(0.6))

    def _consume(self, order: OrderChanged, operation: str, into: str) -> Iterator[tuple[str, PlantEvent]]:
        chance = self._chance
        for component in order.components:
            if component.backflush or not chance.happens(0.5):
                continue
            item = self._items[component.item]
            lot = chance.one(lots(self.name, item))
            quantity = told_as(chance, item, Fraction(chance.whole(1, 30)))
            location = chance.one(("", "", self._site.line))
            event = MaterialConsumed(order.order, component.item, quantity, operation, lot, location, into if chance.happens(0.5) else "")
            yield self._revisable("wms", event)
        if chance.happens(self._habits.unplanned):
            unplanned = self._catalogue.unplanned
            quantity = told_as(chance, unplanned, Fraction(chance.whole(1, 20)))
            yield self._revisable("wms", MaterialConsumed(order.order, unplanned.item, quantity, operation, location=self._site.line))
        if chance.happens(self._habits.unknown_items):
            strange = self._catalogue.strange
            quantity = told_as(chance, strange, Fraction(2))
            yield "wms", MaterialConsumed(order.order, strange.item, quantity, operation, location=self._site.line)

    def _asides(self, order: OrderChanged, operation: str) -> Iterator[tuple[str, PlantEvent]]:
        chance = self._chance
        if operation and chance.happens(0.2):
            yield self._revisable("mes", TimeRecorded(order.order, operation, chance.whole(0, 900), chance.whole(0, 900)))
        if chance.happens(0.15):
            component = chance.one(order.components) if order.components and chance.happens(0.5) else None
            yield self._revisable("terminal", self._scrap(order, operation, component))

    def _scrap(self, order: OrderChanged, operation: str, component: Component | None) -> ScrapRecorded:
        item = self._items[component.item if component else order.item]
        lot = self._chance.one(lots(self.name, item)) if component else ""
        quantity = told_as(self._chance, item, Fraction(self._chance.whole(1, 5)))
        return ScrapRecorded(order.order, quantity, component.item if component else "", operation, lot, reason="damaged")

    # --- stock ------------------------------------------------------------------------------------------------------------

    def _move(self, order: OrderChanged, lot: str) -> Iterator[tuple[str, PlantEvent]]:
        """Transfers of what certainly is there, its use in another order, and adjustments of components."""
        chance, item = self._chance, self._items[order.item]
        if not chance.happens(self._habits.moves):
            return
        held = chance.happens(0.4)
        place = Place(order.item, order.location, lot, HELD if held else "")
        quantity = self._take(order.order, place, item.decimals)
        if quantity:
            told = Quantity(quantity, item.unit)
            newest = next(reversed(self.orders))
            open_ = newest != order.order and newest not in self._closed
            if not held and open_ and chance.happens(0.6):
                # Only a younger order uses it, as in any plant: else two orders could wait for each other's output.
                into = self._lot_of(self.orders[newest]) if lot and self._lot_chance.happens(0.7) else ""
                yield "wms", MaterialConsumed(newest, order.item, told, lot=lot, location=order.location, into_lot=into)
            else:
                target = order.location if held else self._site.shipping
                yield self._revisable("wms", MaterialTransferred(order.item, told, order.location, target, lot, place.status))
        part = chance.one(self._catalogue.components)
        if chance.happens(0.3):
            quantity = Decimal(chance.whole(1, 50) * chance.one((1, -1)))
            lot = chance.one(lots(self.name, part))
            yield "wms", StockAdjusted(part.item, Quantity(quantity, part.unit), self._site.raw, "counted", lot)

    def _take(self, order: str, place: Place, decimals: int) -> Decimal:
        """Half of what an order surely brought to a place, as ERP can book it, taken off it."""
        sure = self._sure.get((order, place), Fraction(0))
        taken = Fraction(int(sure / 2 * 10**decimals), 10**decimals)
        self._sure[order, place] = sure - taken
        return Decimal(int(taken * 10**decimals)).scaleb(-decimals)

    # --- second thoughts --------------------------------------------------------------------------------------------------

    def _revisable(self, source: str, event: Correctable) -> tuple[str, Correctable]:
        """The event, and perhaps the plan to correct or cancel it once it has been told."""
        chance = self._chance
        id = f"{self._counts.get(source, 0) + 1:06d}"
        final: Correctable | None = event
        revision: FactCorrected | FactCancelled | None = None
        if chance.happens(self._habits.cancelled):
            final, revision = None, FactCancelled(source, id, "told by mistake")
        elif chance.happens(self._habits.corrected):
            final = self._second_thought(event)
            revision = FactCorrected(source, id, final)
        if revision:
            number = len(self._revisions) + self._told
            order = getattr(event, "order", "")
            heapq.heappush(self._revisions, _Revision(self._told + chance.whole(1, 12), number, "terminal", revision, order))
        self._be_sure(event, final)
        return source, event

    def _second_thought(self, event: Correctable) -> Correctable:
        match event:
            case ProductionReported():
                item = self._items[self.orders[event.order].item]
                return msgspec.structs.replace(event, good=told_as(self._chance, item, Fraction(self._chance.whole(1, 40))))
            case TimeRecorded():
                return msgspec.structs.replace(event, labour_seconds=event.labour_seconds + 60)
            case MaterialTransferred():
                return msgspec.structs.replace(event, quantity=_whole_half(event.quantity, self._items[event.item].decimals))
            case StockAdjusted():
                return msgspec.structs.replace(event, quantity=Quantity(event.quantity.amount * 2, event.quantity.unit))
            case MaterialConsumed():
                item = self._items[event.item]
                quantity = told_as(self._chance, item, Fraction(self._chance.whole(1, 30)))
                return msgspec.structs.replace(event, quantity=quantity, lot=self._chance.one(lots(self.name, item)))
            case ScrapRecorded():
                return msgspec.structs.replace(event, quantity=Quantity(event.quantity.amount + 1, event.quantity.unit))

    def _be_sure(self, event: Correctable, final: Correctable | None) -> None:
        """Output that stays whether or not its correction has arrived may be used by others."""
        if not isinstance(event, ProductionReported) or not isinstance(final, ProductionReported):
            return
        order = self.orders[event.order]
        item = self._items[order.item]
        location = event.location or order.location
        if order.order in self.never:
            return
        if yields(event, order):
            self._surely(order, Place(item.item, location, event.lot), event.good, final.good)
        self._surely(order, Place(item.item, location, event.lot, HELD), event.held, final.held)

    def _surely(self, order: OrderChanged, place: Place, *versions: Quantity | None) -> None:
        item = self._items[order.item]
        least = min(Fraction(version.amount) * factor(item, version.unit) if version else Fraction(0) for version in versions)
        self._sure[order.order, place] = self._sure.get((order.order, place), Fraction(0)) + least


def _whole_half(quantity: Quantity, decimals: int) -> Quantity:
    half = int(quantity.amount * 10**decimals) // 2
    return Quantity(max(Decimal(half), Decimal(1)).scaleb(-decimals), quantity.unit)
