"""The rules of production: what a report, a consumption, scrap, times and completions mean for an order, its stock and its lots.

Each rule is a pair. `require_…` raises before anything changes; `apply_…` changes the view, with `sign` -1 to take the same fact back.
"""

from __future__ import annotations

from typing import Final

from synchromesh.model import subject, tally
from synchromesh.model.event import (
    InputEnded,
    MaterialConsumed,
    OperationCompleted,
    OrderCompleted,
    OrderStarted,
    ProductionReported,
    ScrapRecorded,
    TimeRecorded,
)
from synchromesh.model.posting import Category, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant import agenda, lots, require, waiting
from synchromesh.plant.act import Act, Missing, Refused
from synchromesh.plant.entities import Item, OperationState, Order, Source, Terms
from synchromesh.plant.postings import BACKFLUSH, add, line_key
from synchromesh.plant.stock import place
from synchromesh.plant.view import View

SCRAPPED = "scrap"
"""The reason on a confirmation's line that tells scrap from good output."""

# Members are looked up once: asking the enumeration costs as much as an addition.
_ISSUE: Final = PostingKind.ISSUE
_RECEIPT: Final = PostingKind.RECEIPT
_SCRAP: Final = PostingKind.SCRAP
_CONFIRMATION: Final = PostingKind.CONFIRMATION


def touched(view: View, order: Order, act: Act) -> str:
    """Note that the fact is about this order; the name of its lane."""
    view.touch("order", order.order)
    act.order = order.order
    return "order:" + order.order


def yields(order: Order | Terms, operation: str, policy_operation: str) -> bool:
    """Whether good output of this operation is the order's yield: the policy's operation, else the marked one, else the last."""
    if not operation:
        return True
    if policy_operation:
        return operation == policy_operation
    marked = [name for name, marks in order.routing if marks]
    if marked:
        return operation in marked
    return not order.routing or operation == order.routing[-1][0]


# --- production.reported -----------------------------------------------------------------------------------------------------


def require_report(view: View, event: ProductionReported) -> None:
    order = require.order(view, event.order)
    if event.item and event.item != order.item:
        raise Refused(
            Category.INVALID,
            subject.order(event.order),
            f"The report names item {event.item}, and order {event.order} makes item {order.item}.",
            "Report under the order that makes the item, or correct the item in the reporting system.",
            event.order,
        )
    item = require.item(view, order.item, event.order)
    require.location(view, event.location, event.order)
    for quantity in (event.good, event.scrap, event.held, event.rework):
        if quantity is not None:
            require.amount(item, quantity, event.order)
    if order.components:
        _require_proportion(view, order, item)


def _require_proportion(view: View, order: Order, item: Item) -> None:
    """Components that are backflushed can be told in proportion to the output."""
    backflushed = [component for component in order.components if component.backflush]
    if backflushed and not order.amount:
        raise Refused(
            Category.INVALID,
            subject.order(order.order),
            f"Order {order.order} is of quantity 0, so nothing says how much of its components goes into its output.",
            "Correct the order's quantity in ERP; then correct this report, or dismiss it.",
            order.order,
        )
    if backflushed:
        require.amount(item, Quantity(order.amount, order.unit), order.order)
    for component in backflushed:
        known = require.item(view, component.item, order.order)
        require.amount(known, Quantity(component.amount, component.unit), order.order)


def apply_report(view: View, act: Act, event: ProductionReported, sign: int) -> None:
    order = view.order(event.order)
    assert order is not None, "required"
    item = view.item(order.item)
    assert item is not None, "required"
    lane_name = touched(view, order, act)
    _count_operation(order, event, sign)
    policy = view.policy_at(act.as_of)
    if event.good is not None and event.good.amount and yields(order.as_of(act.as_of), event.operation, policy.yield_operation):
        _receive(view, act, lane_name, order, item, event, event.good, "", sign)
    if event.held and event.held.amount:
        _receive(view, act, lane_name, order, item, event, event.held, policy.held_status, sign)
    if event.scrap and event.scrap.amount:
        add(
            order.lane,
            line_key(_SCRAP, order.item, lot=event.lot, reason=event.reason),
            item,
            event.scrap.amount * sign,
            event.scrap.unit,
        )
        act.lanes[lane_name] = order.lane
    if policy.confirmations and event.operation:
        _confirm(act, lane_name, order, item, event, sign)
    if event.lot:
        lots.made_from(view, act, order.item, event.lot, event.consumed_lots, sign)
    if not act.lanes:
        act.rule = act.rule or _why_nothing(event)


def _why_nothing(event: ProductionReported) -> str:
    told = (event.good, event.scrap, event.held)
    if not any(quantity and quantity.amount for quantity in told):
        return "nothing was made or lost"
    return f"output of operation {event.operation} is not the order's yield and operations are not confirmed"


def _count_operation(order: Order, event: ProductionReported, sign: int) -> None:
    state = order.operations.get(event.operation)
    if state is None:
        state = order.operations[event.operation] = OperationState()
    state.reports += sign
    if event.good:
        tally.add(state.good, event.good.amount * sign, event.good.unit)
    if event.scrap:
        state.scrap = tally.sum_of(state.scrap, event.scrap.amount * sign, event.scrap.unit)
    if event.held:
        state.held = tally.sum_of(state.held, event.held.amount * sign, event.held.unit)
    if event.rework:
        state.rework = tally.sum_of(state.rework, event.rework.amount * sign, event.rework.unit)


def _receive(
    view: View, act: Act, lane_name: str, order: Order, item: Item, event: ProductionReported, quantity: Quantity, status: str, sign: int
) -> None:
    location = event.location or order.as_of(act.as_of).location
    amount, unit = quantity.amount * sign, quantity.unit
    add(order.lane, line_key(_RECEIPT, order.item, location, event.lot, status), item, amount, unit)
    tally.add(view.balance(place(order.item, location, event.lot, status)).reported, amount, unit)
    tally.add(order.made, amount, unit)
    if order.components and any(component.backflush for component in order.components):
        order.lane.open[BACKFLUSH] = None
    act.lanes[lane_name] = order.lane


def _confirm(act: Act, lane_name: str, order: Order, item: Item, event: ProductionReported, sign: int) -> None:
    for quantity, reason in ((event.good, ""), (event.scrap, SCRAPPED)):
        if quantity and quantity.amount:
            key = line_key(_CONFIRMATION, order.item, operation=event.operation, reason=reason)
            add(order.lane, key, item, quantity.amount * sign, quantity.unit)
            act.lanes[lane_name] = order.lane
    _spend(act, lane_name, order, event.operation, event.labour_seconds * sign, event.machine_seconds * sign)


def _spend(act: Act, lane_name: str, order: Order, operation: str, labour: int, machine: int) -> None:
    if labour or machine:
        lane = order.lane
        if lane.seconds is None:
            lane.seconds = {}
        times = lane.seconds.setdefault(operation, [0, 0, 0, 0])
        times[0] += labour
        times[1] += machine
        if operation not in lane.confirmed:
            lane.confirmed += (operation,)
        act.lanes[lane_name] = order.lane


# --- production.material.consumed, production.scrap.recorded ------------------------------------------------------------------


def require_consumption(view: View, event: MaterialConsumed) -> None:
    require.order(view, event.order)
    item = require.item(view, event.item, event.order)
    require.location(view, event.location, event.order)
    require.amount(item, event.quantity, event.order)


def apply_consumption(view: View, act: Act, event: MaterialConsumed, sign: int) -> None:
    order = view.order(event.order)
    item = view.item(event.item)
    assert order is not None
    assert item is not None, "required"
    lane_name = touched(view, order, act)
    location = event.location or source_of(order.as_of(act.as_of), event.item)
    if event.lot:
        lots.used(view, act, event.item, event.lot)
        if event.into_lot:
            lots.made_from(view, act, order.item, event.into_lot, (lots.name(event.item, event.lot),), sign)
    if not event.quantity.amount:
        act.rule = act.rule or "nothing was consumed"
        return
    add(order.lane, line_key(_ISSUE, event.item, location, event.lot), item, event.quantity.amount * sign, event.quantity.unit)
    tally.add(view.balance(place(event.item, location, event.lot)).reported, -event.quantity.amount * sign, event.quantity.unit)
    act.lanes[lane_name] = order.lane


def source_of(order: Order | Terms, item: str) -> str:
    return next((component.location for component in order.components if component.item == item), "")


def require_scrap(view: View, event: ScrapRecorded) -> None:
    order = require.order(view, event.order)
    item = require.item(view, event.item or order.item, event.order)
    require.location(view, event.location, event.order)
    require.amount(item, event.quantity, event.order)


def apply_scrap(view: View, act: Act, event: ScrapRecorded, sign: int) -> None:
    """Scrap of output never was in stock; scrap of a component leaves stock where the component is kept."""
    order = view.order(event.order)
    assert order is not None, "required"
    name = event.item or order.item
    item = view.item(name)
    assert item is not None, "required"
    lane_name = touched(view, order, act)
    if event.lot:
        lots.used(view, act, name, event.lot)
    if not event.quantity.amount:
        act.rule = act.rule or "nothing was lost"
        return
    location = "" if name == order.item else event.location or source_of(order.as_of(act.as_of), name)
    if location:
        tally.add(view.balance(place(name, location, event.lot)).reported, -event.quantity.amount * sign, event.quantity.unit)
    key = line_key(_SCRAP, name, location, event.lot, reason=event.reason)
    add(order.lane, key, item, event.quantity.amount * sign, event.quantity.unit)
    act.lanes[lane_name] = order.lane


# --- times, starts and ends ------------------------------------------------------------------------------------------------------


def require_known_order(view: View, event: TimeRecorded | OperationCompleted) -> None:
    require.order(view, event.order)


def require_all_told(view: View, event: OrderCompleted) -> None:
    """The end of an order comes after everything of it that still waits for something."""
    order = require.order(view, event.order)
    if order.waiting or waiting.for_order(view, event.order):
        raise Missing(waiting.rest_of(event.order), event.order)


def apply_time(view: View, act: Act, event: TimeRecorded, sign: int) -> None:
    order = view.order(event.order)
    assert order is not None, "required"
    lane_name = touched(view, order, act)
    if view.policy_at(act.as_of).confirmations:
        _spend(act, lane_name, order, event.operation, event.labour_seconds * sign, event.machine_seconds * sign)
    act.rule = act.rule or "times are not confirmed to ERP by the plant's policy"


def require_nothing(view: View, event: OrderStarted | InputEnded) -> None:
    """Nothing has to be known."""


def apply_start(view: View, act: Act, event: OrderStarted, sign: int) -> None:
    act.order = event.order
    act.rule = "the start of work is recorded and not booked"


def apply_operation_completed(view: View, act: Act, event: OperationCompleted, sign: int) -> None:
    order = view.order(event.order)
    assert order is not None, "required"
    lane_name = touched(view, order, act)
    order.operations.setdefault(event.operation, OperationState()).completed = sign > 0
    if view.policy.gather == "operation" and order.lane.gather is not None:
        act.closes[lane_name] = None
    act.rule = act.rule or "the end of an operation is recorded"


def apply_order_completed(view: View, act: Act, event: OrderCompleted, sign: int) -> None:
    order = view.order(event.order)
    assert order is not None, "required"
    lane_name = touched(view, order, act)
    order.completed = sign > 0
    act.closes[lane_name] = None
    act.rule = act.rule or "the end of the order is recorded"


def apply_input_ended(view: View, act: Act, event: InputEnded, sign: int) -> None:
    """The gathers that this source opened close, a page of them a step; so do those that its facts join later because they had waited."""
    view.made(Source, "source", event.source).ended = view.position
    agenda.resume(view, "source:" + event.source)
    act.rule = "the end of a source's input is recorded"
