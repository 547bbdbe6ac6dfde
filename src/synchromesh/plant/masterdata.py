"""What the systems of record say: items, locations, orders, periods, stock, and documents that others booked or cancelled."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model import subject
from synchromesh.model.event import (
    DocumentBooked,
    DocumentCancelled,
    EnterpriseEvent,
    ItemChanged,
    LocationChanged,
    OrderChanged,
    PeriodChanged,
    StockObserved,
)
from synchromesh.model.posting import Category, Line, PostingKind
from synchromesh.plant import causes, exceptions, lanes, outcomes, outside, periods, repair, stock, tolerance, waiting
from synchromesh.plant.entities import ComponentState, Expected, Item, Location, Order, Outside, Terms
from synchromesh.plant.view import View

_lines_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_lines_decode: Final = msgspec.json.Decoder(tuple[Line, ...]).decode


def record(view: View, event: EnterpriseEvent) -> None:
    """Take over what a system of record says. Raises `TypeError` for an event that has no rule here: a gap in this table."""
    match event:
        case ItemChanged():
            _item(view, event)
        case LocationChanged():
            view.put("location", event.location, Location(event.description))
            waiting.arrived(view, subject.location(event.location))
            causes.gone(view, Category.UNKNOWN_LOCATION, subject.location(event.location))
        case OrderChanged():
            _order(view, event)
        case PeriodChanged():
            periods.changed(view, event.first, event.last, event.open)
            if event.open:
                causes.periods_changed(view, event.first, event.last)
        case StockObserved():
            _observed(view, event)
        case DocumentBooked():
            _booked(view, event)
        case DocumentCancelled():
            _cancelled(view, event)
        case _:
            raise TypeError(f"no rule for {type(event).__name__}")


def _item(view: View, event: ItemChanged) -> None:
    known = view.item(event.item)
    item = Item(event.item, event.unit, event.decimals, event.alternatives, event.lot_controlled, event.description)
    item.observed = known.observed if known is not None else view.clock().observed
    view.put("item", event.item, item)
    waiting.item_arrived(view, event.item)
    causes.item_changed(view, event.item)


def _centres(event: OrderChanged) -> tuple[tuple[str, str], ...]:
    """Where the order and its operations are done, as far as ERP says."""
    named = (("", event.work_centre), *((each.operation, each.work_centre) for each in event.operations))
    return tuple(each for each in named if each[1])


def _order(view: View, event: OrderChanged) -> None:
    components = tuple(
        ComponentState(each.item, each.quantity.amount, each.quantity.unit, each.location, each.backflush) for each in event.components
    )
    routing = tuple((each.operation, each.yields) for each in event.operations)
    known = view.order(event.order)
    if known is None:
        order = Order(
            event.order, event.item, event.quantity.amount, event.quantity.unit, event.status, event.location, routing, components
        )
        order.centres = _centres(event)
        view.put("order", event.order, order)
    else:
        if known.last_fact and (known.location, known.routing, known.components) != (event.location, routing, components):
            known.earlier += (Terms(view.position, known.location, known.routing, known.components),)
        known.amount, known.unit, known.status = event.quantity.amount, event.quantity.unit, event.status
        known.location, known.routing, known.components, known.centres = event.location, routing, components, _centres(event)
        view.touch("order", event.order)
        for row in tolerance.fitting(view, known):
            repair.again(view, row)
    name = subject.order(event.order)
    waiting.arrived(view, name)
    causes.gone(view, Category.UNKNOWN_ORDER, name)
    if view.policy.over_delivery_percent < 0:  # else it is judged here, part by part
        causes.gone(view, Category.OVER_TOLERANCE, name)
    if event.status not in ("closed", "cancelled"):
        causes.gone(view, Category.ORDER_CLOSED, name)
    if event.status != "planned":
        waiting.arrived(view, waiting.release_of(event.order))
        causes.gone(view, Category.ORDER_NOT_RELEASED, name)


def _observed(view: View, event: StockObserved) -> None:
    """The first reading of an item's stock starts its booked ledger; later ones are for reconciliation and move nothing. The stock of an
    item comes before the item itself, so that nothing is decided about it in between."""
    view.clock().observed = True
    named = {*event.items, *(line.item for line in event.lines)}
    fresh = {name for name in named if (item := view.item(name)) is None or not item.observed}
    for line in event.lines:
        if line.item in fresh:
            balance = view.balance(stock.place(line.item, line.location, line.lot, line.status, line.owner))
            balance.unit, balance.booked, balance.opening = line.quantity.unit, line.quantity.amount, line.quantity.amount
    for name in sorted(fresh):
        item = view.item(name)
        if item is not None:
            item.observed = True
            view.touch("item", name)


def _booked(view: View, event: DocumentBooked) -> None:
    if view.document(event.document) is not None or view.get("outside", event.document) is not None:
        return
    document = Outside(event.kind, event.order, _lines_encode(event.lines), event.day.isoformat() if event.day else "")
    view.put("outside", event.document, document)
    _move(view, event.document, document, 1)


def _move(view: View, number: str, document: Outside, sign: int) -> None:
    lines = _lines_decode(document.lines)
    changes = outside.effects(view, PostingKind(document.kind), lines)
    stock.move_booked(view, changes, sign)
    outside.count(view, changes, sign)
    if document.order:
        outside.count_for_order(view, number, document, lines, sign)
    lanes.serve(view, changes)


def _cancelled(view: View, event: DocumentCancelled) -> None:
    """A document is cancelled in ERP. One of ours becomes reversed outside, and a person decides what that means."""
    document = view.of(Outside, "outside", event.document)
    if document is not None:
        _move(view, event.document, document, -1)
        view.drop("outside", event.document)
        return
    id_ = view.document(event.document)
    row = view.posting(id_) if id_ is not None else None
    if row is None:
        # It may be one of ours whose outcome is still on its way here.
        view.made(Expected, "expected", outcomes.CANCELLED).names[event.document] = None
    elif row.document != event.document:
        exceptions.resolve_for(view, row)  # a second document of a posting has gone
    elif row.state == "posted":
        outcomes.reversed_outside(view, row)
