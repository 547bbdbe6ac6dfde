"""Postings: the sums that their lines are cut from (see `plant.cutting`), and how one that is decided enters its lane and the ledgers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model import tally
from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.unit import ItemUnits
from synchromesh.plant import agenda, lanes, periods, stock
from synchromesh.plant.entities import Cumulative, Item, Lane, Order
from synchromesh.plant.exceptions import Question
from synchromesh.plant.keys import id_of, key_of
from synchromesh.plant.lanes import HOLDS
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import Effect, View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_REVERSAL: Final = PostingKind.REVERSAL

BACKFLUSH: Final = "backflush"
"""What `Lane.open` holds when output changed and components are issued in proportion to it."""

PATIENCE: Final = "patience:"
"""What the agenda is reminded of when a posting begins to wait for stock; its key follows."""

RENEWALS: Final = 24
"""How often patience is renewed for stock that is on its way: longer than a business system is away."""

MINUTE: Final = 60_000_000

ORDINALS: Final = 1000
"""Ordinals reserved for a gather's postings at the message that opened it: more than the kinds and operations of any order."""


class Cut(msgspec.Struct, gc=False):
    """Where a decision is made: which message causes it, which facts it books and on which day.

    `ordinal` is the last one used at `position`. `original` is the group whose postings a correction takes back from first.
    """

    position: int
    ordinal: int
    group: int
    facts: int
    effective: date
    decided: int
    original: int = 0


def line_key(
    kind: PostingKind, item: str, location: str = "", lot: str = "", status: str = "", owner: str = "",
    to_location: str = "", to_status: str = "", operation: str = "", reason: str = "",
) -> str:  # fmt: skip
    """The key of a cumulative sum: everything that tells two lines of a lane apart, the kind first."""
    return SEPARATOR.join((kind, item, location, lot, status, owner, to_location, to_status, operation, reason))


def places_of(key: str) -> list[tuple[str, int]]:
    """The stock places that a sum moves, each with its sign."""
    kind, *where, _, _ = key.split(SEPARATOR)
    return stock.touched(kind, *where)


def units_of(item: Item) -> ItemUnits:
    return ItemUnits(item.item, item.unit, item.alternatives)


def add(lane: Lane, key: str, item: Item, amount: Decimal, unit: str) -> None:
    """Sum a reported amount, negative to take it back. Nothing is decided yet."""
    line = lane.sums.get(key)
    if line is None:
        line = lane.sums[key] = Cumulative(item.unit, {})
    tally.add(line.reported, amount, unit)
    lane.open[key] = None


def total_in(amounts: tally.Tally, unit: str, item: Item) -> Decimal | Fraction:
    """A tally in one unit, exactly; a plain decimal when nothing needs converting, which is the common and the fast case."""
    if len(amounts) == 1:
        only = amounts.get(unit)
        if only is not None:
            return only
    return tally.total(amounts, unit, units_of(item)) if amounts else Decimal(0)


def content(
    view: View, lane_name: str, cut: Cut, kind: PostingKind, lines: tuple[Line, ...],
    operation: str = "", labour: int = 0, machine: int = 0, reverses: str = "",
) -> Posting:  # fmt: skip
    """A new posting under its own key, on the day of the cut or the day that the policy for closed periods says."""
    cut.ordinal += 1
    effective, original = periods.book_on(view, cut.effective)
    return Posting(
        key_of(view.stem_at(cut.position), cut.position, "correction" if cut.original else kind, cut.ordinal),
        kind,
        view.partition,
        lane_name,
        effective,
        lane_name[6:] if lane_name.startswith("order:") else "",
        operation,
        lines,
        reverses,
        "",
        labour,
        machine,
        original,
    )


def enter(
    view: View, lane_name: str, lane: Lane, cut: Cut, content: Posting, *, before: PostingId | None = None, turn: int = 0,
    insist: bool = False, asks: Question | None = None,
) -> PostingRow:  # fmt: skip
    """The posting is decided: it stands in its lane and in the ledgers, and is sent when it is its turn. `before` puts it before another
    one of its lane, whose turn or an earlier one it then has; `insist` lets it wait for no stock, since a person wants it sent; `asks`
    says what a person is asked before it is sent."""
    policy = view.policy
    view.whole(lane)
    row = PostingRow(
        cut.position,
        cut.ordinal,
        content.key,
        content.kind,
        "waiting",
        policy.target,
        lane_name,
        content.order,
        cut.group,
        cut.facts,
        _encode(content),
        cut.decided,
        turn=turn or view.position,
        previous=lane.last,
    )
    id_ = lane.last = (cut.position, cut.ordinal)
    changes = view.effects[id_] = stock.effects_of(view, content)
    view.put_posting(row, content)
    if stock.expect(view, changes, 1) and not insist and content.kind is not _REVERSAL:
        _await_stock(view, row, changes)
    lanes.enqueue(lane, id_, cut.group, cut.facts, before)
    if asks is not None:
        lanes.ask(view, lane, row, asks)
    elif policy.closed_period != "first open day" and periods.closed(view, content.effective):
        _await_period(view, lane, row, content.effective)
    lanes.promote(view, lane)
    return row


def rebook(
    view: View, lane_name: str, lane: Lane, cut: Cut, content: Posting, *, before: PostingId | None = None, turn: int = 0,
    insist: bool = False, asks: Question | None = None,
) -> None:  # fmt: skip
    """`enter` a posting that is not cut from the lane's sums but stands for one that was: it is the newest that holds its lines."""
    row = enter(view, lane_name, lane, cut, content, before=before, turn=turn, insist=insist, asks=asks)
    for line in content.lines:
        total = lane.sums.get(key_of_line(content.kind, line))
        if total is not None:
            total.last = (row.position, row.ordinal)


def _await_stock(view: View, row: PostingRow, changes: list[Effect]) -> None:
    """Let the posting wait for what its outflows need and the books do not cover."""
    waits = stock.must_wait(view, (row.position, row.ordinal), changes)
    if waits:
        row.waits_for = HOLDS.join([stock.hold(key) for key in waits])
        agenda.remind(view, view.clock().now + view.policy.stock_patience_minutes * MINUTE, f"{PATIENCE}{row.key}")


def _await_period(view: View, lane: Lane, row: PostingRow, day: date) -> None:
    """The posting is of a closed period: it waits until that opens, or a person decides."""
    if view.policy.closed_period == "ask":
        lanes.ask(view, lane, row, periods.question(row, day))
    else:
        row.waits_for = HOLDS.join([*filter(None, (row.waits_for,)), periods.remembered(view, day, (row.position, row.ordinal))])


def key_of_line(kind: PostingKind, line: Line) -> str:
    return line_key(
        kind, line.item, line.location, line.lot, line.status, line.owner, line.to_location, line.to_status, line.operation, line.reason
    )


def complete(view: View, order: Order, cut: Cut) -> bool:
    """Tell ERP that the order is complete, once, behind everything else of it; False where the policy does not want that."""
    if not view.policy.completions:
        return False
    order.completion = True
    name = "order:" + order.order
    enter(view, name, order.lane, cut, content(view, name, cut, PostingKind.COMPLETION, ()))
    return True


def lose_patience(view: View, key: str) -> None:
    """The posting has waited for stock long enough: it is sent, unless what it waits for is on its way. Two that wait for what stands
    behind the other would wait for ever, so even then patience is not renewed without end."""
    id_ = id_of(key)
    row = view.posting(id_)
    if row is None or row.state != "waiting":
        return
    lane = view.lane(row.lane)
    behind = lane.queue[lane.queue.index(id_) + 1 :]
    patience = max(1, view.policy.stock_patience_minutes) * MINUTE
    changes = stock.effects(view, id_)
    if stock.hopeless(view, id_, changes, behind) or view.clock().now - row.decided >= RENEWALS * patience:
        stock.leave(view, id_, changes)
        for place, _, _ in changes:
            lanes.let_go(view, id_, stock.hold(place))
        lanes.serve(view, changes)
    elif row.waits_for:
        agenda.remind(view, view.clock().now + patience, f"{PATIENCE}{key}")
