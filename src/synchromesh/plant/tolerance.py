"""Over-delivery: judged on everything an order has brought. The part within the plant's tolerance is booked, and for the part beyond it a
person is asked, or ERP when it wants more of the order than before."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model import subject
from synchromesh.model.posting import Category, Line, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant.entities import Cumulative, Item, Lane, Order
from synchromesh.plant.exceptions import Question
from synchromesh.plant.postings import total_in
from synchromesh.plant.rows import ExceptionRow, PostingRow
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

_RECEIPTS: Final = PostingKind.RECEIPT + SEPARATOR


def part(view: View, order: Order, lines: list[Line], sums: list[Cumulative]) -> tuple[list[Line], list[Line], list[Cumulative]]:
    """What is within of a receipt's lines, whose `sums` count them already; and the lines beyond, with their sums."""
    within, over, theirs = list(lines), [], []
    item = view.item(order.item)
    assert item is not None, "the order's item was known when output was reported"
    excess = _delivered(order.lane) - _limit(view, order, item)
    for index in range(len(lines) - 1, -1, -1):
        if excess <= 0:
            break
        amount, unit = lines[index].quantity.amount, lines[index].quantity.unit
        more = min(amount, excess)
        excess -= more
        over.append(msgspec.structs.replace(lines[index], quantity=Quantity(more, unit)))
        theirs.append(sums[index])
        within[index] = msgspec.structs.replace(lines[index], quantity=Quantity(amount - more, unit))
    return [line for line in within if line.quantity.amount], over, theirs


def question(view: View, order: Order) -> Question:
    """What a person is asked about the part beyond."""
    ordered = Quantity(order.amount, order.unit)
    return (
        Category.OVER_TOLERANCE,
        subject.order(order.order),
        f"More was made than order {order.order} of {ordered} with {view.policy.over_delivery_percent} % over-delivery allows.",
        "Raise the order's quantity in ERP, and this goes on by itself; or retry to book it all the same, or dismiss it.",
    )


def fitting(view: View, order: Order) -> list[PostingRow]:
    """Those of the postings `beyond` that are within now, oldest first: ERP may want more of the order than before."""
    item = view.item(order.item)
    held = beyond(view, order.lane)
    if item is None or not held:
        return []
    room = _limit(view, order, item) - _delivered(order.lane) + sum((_amount(view, row) for row in held), Decimal(0))
    fit = []
    for row in held:
        room -= _amount(view, row)
        if room < 0:
            break
        fit.append(row)
    return fit


def beyond(view: View, lane: Lane) -> list[PostingRow]:
    """Postings of the lane that a person is asked about because they are beyond the tolerance, oldest first."""
    if view.policy.over_delivery_percent < 0:
        return []
    rows = [row for id_ in lane.queue if (row := view.posting(id_)) is not None and row.state == "rejected"]
    return [row for row in rows if _is_over(view.exception((row.position, row.ordinal)))]


def asked(view: View, row: PostingRow) -> Question | None:
    """What a person was asked about this posting; None for one that is not beyond the tolerance."""
    order = view.order(row.order) if _is_over(view.exception((row.position, row.ordinal))) and row.state == "rejected" else None
    return question(view, order) if order is not None else None


def _is_over(exception: ExceptionRow | None) -> bool:
    return exception is not None and exception.category == Category.OVER_TOLERANCE


def _limit(view: View, order: Order, item: Item) -> Decimal:
    """What may be delivered, in the item's unit."""
    ordered = Fraction(total_in({order.unit: order.amount}, item.unit, item))
    allowed = ordered * (100 + view.policy.over_delivery_percent) / 100 * 10**item.decimals
    return Decimal(allowed.numerator // allowed.denominator).scaleb(-item.decimals)


def _delivered(lane: Lane) -> Decimal:
    return sum((total.decided for key, total in lane.sums.items() if key.startswith(_RECEIPTS)), Decimal(0))


def _amount(view: View, row: PostingRow) -> Decimal:
    return sum((line.quantity.amount for line in view.content((row.position, row.ordinal)).lines), Decimal(0))
