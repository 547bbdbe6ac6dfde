"""Postings: how what is open in a lane becomes documents, each once, in order.

Lines are cut from cumulative sums: a posting's amount is the rounded total less what was decided before (law 7), so that arrival
order changes how documents are cut and never what the books say in the end. A total that has gone down (a correction, a
cancellation) takes back: as a difference where the business system books one, else as a reversal and a rebooking.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.model import tally
from synchromesh.model.posting import Category, Line, Posting, PostingKind
from synchromesh.model.quantity import EXACT, Quantity
from synchromesh.model.rounding import to_posting
from synchromesh.model.unit import ItemUnits
from synchromesh.plant import agenda, exceptions, lanes, periods, stock
from synchromesh.plant.entities import Cumulative, Item, Lane, Order
from synchromesh.plant.keys import id_of, key_of
from synchromesh.plant.lanes import HOLDS
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode

SEQUENCE: Final = {kind: rank for rank, kind in enumerate(
    (PostingKind.ISSUE, PostingKind.CONFIRMATION, PostingKind.SCRAP, PostingKind.RECEIPT, PostingKind.TRANSFER,
     PostingKind.ADJUSTMENT, PostingKind.COMPLETION, PostingKind.REVERSAL)
)}  # fmt: skip
"""The order of documents that are decided together (design, section 5: sequence)."""

BACKFLUSH: Final = "backflush"
"""What `Lane.open` holds when output changed and components are issued in proportion to it."""


PATIENCE: Final = "patience:"
"""What the agenda is reminded of when a posting begins to wait for stock; its key follows."""

MINUTE: Final = 60_000_000


class Cut(msgspec.Struct):
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


def decide(view: View, lane_name: str, lane: Lane, cut: Cut) -> int:
    """Cut postings for everything open in the lane; how many were made. Nothing may be left to make: the rest is carried."""
    wanted: dict[tuple[int, str], list[Line]] = {}
    taken: dict[PostingKind, list[tuple[str, Line]]] = {}
    for key in list(lane.open):
        if key == BACKFLUSH:
            _backflush(view, lane_name, lane)
    for key in lane.open:
        if key != BACKFLUSH:
            _sort_line(view, lane, key, wanted, taken)
    lane.open = {}
    made = 0
    lanes.hold(lane, cut.group, cut.facts)
    for kind in sorted(taken, key=SEQUENCE.__getitem__) if taken else ():
        made += _take_back(view, lane_name, lane, cut, kind, taken[kind])
    for (rank, operation), lines in sorted(wanted.items(), key=_rank) if len(wanted) > 1 else wanted.items():
        kind = _KINDS[rank]
        labour, machine = _seconds(lane, operation) if kind is PostingKind.CONFIRMATION else (0, 0)
        content = _content(view, lane_name, cut, kind, tuple(lines), operation, labour, machine)
        enter(view, lane_name, lane, cut, content)
        made += 1
    for operation in list(lane.confirmed):
        labour, machine = _seconds(lane, operation)
        if labour or machine:
            enter(view, lane_name, lane, cut, _content(view, lane_name, cut, PostingKind.CONFIRMATION, (), operation, labour, machine))
            made += 1
    lane.confirmed = {}
    lanes.let_end(view, lane, cut.group, made)
    return made


def _rank(entry: tuple[tuple[int, str], list[Line]]) -> tuple[int, str]:
    return entry[0]


_BY_NAME: Final = {str(kind): kind for kind in PostingKind}  # a look is a third of what asking the enumeration costs
_KINDS: Final = {rank: kind for kind, rank in SEQUENCE.items()}


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
        content = Line(item_name, Quantity(-amount, line.unit), to_location, lot, to_status, owner, location, status, operation, reason)
    else:
        content = Line(item_name, Quantity(amount, line.unit), location, lot, status, owner, to_location, to_status, operation, reason)
    if amount < 0 and kind not in (PostingKind.TRANSFER, PostingKind.ADJUSTMENT):
        taken.setdefault(kind, []).append((key, content))
        return
    line.decided = EXACT.add(line.decided, amount)
    wanted.setdefault((SEQUENCE[kind], operation if kind is PostingKind.CONFIRMATION else ""), []).append(content)


def _backflush(view: View, lane_name: str, lane: Lane) -> None:
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


def _seconds(lane: Lane, operation: str) -> tuple[int, int]:
    """Work times of an operation that no confirmation carries yet; they count as decided from now on."""
    times = lane.seconds.get(operation)
    if times is None:
        return 0, 0
    labour, machine = times[0] - times[2], times[1] - times[3]
    lane.seconds[operation] = [times[0], times[1], times[0], times[1]]
    lane.confirmed.pop(operation, None)
    return labour, machine


def _content(
    view: View, lane_name: str, cut: Cut, kind: PostingKind, lines: tuple[Line, ...],
    operation: str = "", labour: int = 0, machine: int = 0, reverses: str = "",
) -> Posting:  # fmt: skip
    cut.ordinal += 1
    effective, original = periods.book_on(view, cut.effective)
    return Posting(
        key=key_of(view.partition, cut.position, "correction" if cut.original else kind, cut.ordinal),
        kind=kind,
        plant=view.partition,
        lane=lane_name,
        effective=effective,
        order=lane_name[6:] if lane_name.startswith("order:") else "",
        operation=operation,
        lines=lines,
        reverses=reverses,
        labour_seconds=labour,
        machine_seconds=machine,
        original=original,
    )


def enter(
    view: View, lane_name: str, lane: Lane, cut: Cut, content: Posting, *, before: PostingId | None = None, turn: int = 0,
    insist: bool = False,
) -> PostingRow:  # fmt: skip
    """The posting is decided: it stands in its lane and in the ledgers, and is sent when it is its turn. `before` puts it before another
    one of its lane, whose turn or an earlier one it then has; `insist` lets it wait for no stock, since a person wants it sent."""
    id_ = id_of(content.key)
    row = PostingRow(
        position=id_[0],
        ordinal=id_[1],
        key=content.key,
        kind=content.kind,
        state="waiting",
        target=view.policy.target,
        lane=lane_name,
        order=content.order,
        group=cut.group,
        facts=cut.facts,
        content=_encode(content),
        decided=cut.decided,
        turn=turn or view.position,
    )
    _note_last(lane, content, id_)
    view.put_posting(row, content)
    changes = stock.effects(view, id_)
    stock.expect(view, changes, 1)
    waits = [] if insist or content.kind is PostingKind.REVERSAL else stock.must_wait(view, id_, changes)
    if waits:
        agenda.remind(view, view.clock().now + view.policy.stock_patience_minutes * MINUTE, f"{PATIENCE}{content.key}")
    row.waits_for = HOLDS.join([stock.hold(key) for key in waits] + periods.holds(view, content.effective, id_))
    lanes.enqueue(lane, id_, cut.group, cut.facts, before)
    if periods.asks(view, content.effective):
        _refuse_period(view, lane, row)
    lanes.promote(view, lane)
    return row


def _refuse_period(view: View, lane: Lane, row: PostingRow) -> None:
    """The policy wants a person to decide about facts of closed periods: as if ERP had refused, without asking it."""
    row.state, row.waits_for = "rejected", ""
    lanes.stick(view, lane, row)
    exceptions.open_for(view, row, Category.CLOSED_PERIOD, *periods.question(row))


def _note_last(lane: Lane, content: Posting, id_: PostingId) -> None:
    if content.kind is PostingKind.REVERSAL:
        return
    for line in content.lines:
        total = lane.sums.get(key_of_line(content.kind, line))
        if total is not None:
            total.last = id_


def key_of_line(kind: PostingKind, line: Line) -> str:
    return line_key(
        kind, line.item, line.location, line.lot, line.status, line.owner, line.to_location, line.to_status, line.operation, line.reason
    )


# --- taking back -------------------------------------------------------------------------------------------------------


def _take_back(view: View, lane_name: str, lane: Lane, cut: Cut, kind: PostingKind, lines: list[tuple[str, Line]]) -> int:
    """Book less: as one difference where ERP books one, else by undoing documents and rebooking what remains of them."""
    if view.policy.differences:
        for key, line in lines:
            lane.sums[key].decided = EXACT.add(lane.sums[key].decided, line.quantity.amount)
        enter(view, lane_name, lane, cut, _content(view, lane_name, cut, kind, tuple(line for _, line in lines)))
        return 1
    made = 0
    for key, line in lines:
        made += _undo(view, lane_name, lane, cut, kind, key, -line.quantity.amount)
    return made


def _undo(view: View, lane_name: str, lane: Lane, cut: Cut, kind: PostingKind, key: str, excess: Decimal) -> int:
    """Undo live postings that hold this line until `excess` is gone, and rebook the rest of each."""
    made = 0
    for id_ in _holders(view, lane, cut, kind, key):
        content = view.content(id_)
        held = sum((line.quantity.amount for line in content.lines if key_of_line(kind, line) == key), Decimal(0))
        if held <= 0:
            continue
        less = min(held, excess)
        made += _replace(view, lane_name, lane, cut, id_, key, less)
        lane.sums[key].decided = EXACT.subtract(lane.sums[key].decided, less)
        excess = EXACT.subtract(excess, less)
        if excess <= 0:
            return made
    lane.open[key] = None  # what no document holds alone is carried: the next report is booked for so much less
    return made


def _holders(view: View, lane: Lane, cut: Cut, kind: PostingKind, key: str) -> Iterable[PostingId]:
    """Live postings that hold the line: those of the corrected fact first, then the newest of the lane."""
    seen: set[PostingId] = set()
    for candidate in (*_caused(view, cut.original), lane.sums[key].last):
        row = view.posting(candidate) if candidate[0] else None
        if row is None:
            continue
        while row is not None and row.successor:
            row = view.posting(id_of(row.successor))
        if row is None or row.kind != kind or (row.position, row.ordinal) in seen:
            continue
        if row.state in ("waiting", "ready", "posted", "parked", "in doubt", "rejected", "reversed outside"):
            seen.add((row.position, row.ordinal))
            yield row.position, row.ordinal


def _caused(view: View, position: int) -> Iterable[PostingId]:
    """The postings that a message caused, in their order; nothing for position 0."""
    ordinal = 1
    while position and view.posting((position, ordinal)) is not None:
        yield position, ordinal
        ordinal += 1


def _replace(view: View, lane_name: str, lane: Lane, cut: Cut, id_: PostingId, key: str, less: Decimal) -> int:
    """Undo one posting and book it again with one line smaller; nothing is booked again when nothing remains."""
    old = view.content(id_)
    rest = []
    for line in old.lines:
        amount = line.quantity.amount
        if less and key_of_line(old.kind, line) == key:
            amount, less = EXACT.subtract(amount, less), Decimal(0)
        if amount:
            rest.append(msgspec.structs.replace(line, quantity=Quantity(amount, line.quantity.unit)))
    row = view.posting(id_)
    assert row is not None, "what is undone exists"
    # What was never booked is given up only when its successor stands in the lane, so that their group does not end in between.
    unbooked = row.state in UNBOOKED
    made = 0 if unbooked else undo(view, lane_name, lane, cut, id_)
    if rest:
        again = _content(view, lane_name, cut, old.kind, tuple(rest), old.operation, old.labour_seconds, old.machine_seconds)
        row.successor = again.key
        enter(view, lane_name, lane, cut, msgspec.structs.replace(again, effective=old.effective, original=old.original))
        made += 1
    if unbooked:
        undo(view, lane_name, lane, cut, id_)
    view.put_posting(row)
    return made


UNBOOKED: Final = ("waiting", "rejected", "reversed outside")
"""States of a posting that certainly is not in the books and is not on its way there."""


def undo(view: View, lane_name: str, lane: Lane, cut: Cut, id_: PostingId) -> int:
    """Make a posting as if it had never been: withdrawn when it certainly was not booked, else reversed behind it in its lane."""
    row = view.posting(id_)
    assert row is not None, "what is undone exists"
    if row.state == "reversed outside":
        lanes.abandon(view, lane, row)
        return 0
    if row.state in UNBOOKED:
        lanes.withdraw(view, lane, row)
        exceptions.resolve_for(view, row)
        lanes.promote(view, lane)
        return 0
    lines = view.content(id_).lines
    enter(view, lane_name, lane, cut, _content(view, lane_name, cut, PostingKind.REVERSAL, lines, reverses=row.key))
    return 1


def complete(view: View, order: Order, cut: Cut) -> bool:
    """Tell ERP that the order is complete, once, behind everything else of it; False where the policy does not want that."""
    if not view.policy.completions:
        return False
    order.completion = True
    name = "order:" + order.order
    enter(view, name, order.lane, cut, _content(view, name, cut, PostingKind.COMPLETION, ()))
    return True


def lose_patience(view: View, key: str) -> None:
    """The posting has waited for stock long enough: it is sent, unless what it waits for is on its way."""
    id_ = id_of(key)
    row = view.posting(id_)
    if row is None or row.state != "waiting":
        return
    changes = stock.effects(view, id_)
    if stock.hopeless(view, id_, changes):
        stock.leave(view, id_, changes)
        for place, _, _ in changes:
            lanes.let_go(view, id_, stock.hold(place))
        lanes.serve(view, changes)
    elif row.waits_for:
        agenda.remind(view, view.clock().now + max(1, view.policy.stock_patience_minutes) * MINUTE, f"{PATIENCE}{key}")
