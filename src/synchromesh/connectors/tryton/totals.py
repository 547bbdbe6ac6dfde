"""What a Tryton has booked for orders: the sums of their done moves, read by the calls that any client has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from synchromesh.connectors.agreement import OrderTotal
from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.places import Places, read_places
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as
from synchromesh.model.posting import PostingKind

_FIELDS = (
    "internal_quantity", "from_location", "to_location", "production_input", "production_output",
    "product.code", "product.template.default_uom.symbol",
    "production.reference", "production.number", "production.product.code",
)  # fmt: skip


class _Unit(msgspec.Struct):
    symbol: str


class _Template(msgspec.Struct, rename={"unit": "default_uom."}):
    unit: _Unit


class _Item(msgspec.Struct, rename={"template": "template."}):
    template: _Template
    code: str | None = None


class _Product(msgspec.Struct):
    code: str | None = None


class _Order(msgspec.Struct, rename={"product": "product."}):
    product: _Product | None = None
    reference: str | None = None
    number: str | None = None


class _Move(msgspec.Struct, rename={"item": "product.", "order": "production."}):
    id: int
    from_location: int
    to_location: int
    item: _Item
    order: _Order
    internal_quantity: Decimal = Decimal(0)
    production_input: int | None = None
    production_output: int | None = None


async def order_totals(tryton: Tryton, orders: Sequence[str]) -> list[OrderTotal]:
    """See `TellsOrders.order_totals`. A component that is scrapped leaves by a shipment, which names no order in Tryton."""
    if not orders:
        return []
    wanted: Json = ["OR", ["production.reference", "in", [*orders]], ["production.number", "in", [*orders]]]
    found = await tryton.call("model.stock.move.search_read", [["state", "=", "done"], wanted], 0, None, None, [*_FIELDS])
    places = await read_places(tryton)
    sums: dict[tuple[str, PostingKind, str, str], Decimal] = defaultdict(Decimal)
    for move in read_as(found, list[_Move], "the moves of orders"):
        name = move.order.reference if move.order.reference in orders else move.order.number
        if not move.item.code or not name:
            continue
        kind, sign = _kind(move, places)
        sums[name, kind, move.item.code, move.item.template.unit.symbol] += sign * move.internal_quantity
    rows = [(key, amount) for key, amount in sorted(sums.items()) if amount]
    return [OrderTotal(order, kind, item, units.quantity(amount, unit)) for (order, kind, item, unit), amount in rows]


def _kind(move: _Move, places: Places) -> tuple[PostingKind, int]:
    """What a move counts as, and whether it adds or takes back: what is taken back is a move the other way round."""
    if places.kind(move.to_location) == "lost_found":
        return PostingKind.SCRAP, 1
    if places.kind(move.from_location) == "lost_found":
        return PostingKind.SCRAP, -1
    if move.order.product is not None and move.item.code == move.order.product.code:
        return PostingKind.RECEIPT, 1 if move.production_output else -1
    return PostingKind.ISSUE, 1 if move.production_input else -1
