"""A posting as the stock moves that it will be in Tryton, checked before anything is written.

Where goods come from and go to, by kind:

- issue: storage to production, as an input; taking back (a negative line): production to storage, as an output of the component
- receipt: production to storage, as an output; taking back: storage to production, as an input
- scrap: of the order's output from production to waste, as an output; of a component from storage to waste
- transfer: storage to storage; adjustment: lost and found to storage, or back
- reversal: the original's moves the other way round, on the reversal's own day

A negative line is the positive one the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from synchromesh.connectors.tryton.module.books import Books, Record, Refused
from synchromesh.model import subject
from synchromesh.model.posting import Category, Line, Posting, PostingKind

Side = Literal["", "production_input", "production_output"]

_BACK: dict[Side, Side] = {"": "", "production_input": "production_output", "production_output": "production_input"}


@dataclass(frozen=True)
class Leg:
    """One stock move to be: `lot` by number, since it may not exist yet."""

    item: Record
    unit: Record
    amount: Decimal
    source: Record
    target: Record
    lot: str = ""
    side: Side = ""

    def back(self) -> Leg:
        """The same goods the other way round. From waste nothing comes back as an input: Tryton allows inputs from storage only."""
        side = _BACK[self.side]
        if side == "production_input" and self.target.type != "storage":
            side = ""
        return Leg(self.item, self.unit, self.amount, self.target, self.source, self.lot, side)


@dataclass
class Plan:
    """One posting, checked and not yet written."""

    posting: Posting
    order: Record | None = None
    legs: list[Leg] = field(default_factory=list)
    reverses: Record | None = None


def plan(books: Books, posting: Posting, plant: str, original: Record | None) -> Plan:
    """Check a posting and say which moves it makes; raises `Refused`. `plant` is the code of the plant's warehouse, for postings without
    an order, and `original` is what a reversal reverses."""
    books.check_date(posting.effective)
    if posting.kind is PostingKind.REVERSAL:
        return _reversal(books, posting, original)
    order = books.order(posting.order) if posting.order or posting.kind in _OF_AN_ORDER else None
    result = Plan(posting, order)
    if posting.kind in _WITHOUT_STOCK:
        return result
    if not posting.lines:
        raise Refused(Category.INVALID, subject.about(posting), f"a posting of the kind {posting.kind} needs lines")
    warehouse = order.warehouse if order else books.warehouse(plant)
    for line in posting.lines:
        leg = _leg(books, posting, line, order, warehouse)
        _check(books, leg, order, posting.kind)
        result.legs.append(leg)
    return result


_OF_AN_ORDER = frozenset({PostingKind.ISSUE, PostingKind.RECEIPT, PostingKind.CONFIRMATION, PostingKind.COMPLETION})
_WITHOUT_STOCK = frozenset({PostingKind.CONFIRMATION, PostingKind.COMPLETION})


def _leg(books: Books, posting: Posting, line: Line, order: Record | None, warehouse: Record) -> Leg:
    if line.owner:
        raise Refused(
            Category.NOT_PERMITTED, subject.item(line.item), f"Tryton keeps the company's own stock only, and the line is of {line.owner}"
        )
    if not line.quantity.amount:
        raise Refused(
            Category.INVALID, subject.item(line.item), f"the line of {line.item} moves nothing", "leave lines without quantity out"
        )
    item = books.item(line.item)
    unit = books.unit(item, line.quantity)
    source, target, side = _places(books, posting, line, item, order, warehouse)
    leg = Leg(item, unit, abs(line.quantity.amount), source, target, line.lot, side)
    return leg if line.quantity.amount > 0 else leg.back()


def _places(
    books: Books, posting: Posting, line: Line, item: Record, order: Record | None, warehouse: Record
) -> tuple[Record, Record, Side]:
    storage = warehouse.storage_location
    negative = line.quantity.amount < 0
    if posting.kind is PostingKind.TRANSFER:
        source = books.location(line.location, line.status, warehouse, storage, line.item, negative)
        target = books.location(line.to_location or line.location, line.to_status, warehouse, storage, line.item, not negative)
        if source == target:
            raise Refused(Category.INVALID, subject.item(line.item), f"the transfer of {line.item} begins and ends at {source.code}")
        return source, target, ""
    if posting.kind is PostingKind.ADJUSTMENT:
        return (
            books.inventory_difference(warehouse),
            books.location(line.location, line.status, warehouse, storage, line.item, not negative),
            "",
        )
    if posting.kind is PostingKind.SCRAP and not (order and _is_output(order, item)):
        return books.location(line.location, line.status, warehouse, _picking(warehouse), line.item), books.waste(warehouse), ""
    assert order is not None
    if posting.kind is PostingKind.SCRAP:
        return order.location, books.waste(warehouse), "production_output"
    if posting.kind is PostingKind.ISSUE:
        return (
            books.location(line.location, line.status, warehouse, _picking(warehouse), line.item, negative),
            order.location,
            "production_input",
        )
    target = books.location(line.location, line.status, warehouse, warehouse.production_output_location or storage, line.item, not negative)
    return order.location, target, "production_output"


def _picking(warehouse: Record) -> Record:
    return warehouse.production_picking_location or warehouse.storage_location


def _is_output(order: Record, item: Record) -> bool:
    return bool(order.product == item or any(move.product == item for move in order.outputs))


def _check(books: Books, leg: Leg, order: Record | None, kind: PostingKind) -> None:
    """Refuse a leg whose lot is missing, whose place is outside the order's warehouse, or whose stock is not there."""
    if not leg.lot and leg.item.lot_is_required(leg.source, leg.target):
        raise Refused(
            Category.UNKNOWN_LOT,
            subject.item(leg.item.code),
            f"the item {leg.item.code} is kept by lot, and the line names none",
            "name the lot",
        )
    if order and leg.side:
        for place in (leg.source, leg.target):
            if place.type == "storage" and place.warehouse != order.warehouse:
                raise Refused(
                    Category.INVALID,
                    subject.location(place.code),
                    f"the location {place.code} is outside the warehouse of the order {order.rec_name}",
                )
    made_here = leg.source.type != "storage"
    if leg.lot and books.lot(leg.item, leg.lot, create=made_here and kind in _MAKES_LOTS) is None:
        books.expect_lot(leg.item, leg.lot)
    _move_stock(books, leg)


_MAKES_LOTS = frozenset({PostingKind.RECEIPT, PostingKind.ADJUSTMENT, PostingKind.SCRAP})


def _move_stock(books: Books, leg: Leg) -> None:
    amount = books.internal(leg.item, leg.unit, leg.amount)
    if leg.source.type == "storage":
        books.take(leg.item, leg.source, leg.lot, amount)
    if leg.target.type == "storage":
        books.put(leg.item, leg.target, leg.lot, amount)


def _reversal(books: Books, posting: Posting, original: Record | None) -> Plan:
    name = posting.reverses or posting.reverses_document
    if original is None:
        what = subject.document(posting.reverses_document) if posting.reverses_document else subject.posting(posting.reverses)
        raise Refused(Category.INVALID, what, f"no posting with the key or number {name} is booked, so there is nothing to reverse")
    if original.state == "reversed" or any(move.state != "done" for move in original.moves):
        raise Refused(
            Category.INVALID, subject.document(original.number), f"the document {original.number} was reversed or cancelled before"
        )
    if original.kind in {PostingKind.COMPLETION, PostingKind.REVERSAL}:
        raise Refused(
            Category.NOT_PERMITTED,
            subject.document(original.number),
            f"Tryton can't take back a {original.kind}",
            "correct the production by hand in Tryton",
        )
    order = original.production
    if order is not None and order.state in {"done", "cancelled"}:
        raise Refused(
            Category.ORDER_CLOSED,
            subject.order(posting.order or order.rec_name),
            f"the production {order.rec_name} of {original.number} is {order.state}",
        )
    legs = [_leg_of(move).back() for move in original.moves]
    for leg in legs:
        _move_stock(books, leg)
    return Plan(posting, order, legs, original)


def _leg_of(move: Record) -> Leg:
    side: Side = "production_input" if move.production_input else "production_output" if move.production_output else ""
    amount = Decimal(repr(move.quantity))
    return Leg(move.product, move.unit, amount, move.from_location, move.to_location, move.lot.number if move.lot else "", side)
