"""The truth: what ERP's books must hold in the end, by arithmetic of its own.

Every fact has an effect on some books, and effects add up: the exact total of a book is the sum over the facts in their final version
(corrected, or gone when cancelled), whatever the order in which they were told. A book's total is rounded once, half to even, to the
item's decimals in the item's base unit. Fractions carry all of it, so nothing is lost before that.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple, TypeVar

import msgspec

from synchromesh.model.event import (
    Component,
    FactCancelled,
    FactCorrected,
    ItemChanged,
    MaterialConsumed,
    MaterialTransferred,
    OrderChanged,
    OrderCompleted,
    PlantEvent,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    TimeRecorded,
)
from synchromesh.model.posting import PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.sim.told import FactId, Scene, Told

SCRAPPED: Final = "scrap"
LABOUR: Final = "labour seconds"
MACHINE: Final = "machine seconds"
"""What a confirmation says of an operation beside its good output."""

HELD: Final = "held"
"""The stock status of output that somebody must still decide about."""

_STANDARD: Final[Mapping[tuple[str, str], Fraction]] = {
    ("GRM", "KGM"): Fraction(1, 1000),
    ("TNE", "KGM"): Fraction(1000),
    ("MLT", "LTR"): Fraction(1, 1000),
    ("CMT", "MTR"): Fraction(1, 100),
    ("DZN", "EA"): Fraction(12),
}
"""The few conversions that simulated workers use beside an item's own units."""


class Book(NamedTuple):
    """One total that ERP keeps. Empty words do not apply to the kind: a scrap of output has no place in stock, and only scrap,
    adjustments and confirmations are told apart by reason. A confirmation without an item counts seconds."""

    kind: PostingKind
    order: str
    item: str
    lot: str = ""
    location: str = ""
    status: str = ""
    to_location: str = ""
    to_status: str = ""
    reason: str = ""
    operation: str = ""

    def __str__(self) -> str:
        place = "/".join(word for word in (self.location, self.status, self.lot) if word)
        of, at, step = (
            f"{word} {name}" if name else "" for word, name in (("of order", self.order), ("at", place), ("step", self.operation))
        )
        why = self.reason if self.kind is PostingKind.CONFIRMATION else ""
        return " ".join(word for word in (self.kind.value, of, step, self.item, why, at) if word)


class Place(NamedTuple):
    """Where stock is."""

    item: str
    location: str
    lot: str = ""
    status: str = ""


class Due(enum.Enum):
    """What must become of a fact when all goes well."""

    BOOKS = "books"
    """It moves a book, so it must end in a document."""
    RECORDS = "records"
    """It moves no book by the rules of the simulated plants."""
    CARRIED = "carried"
    """It moves a book by less than ERP can book, or a book that was taken back from: its amount may be in others' documents."""
    REVISED = "revised"
    """It was corrected or cancelled: whether it was ever booked depends on what arrived first."""
    UNKNOWN = "unknown"
    """It would move a book, but speaks of something that ERP will never know: an exception, or it waits."""
    OPEN = "open"
    """It speaks of something unknown for ever and would move nothing any more: its fate is the plant's choice."""


Amount = TypeVar("Amount", Decimal, Fraction)
Effect = tuple[Book, Fraction]


class Truth(msgspec.Struct, frozen=True):
    """What ERP must hold in the end.

    `totals` are rounded amounts in the item's base unit, without books that come to zero; `completed` are the orders that must have exactly
    one completion; `stock` is what opening balances and totals leave at each place; `due` says what must become of each fact. `exact`
    are the totals before they are rounded.
    """

    totals: Mapping[Book, Decimal]
    completed: frozenset[str]
    stock: Mapping[Place, Decimal]
    due: Mapping[FactId, Due]
    exact: Mapping[Book, Fraction] = {}


def factor(item: ItemChanged, unit: str) -> Fraction:
    """How many base units of the item one `unit` is, exactly. Raises `KeyError` for a unit that no simulated worker uses."""
    if unit == item.unit:
        return Fraction(1)
    for alternative in item.alternatives:
        if alternative.unit == unit:
            return Fraction(alternative.numerator, alternative.denominator)
    return _STANDARD[unit, item.unit]


def rounded(total: Fraction, decimals: int) -> Decimal:
    """The rounding law: half to even, once, on the cumulative total."""
    return Decimal(round(total * 10**decimals)).scaleb(-decimals)


class Effects:
    """What single facts do to the books of a scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def of(self, event: PlantEvent) -> list[Effect]:
        """The exact effects of one event, in base units; none for what is recorded only."""
        match event:
            case ProductionReported():
                return self._production(event, self._scene.orders[event.order])
            case MaterialConsumed():
                return [self._consumption(event, self._scene.orders[event.order])]
            case ScrapRecorded():
                return self._scrap(event, self._scene.orders[event.order])
            case TimeRecorded():
                return self._times(event)
            case MaterialTransferred() | StockAdjusted():
                return [self._movement(event)]
        return []

    def _movement(self, event: MaterialTransferred | StockAdjusted) -> Effect:
        amount = self._amount(event.item, event.quantity)
        if isinstance(event, StockAdjusted):
            return Book(PostingKind.ADJUSTMENT, "", event.item, event.lot, event.location, event.status, reason=event.reason), amount
        book, sign = transfer(event.item, event.lot, (event.location, event.status), (event.to_location, event.to_status))
        return book, sign * amount

    def names(self, event: PlantEvent) -> set[str]:
        """The items and orders that the event speaks of."""
        return {name for field in ("item", "order") if (name := getattr(event, field, ""))}

    def _production(self, event: ProductionReported, order: OrderChanged) -> list[Effect]:
        location = event.location or order.location
        good = self._amount(order.item, event.good) if yields(event, order, self._scene.yield_operation) else Fraction(0)
        held = self._amount(order.item, event.held)
        effects = [
            (Book(PostingKind.RECEIPT, order.order, order.item, event.lot, location), good),
            (Book(PostingKind.RECEIPT, order.order, order.item, event.lot, location, HELD), held),
            (Book(PostingKind.SCRAP, order.order, order.item, event.lot, reason=event.reason), self._amount(order.item, event.scrap)),
        ]
        for component in order.components:
            if component.backflush:
                effects.append(self._backflush(component, order, good + held))
        if event.operation and self._scene.confirmations:
            for quantity, reason in ((event.good, ""), (event.scrap, SCRAPPED)):
                book = Book(PostingKind.CONFIRMATION, order.order, order.item, reason=reason, operation=event.operation)
                effects.append((book, self._amount(order.item, quantity)))
            effects += self._times(event)
        return [effect for effect in effects if effect[1]]

    def _times(self, event: ProductionReported | TimeRecorded) -> list[Effect]:
        """The seconds that ERP is told of an operation."""
        if not self._scene.confirmations:
            return []
        spent = ((LABOUR, event.labour_seconds), (MACHINE, event.machine_seconds))
        book = Book(PostingKind.CONFIRMATION, event.order, "", operation=event.operation)
        return [(book._replace(reason=reason), Fraction(seconds)) for reason, seconds in spent if seconds]

    def _backflush(self, component: Component, order: OrderChanged, output: Fraction) -> Effect:
        share = output / self._amount(order.item, order.quantity)
        book = Book(PostingKind.ISSUE, order.order, component.item, "", component.location)
        return book, self._amount(component.item, component.quantity) * share

    def _consumption(self, event: MaterialConsumed, order: OrderChanged) -> Effect:
        location = event.location or component_location(event.item, order)
        return Book(PostingKind.ISSUE, order.order, event.item, event.lot, location), self._amount(event.item, event.quantity)

    def _scrap(self, event: ScrapRecorded, order: OrderChanged) -> list[Effect]:
        item = event.item or order.item
        amount = self._amount(item, event.quantity)
        location = "" if item == order.item else event.location or component_location(item, order)
        return [(Book(PostingKind.SCRAP, order.order, item, event.lot, location, reason=event.reason), amount)]

    def _amount(self, item: str, quantity: Quantity | None) -> Fraction:
        if quantity is None:
            return Fraction(0)
        return Fraction(quantity.amount) * factor(self._scene.items[item], quantity.unit)


def yields(event: ProductionReported, order: OrderChanged, always: str = "") -> bool:
    """Whether the good output of a report is the order's yield: `always` that of one operation, where there is such a rule."""
    if not event.operation:
        return True
    if always:
        return event.operation == always
    if not order.operations:
        return True
    marked = [operation.operation for operation in order.operations if operation.yields]
    return event.operation in (marked or [order.operations[-1].operation])


def component_location(item: str, order: OrderChanged) -> str:
    """Where a component is taken from when the report does not say."""
    return next((component.location for component in order.components if component.item == item), "")


def transfer(item: str, lot: str, here: tuple[str, str], there: tuple[str, str]) -> tuple[Book, int]:
    """The book of the moves between two places (location, status), and the sign of this direction: back and forth are one book."""
    sign = 1 if here <= there else -1
    (location, status), (to_location, to_status) = (here, there) if sign > 0 else (there, here)
    return Book(PostingKind.TRANSFER, "", item, lot, location, status, to_location, to_status), sign


class Ledger:
    """Adds up what was told, in any order and one by one, so that the truth is known at every cut.

    `keep` bounds how many facts are remembered for later corrections (None: all of them); older ones stay in the totals, but can no
    longer be corrected or excluded. Hearing a fact twice changes nothing while it is remembered. `at` gives the scene that a fact was told
    in, where ERP changes orders and the rules on the way: a correction counts by what is true when it comes.
    """

    def __init__(self, scene: Scene, keep: int | None = None, at: Callable[[FactId], Scene] | None = None) -> None:
        self._scene = scene
        self._at = at
        self._effects = Effects(scene)
        self._keep = keep
        self._facts: OrderedDict[FactId, PlantEvent] = OrderedDict()
        self._corrected: dict[FactId, PlantEvent] = {}
        self._cancelled: set[FactId] = set()
        self._settled: dict[Book, Fraction] = {}
        self._completed: set[str] = set()

    def tell(self, told: Told) -> None:
        """Take one true fact into account."""
        if told.fact in self._facts:
            return
        self._facts[told.fact] = told.event
        match told.event:
            case FactCorrected(source=source, id=id, event=event):
                self._corrected[FactId(told.plant, source, id)] = event
            case FactCancelled(source=source, id=id):
                self._cancelled.add(FactId(told.plant, source, id))
        if self._keep is not None and len(self._facts) > self._keep:
            self._settle()

    def finals(self, excluded: Collection[FactId] = ()) -> dict[FactId, PlantEvent]:
        """What each remembered fact says in the end, without those that say nothing any more, are `excluded`, or speak of what ERP will
        never know."""
        revised = self._revisions(excluded)
        versions = {fact: revised.get(fact, event) for fact, event in self._facts.items() if fact not in excluded}
        return {fact: event for fact, event in versions.items() if event is not None and not self._strange(event)}

    def truth(self, excluded: Collection[FactId] = ()) -> Truth:
        """What ERP must hold for all that was told, less the facts that are `excluded` (and corrections that are)."""
        exact = dict(self._settled)
        completed = set(self._completed)
        due: dict[FactId, Due] = {}
        revised = self._revisions(excluded)
        revisers = self._revisers(excluded)
        touched = self._taken_back(revised, revisers)
        for fact, event in self._facts.items():
            version = revised.get(fact, event)
            due[fact] = self._due(fact, self._meant(fact), fact in revised or isinstance(event, FactCancelled), touched)
            if fact in excluded or version is None or self._strange(version):
                continue
            if isinstance(version, OrderCompleted):
                completed.add(version.order)
            _add(exact, self._effects_in(revisers.get(fact, fact)).of(version))
        totals = self._round(exact)
        return Truth(totals, frozenset(completed), stock_after(self._scene, totals), due, exact)

    def _revisions(self, excluded: Collection[FactId]) -> dict[FactId, PlantEvent | None]:
        """The final versions of what was corrected or cancelled; None for what never happened. A cancellation is final."""
        told = [(fact, event) for fact, event in self._facts.items() if fact not in excluded]
        corrected = {FactId(fact.plant, event.source, event.id): event.event for fact, event in told if isinstance(event, FactCorrected)}
        cancelled = [FactId(fact.plant, event.source, event.id) for fact, event in told if isinstance(event, FactCancelled)]
        return corrected | dict.fromkeys(cancelled)

    def _revisers(self, excluded: Collection[FactId]) -> dict[FactId, FactId]:
        """By corrected fact, the correction that says its final version."""
        told = [(fact, event) for fact, event in self._facts.items() if fact not in excluded and isinstance(event, FactCorrected)]
        return {FactId(fact.plant, event.source, event.id): fact for fact, event in told}

    def _effects_in(self, fact: FactId) -> Effects:
        """What facts did when this one was told."""
        return self._effects if self._at is None else Effects(self._at(fact))

    def _taken_back(self, revised: Mapping[FactId, PlantEvent | None], revisers: Mapping[FactId, FactId]) -> set[Book]:
        """The books that corrections and cancellations move."""
        told = [(fact, self._facts.get(fact)) for fact in revised]
        events = [*told, *((revisers.get(fact, fact), version) for fact, version in revised.items())]
        return {book for fact, event in events if event is not None for book, _ in self._effects_in(fact).of(event)}

    def _due(self, fact: FactId, event: PlantEvent, revised: bool, touched: Set[Book]) -> Due:
        if self._strange(event):
            return Due.OPEN if revised or not self._moves(event, fact) else Due.UNKNOWN
        if revised or isinstance(event, FactCorrected):
            return Due.REVISED
        if not self._moves(event, fact):
            return Due.RECORDS
        effects = self._effects_in(fact).of(event)
        books = not effects or any(book not in touched and abs(amount) >= self._step(book) for book, amount in effects)
        return Due.BOOKS if books else Due.CARRIED

    def _step(self, book: Book) -> Fraction:
        """The least amount that ERP books."""
        return Fraction(1, 10 ** self._decimals(book))

    def _decimals(self, book: Book) -> int:
        return self._scene.items[book.item].decimals if book.item else 0

    def _moves(self, event: PlantEvent, fact: FactId) -> bool:
        version = event.event if isinstance(event, FactCorrected) else event
        return isinstance(version, OrderCompleted) or bool(self._effects_in(fact).of(version))

    def _names(self, event: PlantEvent) -> set[str]:
        return self._effects.names(event.event if isinstance(event, FactCorrected) else event)

    def _meant(self, fact: FactId) -> PlantEvent:
        """The event, or what it cancels."""
        event = self._facts[fact]
        if isinstance(event, FactCancelled):
            return self._facts.get(FactId(fact.plant, event.source, event.id), event)
        return event

    def _strange(self, event: PlantEvent) -> bool:
        return any(name in self._scene.never for name in self._names(event))

    def _settle(self) -> None:
        """Let go of the oldest fact: its final version goes into the totals for good."""
        fact, event = self._facts.popitem(last=False)
        version = None if fact in self._cancelled else self._corrected.pop(fact, event)
        self._cancelled.discard(fact)
        if version is None or self._strange(version):
            return
        if isinstance(version, OrderCompleted):
            self._completed.add(version.order)
        _add(self._settled, self._effects.of(version))

    def _round(self, exact: Mapping[Book, Fraction]) -> dict[Book, Decimal]:
        totals = {book: rounded(total, self._decimals(book)) for book, total in exact.items()}
        return {book: total for book, total in totals.items() if total}


def truth_of(scene: Scene, told: Iterable[Told], excluded: Collection[FactId] = ()) -> Truth:
    """The truth of a whole history."""
    ledger = Ledger(scene)
    for one in told:
        ledger.tell(one)
    return ledger.truth(excluded)


def stock_after(scene: Scene, totals: Mapping[Book, Decimal]) -> dict[Place, Decimal]:
    """Opening balances and what the totals moved, by place; empty places are left out."""
    stock: dict[Place, Decimal] = {}
    for line in scene.opening:
        place = Place(line.item, line.location, line.lot, line.status)
        amount = rounded(Fraction(line.quantity.amount) * factor(scene.items[line.item], line.quantity.unit), 9)
        stock[place] = stock.get(place, Decimal(0)) + amount
    for book, total in totals.items():
        for place, amount in moves(book, total):
            stock[place] = stock.get(place, Decimal(0)) + amount
    return {place: amount for place, amount in stock.items() if amount}


def moves(book: Book, amount: Amount) -> list[tuple[Place, Amount]]:
    """What `amount` on a book does to stock."""
    here = Place(book.item, book.location, book.lot, book.status)
    match book.kind:
        case PostingKind.RECEIPT | PostingKind.ADJUSTMENT:
            return [(here, amount)]
        case PostingKind.ISSUE:
            return [(here, -amount)]
        case PostingKind.SCRAP:
            return [(here, -amount)] if book.location else []
        case PostingKind.TRANSFER:
            return [(here, -amount), (Place(book.item, book.to_location, book.lot, book.to_status), amount)]
    return []


def _add(totals: dict[Book, Fraction], effects: Iterable[Effect]) -> None:
    for book, amount in effects:
        totals[book] = totals.get(book, Fraction(0)) + amount
