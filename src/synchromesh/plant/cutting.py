"""Cutting: how what is open in a lane becomes documents.

Lines are cut from cumulative sums: a posting's amount is the rounded total less what was decided before (law 7), so that arrival
order changes how documents are cut and never what the books say in the end. A total that has gone down (a correction, a
cancellation) takes back (see `plant.takeback`).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from synchromesh.model import tally
from synchromesh.model.posting import Line, PostingKind
from synchromesh.model.quantity import EXACT, Quantity
from synchromesh.model.rounding import to_posting
from synchromesh.plant import lanes, stock, takeback
from synchromesh.plant.entities import Cumulative, Lane
from synchromesh.plant.postings import BACKFLUSH, Cut, content, enter, line_key, total_in, units_of
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

SEQUENCE: Final = {kind: rank for rank, kind in enumerate(
    (PostingKind.ISSUE, PostingKind.CONFIRMATION, PostingKind.SCRAP, PostingKind.RECEIPT, PostingKind.TRANSFER,
     PostingKind.ADJUSTMENT, PostingKind.COMPLETION, PostingKind.REVERSAL)
)}  # fmt: skip
"""The order of documents that are decided together (design, section 5: sequence)."""

_KINDS: Final = {rank: kind for kind, rank in SEQUENCE.items()}
_BY_NAME: Final = {str(kind): kind for kind in PostingKind}  # a look is a third of what asking the enumeration costs


def decide(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Cut postings for everything open in the lane, whose components are `backflush`ed; how many were made. Nothing may be left to
    make: the rest is carried."""
    wanted: dict[tuple[int, str], list[Line]] = {}
    taken: dict[PostingKind, list[tuple[str, Line]]] = {}
    for key in lane.open:
        _sort_line(view, lane, key, wanted, taken)
    lane.open = {}
    made = 0
    lanes.hold(lane, cut.group, cut.facts)
    for kind in sorted(taken, key=SEQUENCE.__getitem__) if taken else ():
        made += takeback.take_back(view, lane_name, lane, cut, kind, taken[kind])
    for (rank, operation), lines in sorted(wanted.items(), key=_rank) if len(wanted) > 1 else wanted.items():
        kind = _KINDS[rank]
        labour, machine = takeback.seconds_due(view, lane, operation) if kind is PostingKind.CONFIRMATION else (0, 0)
        enter(view, lane_name, lane, cut, content(view, lane_name, cut, kind, tuple(lines), operation, labour, machine))
        made += 1
    if lane.confirmed:
        made += _confirm_times(view, lane_name, lane, cut)
    lanes.let_end(view, lane, cut.group, made)
    return made


def _confirm_times(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Confirm work times that no line went with; first take back those of which there were too many."""
    made = 0
    for operation in list(lane.confirmed):
        made += takeback.take_back_times(view, lane_name, lane, cut, operation)
        labour, machine = takeback.seconds_due(view, lane, operation)
        if labour or machine:
            enter(view, lane_name, lane, cut, content(view, lane_name, cut, PostingKind.CONFIRMATION, (), operation, labour, machine))
            made += 1
    lane.confirmed = {}
    return made


def _rank(entry: tuple[tuple[int, str], list[Line]]) -> tuple[int, str]:
    return entry[0]


def _sort_line(
    view: View, lane: Lane, key: str, wanted: dict[tuple[int, str], list[Line]], taken: dict[PostingKind, list[tuple[str, Line]]]
) -> None:
    """Put what a sum still owes among the lines wanted, or among those to take back."""
    line = lane.sums[key]
    name, item_name, location, lot, status, owner, to_location, to_status, operation, reason = key.split(SEPARATOR)
    kind = _BY_NAME[name]
    item = view.item(item_name)
    assert item is not None, f"{item_name} was known when it was reported"
    amount = to_posting(total_in(line.reported, line.unit, item), line.decided, item.decimals)
    if not amount:
        return
    if kind is PostingKind.TRANSFER and amount < 0:
        cut_line = Line(item_name, Quantity(-amount, line.unit), to_location, lot, to_status, owner, location, status, operation, reason)
    else:
        cut_line = Line(item_name, Quantity(amount, line.unit), location, lot, status, owner, to_location, to_status, operation, reason)
    if amount < 0 and kind not in (PostingKind.TRANSFER, PostingKind.ADJUSTMENT):
        taken.setdefault(kind, []).append((key, cut_line))
        return
    line.decided = EXACT.add(line.decided, amount)
    wanted.setdefault((SEQUENCE[kind], operation if kind is PostingKind.CONFIRMATION else ""), []).append(cut_line)


def backflush(view: View, lane_name: str, lane: Lane) -> None:
    """Sum the components that ERP's plan issues with the output, in proportion to all output so far."""
    order = view.order(lane_name[6:])
    assert order is not None, "only an order's lane backflushes"
    product = view.item(order.item)
    assert product is not None, "the order's item was known when output was reported"
    done = Fraction(total_in(order.made, order.unit, product)) / Fraction(order.amount)
    for component in order.components:
        item = view.item(component.item)
        if not component.backflush or item is None:
            continue
        key = line_key(PostingKind.ISSUE, component.item, component.location, reason=BACKFLUSH)
        line = lane.sums.get(key)
        if line is None:
            line = lane.sums[key] = Cumulative(item.unit, {})
        before = line.reported.get(item.unit, Decimal(0))
        share = tally.total({component.unit: component.amount}, item.unit, units_of(item)) * done
        line.reported = {item.unit: EXACT.add(before, to_posting(share, before, item.decimals))}
        reported = view.balance(stock.place(component.item, component.location)).reported
        tally.add(reported, EXACT.subtract(before, line.reported[item.unit]), item.unit)
        lane.open[key] = None
    lane.open.pop(BACKFLUSH, None)
