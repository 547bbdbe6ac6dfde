"""Repair: a refused posting is sent again, a refused fact is told again, or both are given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from synchromesh.model.posting import Category, PostingKind
from synchromesh.plant import corrections, exceptions, lanes, periods, stock, takeback, waiting
from synchromesh.plant.entities import Lane
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import AGAIN, id_of, key_of
from synchromesh.plant.postings import Cut, rebook
from synchromesh.plant.rows import FactRow, PostingId, PostingRow
from synchromesh.plant.view import View

Retell = Callable[[View, FactRow], None]
"""Folds a fact again as if it were told now."""


def again(view: View, row: PostingRow, last: bool = False) -> None:
    """The same content under a new key (law 3), and on another day when its own was closed: in the place of one that is known to be
    unbooked, or as the `last` of its lane."""
    ordinal = view.next_ordinal()
    lane = view.lane(row.lane)
    old = view.content((row.position, row.ordinal))
    effective, original = periods.book_on(view, old.original or old.effective)
    key = key_of(view.stem, view.position, AGAIN, ordinal)
    new = msgspec.structs.replace(old, key=key, effective=effective, original=original)
    cut = Cut(view.position, ordinal, row.group, row.facts, old.original or old.effective, view.clock().now)
    if row.state == "reversed outside":
        # What was decided since may build on what was cancelled, so the rebooking goes before it.
        rebook(view, row.lane, lane, cut, new, before=lanes.decided_after(view, lane, row.turn), turn=row.turn, insist=True)
        lanes.finish(view, lane, row)
    else:
        stock.expect(view, stock.effects(view, (row.position, row.ordinal)), -1)
        before, turn = _end_of(view, lane) if last else ((row.position, row.ordinal), row.turn)
        rebook(view, row.lane, lane, cut, new, before=before, turn=turn, insist=True)
        lanes.finish(view, lane, row)
        row.state = "withdrawn"
    row.successor, row.settled = new.key, view.clock().now
    view.put_posting(row)
    exceptions.resolve_for(view, row)
    lanes.promote(view, lane)


def _end_of(view: View, lane: Lane) -> tuple[PostingId | None, int]:
    """Where the lane ends for what shall go last: before the order's completion, whose turn it then has, else behind everything."""
    for id_ in lane.queue:
        row = view.posting(id_)
        if row is not None and row.kind == PostingKind.COMPLETION:
            return id_, row.turn
    return None, view.position


def may_go_again(row: PostingRow) -> bool:
    """Whether a posting is known to be unbooked, and nothing stands in its place yet."""
    return row.state in ("rejected", "reversed outside") and not row.successor


def tell_again(view: View, id_: PostingId, by: str, retell: Retell) -> bool:
    """A refused fact is told again as it was, if its canonical events are known. One that came again with other content is none: which of
    the two is right, nobody can say by trying."""
    fact, known = view.fact(id_[0]), view.exception(id_)
    if fact is None or known is None or known.state != "open" or fact.fate != Fate.EXCEPTION or not fact.type:
        return False
    if known.category == Category.DUPLICATE or not corrections.understood(fact):
        return False
    exceptions.note(view, id_, by, "told it again")
    view.count(Fate.EXCEPTION, -1)
    exceptions.close(view, id_)
    retell(view, fact)
    return True


def dismiss(view: View, fact: FactRow, why: str) -> bool:
    """The fact shall not be booked: what was refused of it is given up, and with it the facts that it would have booked. False when there
    is nothing to give up."""
    if fact.fate in (Fate.WAITING, Fate.EXCEPTION):
        if fact.fate == Fate.WAITING:
            waiting.dismissed(view, fact)
        view.move(Fate(fact.fate), Fate.DISMISSED, 1)
        fact.fate, fact.reference = Fate.DISMISSED, why
        view.put_fact(fact)
        exceptions.close(view, (fact.position, 0), "dismissed")
        return True
    return bool(fact.group) and _dismiss_group(view, fact, why)


def _dismiss_group(view: View, fact: FactRow, why: str) -> bool:
    """The refused postings of the fact's group are given up; the facts that they would have booked are dismissed with them. With a
    refused reversal goes what was to be booked in place of its original, which stands as it is then."""
    cut = list(_cut_for(view, fact.group))
    standing = [lanes.standing(view, row) for row in cut]
    refused = [row for row in standing if row.state in ("rejected", "reversed outside") and not row.successor]
    if not refused:
        open_ones = view.totals().exceptions
        for row in (*cut, *standing):
            exceptions.resolve_for(view, row, "dismissed")
        return view.totals().exceptions < open_ones
    given_up = [*refused, *(other for row in refused if row.kind == PostingKind.REVERSAL for other in _rebooked(view, row))]
    for group in dict.fromkeys(row.group for row in given_up):
        _dismiss_facts(view, fact if group == fact.group else view.fact(group), why)
    # From behind, so that nothing is sent that stands behind what is given up before it.
    for row in reversed(given_up):
        _give_up(view, row)
    return True


def _rebooked(view: View, reversal: PostingRow) -> list[PostingRow]:
    """What stands in the place of the original that a reversal names, which from now on stands for itself again."""
    original = view.posting(id_of(view.content((reversal.position, reversal.ordinal)).reverses))
    assert original is not None, "a reversal names a posting that exists"
    original = lanes.standing(view, original)
    newest = takeback.newest_of(view, original)
    original.successor = ""
    view.put_posting(original)
    return [newest] if newest is not original and newest.state in takeback.STANDING else []


def _dismiss_facts(view: View, fact: FactRow | None, why: str) -> None:
    """All facts of the same group are dismissed, whether they were counted as booked already or not."""
    assert fact is not None, "a group is named after a fact"
    facts = list(_facts(view, fact))
    names = dict.fromkeys(row.lane for row in _cut_for(view, fact.group))
    open_ones = sum(lanes.dismiss(view, view.lane(name), fact.group) for name in names)
    view.move(Fate.BOOKED, Fate.DISMISSED, max(len(facts) - open_ones, 0))
    for each in facts:
        each.fate, each.reference = Fate.DISMISSED, why
        view.put_fact(each)


def _give_up(view: View, row: PostingRow) -> None:
    """The posting is given up; one that is booked, or perhaps is, is taken back."""
    lane = view.lane(row.lane)
    stock.leave_unbooked(view, (row.position, row.ordinal))
    if row.state == "reversed outside":
        lanes.abandon(view, lane, row)
    elif row.state in ("rejected", "waiting"):
        lanes.withdraw(view, lane, row)
    else:
        old = view.content((row.position, row.ordinal))
        cut = Cut(view.position, view.next_ordinal() - 1, row.group, 0, old.original or old.effective, view.clock().now)
        takeback.reverse(view, row.lane, lane, cut, row)
    exceptions.resolve_for(view, row, "dismissed")
    lanes.promote(view, lane)


def _cut_for(view: View, group: int) -> Iterator[PostingRow]:
    """The postings that were cut for a group, in their order."""
    return (row for row in takeback.caused(view, group) if row.group == group)


def _facts(view: View, fact: FactRow) -> Iterator[FactRow]:
    """The facts of the same group, along their order's chain."""
    order = view.order(fact.order) if fact.order else None
    row = view.fact(order.last_fact) if order is not None else fact
    while row is not None:
        if row.group == fact.group and row.fate == Fate.BOOKED:
            yield row
        row = view.fact(row.previous) if row.previous else None
