"""Cutting: how what is open in a lane becomes documents.

Lines are cut from cumulative sums: a posting's amount is the rounded total less what was decided before (law 7), so that arrival
order changes how documents are cut and never what the books say in the end. A total that has gone down (a correction, a
cancellation) takes back (see `plant.takeback`).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model import tally
from synchromesh.model.posting import Line, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.model.rounding import to_posting
from synchromesh.plant import lanes, stock, takeback, tolerance
from synchromesh.plant.entities import Cumulative, Lane
from synchromesh.plant.exceptions import Question
from synchromesh.plant.postings import BACKFLUSH, Cut, content, enter, line_key, total_in, units_of
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

SEQUENCE: Final = {kind: rank for rank, kind in enumerate(
    (PostingKind.ISSUE, PostingKind.CONFIRMATION, PostingKind.SCRAP, PostingKind.RECEIPT, PostingKind.TRANSFER,
     PostingKind.ADJUSTMENT, PostingKind.COMPLETION, PostingKind.REVERSAL)
)}  # fmt: skip
"""The order of documents that are decided together (design, section 5: sequence)."""

_KINDS: Final = {str(kind): kind for kind in SEQUENCE}
_SIGNED: Final = frozenset({PostingKind.TRANSFER, PostingKind.ADJUSTMENT})
"""Kinds whose lines may say the opposite; of others what goes down is taken back."""

# Members are looked up once: asking the enumeration costs as much as an addition.
_TRANSFER: Final = PostingKind.TRANSFER
_CONFIRMATION: Final = PostingKind.CONFIRMATION


class Draft(msgspec.Struct, gc=False):
    """A document about to be cut: its lines, and the sums that they are cut from."""

    rank: int
    kind: PostingKind
    operation: str
    lines: list[Line] = []
    sums: list[Cumulative] = []
    asks: Question | None = None
    """Why a person is asked before it is sent."""


Taken = dict[PostingKind, list[tuple[str, Line]]]
"""Lines to take back, each with the key of its sum."""


def decide(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Cut postings for everything open in the lane, whose components are `backflush`ed; how many were made. Nothing may be left to
    make: the rest is carried."""
    if len(lane.open) == 1 and not lane.confirmed and (made := _decide_one(view, lane_name, lane, cut)) is not None:
        return made
    drafts: dict[str, Draft] = {}
    taken: Taken = {}
    for key in lane.open:
        _sort_line(view, lane, key, drafts, taken)
    lane.open = {}
    receipt = drafts.get(PostingKind.RECEIPT) if view.policy.over_delivery_percent >= 0 else None
    if receipt is not None:
        _part(view, lane_name, receipt, drafts)
    if taken or lane.confirmed:
        lanes.hold(lane, cut.group, cut.facts)
        made = _take_back(view, lane_name, lane, cut, taken) + _cut(view, lane_name, lane, cut, drafts)
        made += _confirm_times(view, lane_name, lane, cut)
        lanes.let_end(view, lane, cut.group, made)
        return made
    return _cut(view, lane_name, lane, cut, drafts)


def _decide_one(view: View, lane_name: str, lane: Lane, cut: Cut) -> int | None:
    """`decide` for what nearly every fact is: one line more of one document, judged by no tolerance. None, and nothing is changed, for
    what is anything else."""
    (key,) = lane.open
    total = lane.sums[key]
    owed = _owed(view, total, key)
    if owed is None:
        lane.open = {}
        return 0
    kind, amount, line = owed
    if kind is _CONFIRMATION or (amount < 0 and kind not in _SIGNED) or view.policy.over_delivery_percent >= 0:
        return None
    lane.open = {}
    total.decided += amount
    row = enter(view, lane_name, lane, cut, content(view, lane_name, cut, kind, (line,)))
    lanes.leave_alone(lane, row)
    total.last = lane.last
    return 1


def _part(view: View, lane_name: str, receipt: Draft, drafts: dict[str, Draft]) -> None:
    """What is beyond the tolerance of an order becomes a receipt of its own, which a person is asked about."""
    order = view.order(lane_name[6:])
    assert order is not None, "only orders are received"
    receipt.lines, beyond, sums = tolerance.part(view, order, receipt.lines, receipt.sums)
    if not receipt.lines:
        del drafts[PostingKind.RECEIPT]
    if beyond:
        drafts["beyond"] = Draft(receipt.rank, receipt.kind, "", beyond, sums, tolerance.question(view, order))


def _take_back(view: View, lane_name: str, lane: Lane, cut: Cut, taken: Taken) -> int:
    return sum(takeback.take_back(view, lane_name, lane, cut, kind, taken[kind]) for kind in sorted(taken, key=SEQUENCE.__getitem__))


def _cut(view: View, lane_name: str, lane: Lane, cut: Cut, drafts: dict[str, Draft]) -> int:
    for draft in drafts.values() if len(drafts) == 1 else sorted(drafts.values(), key=_rank):
        kind, operation = draft.kind, draft.operation
        labour, machine = takeback.seconds_due(view, lane, operation) if kind is _CONFIRMATION else (0, 0)
        posting = content(view, lane_name, cut, kind, tuple(draft.lines), operation, labour, machine)
        enter(view, lane_name, lane, cut, posting, asks=draft.asks)
        for total in draft.sums:
            total.last = lane.last
    return len(drafts)


def _confirm_times(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Confirm work times that no line went with; first take back those of which there were too many."""
    made = 0
    for operation in lane.confirmed:
        made += takeback.take_back_times(view, lane_name, lane, cut, operation)
        labour, machine = takeback.seconds_due(view, lane, operation)
        if labour or machine:
            enter(view, lane_name, lane, cut, content(view, lane_name, cut, PostingKind.CONFIRMATION, (), operation, labour, machine))
            made += 1
    lane.confirmed = ()
    return made


def _rank(draft: Draft) -> tuple[int, str]:
    return draft.rank, draft.operation


def _sort_line(view: View, lane: Lane, key: str, drafts: dict[str, Draft], taken: Taken) -> None:
    """Put what a sum still owes into the draft of its document, or among the lines to take back."""
    total = lane.sums[key]
    owed = _owed(view, total, key)
    if owed is None:
        return
    kind, amount, line = owed
    if amount < 0 and kind not in _SIGNED:
        taken.setdefault(kind, []).append((key, line))
        return
    total.decided += amount
    of = line.operation if kind is _CONFIRMATION else ""
    document = kind + of
    draft = drafts.get(document)
    if draft is None:
        draft = drafts[document] = Draft(SEQUENCE[kind], kind, of)
    draft.lines.append(line)
    draft.sums.append(total)


def _owed(view: View, total: Cumulative, key: str) -> tuple[PostingKind, Decimal, Line] | None:
    """What a sum still owes, as a line of its document; less than nothing is to be taken back. None when it owes nothing."""
    name, item_name, location, lot, status, owner, to_location, to_status, operation, reason = key.split(SEPARATOR)
    item = view.item(item_name)
    assert item is not None, f"{item_name} was known when it was reported"
    amount = to_posting(total_in(total.reported, total.unit, item), total.decided, item.decimals)
    if not amount:
        return None
    kind = _KINDS[name]
    if kind is _TRANSFER and amount < 0:
        line = Line(item_name, Quantity(-amount, total.unit), to_location, lot, to_status, owner, location, status, operation, reason)
    else:
        line = Line(item_name, Quantity(amount, total.unit), location, lot, status, owner, to_location, to_status, operation, reason)
    return kind, amount, line


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
        line.reported = {item.unit: before + to_posting(share, before, item.decimals)}
        reported = view.balance(stock.place(component.item, component.location)).reported
        tally.add(reported, before - line.reported[item.unit], item.unit)
        lane.open[key] = None
    lane.open.pop(BACKFLUSH, None)
