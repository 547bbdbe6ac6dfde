"""Productions as orders."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final, Literal

import msgspec

from synchromesh.connectors.agreement import Change
from synchromesh.connectors.tryton import units
from synchromesh.connectors.tryton.documents import Move, Ownership
from synchromesh.connectors.tryton.places import Place, Places
from synchromesh.connectors.tryton.rpc import Tryton, read_as
from synchromesh.connectors.tryton.telling import change
from synchromesh.model.event import Component, OrderChanged

Status = Literal["planned", "released", "completed", "closed", "cancelled"]

STATUSES: Final[dict[str, Status]] = {
    "request": "planned",
    "draft": "planned",
    "waiting": "released",
    "assigned": "released",
    "running": "released",
    "done": "completed",
    "cancelled": "cancelled",
}


class _Coded(msgspec.Struct):
    code: str | None = None


class _Symbol(msgspec.Struct):
    symbol: str


class _Production(msgspec.Struct, rename={"product_": "product.", "unit_": "unit."}):
    id: int
    state: str
    warehouse: int
    inputs: list[int]
    number: str | None = None
    reference: str | None = None
    quantity: Decimal | None = None
    product_: _Coded | None = None
    unit_: _Symbol | None = None


class _Referenced(msgspec.Struct):
    reference: str


_FIELDS = ["state", "warehouse", "inputs", "number", "reference", "quantity", "product.code", "unit.symbol"]


async def tell_orders(tryton: Tryton, fresh: dict[int, str], places: Places, plants: dict[str, str], ownership: Ownership) -> list[Change]:
    """The productions as they are now, each with the time of what changed it. An order's name is its reference, or its number when the
    reference is missing or not its own alone; one with neither, or without a product, has nothing that a plant could name it by."""
    if not fresh:
        return []
    rows = read_as(await tryton.call("model.production.read", [*fresh], _FIELDS), list[_Production], "the productions")
    shared = await _shared_references(tryton, rows)
    wanted = [move for row in rows for move in row.inputs]
    fields = [*Move.WANTED, *ownership.fields]
    found = read_as(await tryton.call("model.stock.move.read", wanted, fields), list[Move], "the components") if wanted else []
    moves = {move.id: move for move in await ownership.mark(found)}
    changes = []
    for row in sorted(rows, key=lambda row: (fresh[row.id], row.id)):
        event = _order(row, [moves[i] for i in row.inputs], places, shared)
        if event is not None:
            changes.append(change(event, event.order, fresh[row.id], plants.get(places.code(row.warehouse), "")))
    return changes


async def _shared_references(tryton: Tryton, rows: list[_Production]) -> set[str]:
    references = sorted({row.reference for row in rows if row.reference})
    found = await tryton.call("model.production.search_read", [["reference", "in", references]], 0, None, None, ["reference"])
    counts = Counter(row.reference for row in read_as(found, list[_Referenced], "the references"))
    return {reference for reference, count in counts.items() if count > 1}


def _order(row: _Production, inputs: list[Move], places: Places, shared: set[str]) -> OrderChanged | None:
    name = row.reference if row.reference and row.reference not in shared else row.number
    if not name or not row.product_ or not row.product_.code or not row.unit_ or row.quantity is None:
        return None
    status = STATUSES[row.state]
    output = places.output.get(row.warehouse)
    return OrderChanged(
        order=name,
        item=row.product_.code,
        quantity=units.quantity(row.quantity, row.unit_.symbol),
        status=status,
        components=_components(inputs, places, status),
        location=output.name if output else "",
    )


def _components(inputs: list[Move], places: Places, status: Status) -> tuple[Component, ...]:
    """What was planned: inputs that are no postings. When an order is done, what was left of the plan is cancelled and still the plan."""
    planned: dict[tuple[str, str, str], Decimal] = {}
    for move in inputs:
        if move.synchromesh or not move.product_.code or (move.state == "cancelled" and status == "released"):
            continue
        place: Place | None = places.all.get(move.from_location)
        key = (move.product_.code, place.name if place else "", move.unit_.symbol)
        planned[key] = planned.get(key, Decimal(0)) + move.quantity
    return tuple(
        Component(item=item, quantity=units.quantity(amount, unit), location=location)
        for (item, location, unit), amount in sorted(planned.items())
        if amount
    )
