"""What facts and postings do to places of stock, told without folding them: for facts that are not in the ledgers, or came too late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from synchromesh.model.event import (
    CanonicalEvent,
    FactCorrected,
    MaterialConsumed,
    MaterialTransferred,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
)
from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant.entities import Order
from synchromesh.plant.policy import Policy
from synchromesh.plant.production import source_of, yields
from synchromesh.plant.stock import place, touched

Move = tuple[str, Decimal, str]
"""A place, a signed amount, and its unit."""


def of_event(event: CanonicalEvent, order: Order | None, policy: Policy) -> list[Move]:
    """What a fact moves in the reported ledger. Of an order that is not known only what the fact itself says where; components that are
    backflushed come with their posting."""
    match event:
        case FactCorrected():
            moves = of_event(event.event, order, policy)
        case ProductionReported():
            moves = list(_report(event, order, policy))
        case MaterialConsumed():
            location = event.location or (source_of(order, event.item) if order is not None else "")
            moves = _moved(event.quantity, place(event.item, location, event.lot), -1)
        case ScrapRecorded():
            moves = _scrap(event, order)
        case MaterialTransferred():
            there = place(event.item, event.to_location, event.lot, event.to_status, event.owner)
            moves = [*_moved(event.quantity, _place_of(event), -1), *_moved(event.quantity, there, 1)]
        case StockAdjusted():
            moves = _moved(event.quantity, _place_of(event), 1)
        case _:
            moves = []
    return moves


def _place_of(event: MaterialTransferred | StockAdjusted) -> str:
    return place(event.item, event.location, event.lot, event.status, event.owner)


def _report(event: ProductionReported, order: Order | None, policy: Policy) -> Iterator[Move]:
    item = event.item or (order.item if order is not None else "")
    location = event.location or (order.location if order is not None else "")
    if not item:
        return
    if event.good is not None and (order is None or yields(order, event.operation, policy.yield_operation)):
        yield from _moved(event.good, place(item, location, event.lot), 1)
    if event.held is not None:
        yield from _moved(event.held, place(item, location, event.lot, policy.held_status), 1)


def _scrap(event: ScrapRecorded, order: Order | None) -> list[Move]:
    if not event.item or (order is not None and event.item == order.item):
        return []
    location = event.location or (source_of(order, event.item) if order is not None else "")
    return _moved(event.quantity, place(event.item, location, event.lot), -1) if location else []


def _moved(quantity: Quantity, key: str, sign: int) -> list[Move]:
    return [(key, sign * quantity.amount, quantity.unit)] if quantity.amount else []


def of_lines(kind: str, lines: Iterable[Line], sign: int = 1) -> list[Move]:
    """What lines of a document move, as they are counted in the reported ledger."""
    return [
        (key, sign * side * line.quantity.amount, line.quantity.unit)
        for line in lines
        for key, side in touched(
            kind, line.item, line.location, line.lot, line.status, line.owner, line.to_location, line.to_status
        )
    ]  # fmt: skip


def of_posting(content: Posting, original: Posting | None) -> list[Move]:
    """What a posting moves when it is booked; a reversal undoes its `original`."""
    if content.kind is PostingKind.REVERSAL:
        return of_lines(original.kind, original.lines, -1) if original is not None else []
    return of_lines(content.kind, content.lines)
