"""Taking back: a total went down, because a fact was corrected or cancelled. The books follow with one difference where the business
system books one, else by undoing documents and rebooking what remains of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec

from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant import exceptions, lanes, periods, tolerance
from synchromesh.plant.entities import Lane
from synchromesh.plant.keys import id_of
from synchromesh.plant.postings import ORDINALS, Cut, content, enter, key_of_line, rebook
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import View

UNBOOKED: Final = ("waiting", "rejected", "reversed outside")
"""States of a posting that certainly is not in the books and is not on its way there."""

STANDING: Final = frozenset({"ready", "posted", "accepted", "parked", "in doubt", *UNBOOKED})
"""States of a posting that books something, or will."""


def take_back(view: View, lane_name: str, lane: Lane, cut: Cut, kind: PostingKind, lines: list[tuple[str, Line]]) -> int:
    """Book less: first of what a person was asked about, then as one difference where ERP books one, else by undoing documents and
    rebooking what remains of them."""
    made = 0
    left: list[tuple[str, Line]] = []
    for key, line in lines:
        rows: Iterable[PostingRow] = reversed(tolerance.beyond(view, lane)) if kind is PostingKind.RECEIPT else ()
        if not view.policy.differences:
            rows = chain(rows, _standing(view, lane_name, cut, kind, lane.sums[key].last))
        again, excess = _undo(view, lane_name, lane, cut, rows, key, -line.quantity.amount)
        made += again
        if excess and view.policy.differences:
            left.append((key, msgspec.structs.replace(line, quantity=Quantity(-excess, line.quantity.unit))))
        elif excess:
            lane.open[key] = None  # what no document holds any more is carried: the next report is booked for so much less
    return made + _difference(view, lane_name, lane, cut, kind, left)


def _difference(view: View, lane_name: str, lane: Lane, cut: Cut, kind: PostingKind, lines: list[tuple[str, Line]]) -> int:
    """One document with negative lines; one an operation for confirmations, which are of one operation each."""
    by_operation: dict[str, list[Line]] = {}
    for key, line in lines:
        lane.sums[key].decided += line.quantity.amount
        by_operation.setdefault(line.operation if kind is PostingKind.CONFIRMATION else "", []).append(line)
    for operation, less in by_operation.items():
        labour, machine = seconds_due(view, lane, operation) if operation else (0, 0)
        rebook(view, lane_name, lane, cut, content(view, lane_name, cut, kind, tuple(less), operation, labour, machine))
    return len(by_operation)


def _undo(view: View, lane_name: str, lane: Lane, cut: Cut, rows: Iterable[PostingRow], key: str, excess: Decimal) -> tuple[int, Decimal]:
    """Undo those of the postings that hold this line until `excess` is gone, and rebook the rest of each: how many postings that made, and
    what is left of the excess."""
    made = 0
    for row in rows:
        if excess <= 0:
            break
        content = _content(view, row)
        held = sum((line.quantity.amount for line in content.lines if key_of_line(content.kind, line) == key), Decimal(0))
        if held <= 0:
            continue
        less = min(held, excess)
        lane.sums[key].decided -= less
        made += _replace(view, lane_name, lane, cut, row, key, less)
        excess -= less
    return made, excess


def _standing(view: View, lane_name: str, cut: Cut, kind: PostingKind, newest: PostingId) -> Iterator[PostingRow]:
    """Postings of a kind that stand in the lane: those of the corrected fact first, then back from the newest. One whose reversal is on
    its way stands no more."""
    seen = set(_to_be_reversed(view, view.lane(lane_name)))
    for candidate in (*caused(view, cut.original), *_back_from(view, newest)):
        row = newest_of(view, candidate)
        if row.kind == kind and row.lane == lane_name and row.key not in seen and row.state in STANDING:
            seen.add(row.key)
            yield row


def _to_be_reversed(view: View, lane: Lane) -> Iterator[str]:
    """The keys of postings that reversals in the lane's queue undo."""
    for id_ in lane.queue:
        row = view.posting(id_)
        original = view.posting(id_of(view.content(id_).reverses)) if row is not None and row.kind == PostingKind.REVERSAL else None
        if original is not None:
            yield lanes.standing(view, original).key


def newest_of(view: View, row: PostingRow) -> PostingRow:
    """What stands in this posting's place now, whichever fact it books: itself, or the end of its successors."""
    while row.successor:
        again = view.posting(id_of(row.successor))
        assert again is not None, "a successor exists"
        row = again
    return row


def _back_from(view: View, newest: PostingId) -> Iterator[PostingRow]:
    """The postings of a lane, from this one back to its first."""
    row = view.posting(newest) if newest[0] else None
    while row is not None:
        yield row
        row = view.posting(row.previous) if row.previous[0] else None


def caused(view: View, position: int) -> Iterator[PostingRow]:
    """The postings that a message caused, in their order; nothing for position 0. Gathers of several lanes leave gaps of `ORDINALS`."""
    ordinal = 1
    while position:
        row = view.posting((position, ordinal))
        if row is not None:
            yield row
            ordinal += 1
        elif ordinal % ORDINALS == 1:
            return
        else:
            ordinal = (ordinal // ORDINALS + 1) * ORDINALS + 1


def _content(view: View, row: PostingRow) -> Posting:
    return view.content((row.position, row.ordinal))


def _replace(view: View, lane_name: str, lane: Lane, cut: Cut, row: PostingRow, key: str, less: Decimal) -> int:
    """Undo one posting and book it again with one line smaller; nothing is booked again when nothing remains."""
    old = _content(view, row)
    rest = []
    for line in old.lines:
        amount = line.quantity.amount
        if less and key_of_line(old.kind, line) == key:
            amount, less = amount - less, Decimal(0)
        if amount:
            rest.append(msgspec.structs.replace(line, quantity=Quantity(amount, line.quantity.unit)))
    labour, machine = _retime(view, lane, old)
    # What was never booked is given up only when its successor stands in the lane, so that their group does not end in between.
    unbooked = row.state in UNBOOKED
    made = 0 if unbooked else reverse(view, lane_name, lane, cut, row)
    if rest or labour or machine:
        again = content(view, lane_name, cut, old.kind, tuple(rest), old.operation, labour, machine)
        row.successor = again.key
        effective, original = periods.book_on(view, old.original or old.effective)
        again = msgspec.structs.replace(again, effective=effective, original=original)
        rebook(view, lane_name, lane, cut, again, asks=tolerance.asked(view, row))
        made += 1
    if unbooked:
        _give_up(view, lane, row)
    view.put_posting(row)
    return made


def _give_up(view: View, lane: Lane, row: PostingRow) -> None:
    """The posting is not in the books and shall not be any more."""
    if row.state == "reversed outside":
        lanes.abandon(view, lane, row)
        return
    lanes.withdraw(view, lane, row)
    exceptions.resolve_for(view, row)
    lanes.promote(view, lane)


def reverse(view: View, lane_name: str, lane: Lane, cut: Cut, row: PostingRow) -> int:
    """The posting is in the books or on its way there: undo it, behind it in its lane."""
    lines = _content(view, row).lines
    enter(view, lane_name, lane, cut, content(view, lane_name, cut, PostingKind.REVERSAL, lines, reverses=row.key))
    return 1


# --- work times --------------------------------------------------------------------------------------------------------


def seconds_due(view: View, lane: Lane, operation: str) -> tuple[int, int]:
    """Labour and machine seconds of an operation that no confirmation carries yet; they count as decided from now on. Too many decided
    before are negative where differences are booked; else they stay for `take_back_times`."""
    times = lane.seconds.get(operation) if lane.seconds else None
    if lane.seconds is None or times is None:
        return 0, 0
    labour, machine = times[0] - times[2], times[1] - times[3]
    if not view.policy.differences:
        labour, machine = max(labour, 0), max(machine, 0)
    lane.seconds[operation] = [times[0], times[1], times[2] + labour, times[3] + machine]
    if times[:2] == lane.seconds[operation][2:]:
        lane.confirmed = tuple(other for other in lane.confirmed if other != operation)
    return labour, machine


def take_back_times(view: View, lane_name: str, lane: Lane, cut: Cut, operation: str) -> int:
    """Undo confirmations until no more seconds are decided than were reported, where no difference can be booked."""
    made = 0
    if view.policy.differences:
        return made
    for row in _standing(view, lane_name, cut, PostingKind.CONFIRMATION, lane.last):
        assert lane.seconds is not None, "times are due"
        labour, machine, labour_decided, machine_decided = lane.seconds[operation]
        if labour >= labour_decided and machine >= machine_decided:
            return made
        old = _content(view, row)
        if old.operation == operation and (old.labour_seconds or old.machine_seconds):
            made += _replace(view, lane_name, lane, cut, row, "", Decimal(0))
    return made


def _retime(view: View, lane: Lane, old: Posting) -> tuple[int, int]:
    """The work times of a posting are free again; those that its rebooking takes up, which are no more than are reported."""
    times = lane.seconds.get(old.operation) if lane.seconds else None
    if old.kind is not PostingKind.CONFIRMATION or times is None:
        return 0, 0
    times[2] -= old.labour_seconds
    times[3] -= old.machine_seconds
    return seconds_due(view, lane, old.operation)
