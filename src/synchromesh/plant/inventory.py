"""The rules of inventory: transfers and adjustments, which belong to no order and stay in order by item and lot."""

from __future__ import annotations

from synchromesh.model import subject, tally
from synchromesh.model.event import MaterialTransferred, StockAdjusted
from synchromesh.model.posting import Category, PostingKind
from synchromesh.plant import lots, require
from synchromesh.plant.act import Act, Refused
from synchromesh.plant.postings import add, line_key
from synchromesh.plant.stock import place
from synchromesh.plant.view import View


def lane_of(item: str, lot: str) -> str:
    """Movements of one lot stay in order; lots don't wait for each other, and no lane sums more than one."""
    return f"item:{item}/{lot}" if lot else f"item:{item}"


def require_transfer(view: View, event: MaterialTransferred) -> None:
    item = require.item(view, event.item)
    require.location(view, event.location)
    require.location(view, event.to_location)
    require.amount(item, event.quantity)
    if (event.location, event.status) == (event.to_location, event.to_status):
        raise Refused(
            Category.INVALID,
            subject.item(event.item),
            f"The transfer of {event.quantity} of item {event.item} begins and ends at {event.location}.",
            "Correct the locations or the statuses in the reporting system.",
        )


def apply_transfer(view: View, act: Act, event: MaterialTransferred, sign: int) -> None:
    item = view.item(event.item)
    assert item is not None, "required"
    if event.lot:
        lots.used(view, act, event.item, event.lot)
    amount, unit = event.quantity.amount * sign, event.quantity.unit
    if not amount:
        act.rule = act.rule or "nothing was moved"
        return
    key = line_key(
        PostingKind.TRANSFER, event.item, event.location, event.lot, event.status, event.owner, event.to_location, event.to_status
    )
    lane_name = lane_of(event.item, event.lot)
    lane = act.lanes[lane_name] = view.lane(lane_name)
    add(lane, key, item, amount, unit)
    tally.add(view.balance(place(event.item, event.location, event.lot, event.status, event.owner)).reported, -amount, unit)
    tally.add(view.balance(place(event.item, event.to_location, event.lot, event.to_status, event.owner)).reported, amount, unit)


def require_adjustment(view: View, event: StockAdjusted) -> None:
    item = require.item(view, event.item)
    require.location(view, event.location)
    require.amount(item, event.quantity, signed=True)


def apply_adjustment(view: View, act: Act, event: StockAdjusted, sign: int) -> None:
    item = view.item(event.item)
    assert item is not None, "required"
    if event.lot:
        lots.used(view, act, event.item, event.lot)
    amount, unit = event.quantity.amount * sign, event.quantity.unit
    if not amount:
        act.rule = act.rule or "nothing was adjusted"
        return
    key = line_key(PostingKind.ADJUSTMENT, event.item, event.location, event.lot, event.status, event.owner, reason=event.reason)
    lane_name = lane_of(event.item, event.lot)
    lane = act.lanes[lane_name] = view.lane(lane_name)
    add(lane, key, item, amount, unit)
    tally.add(view.balance(place(event.item, event.location, event.lot, event.status, event.owner)).reported, amount, unit)
