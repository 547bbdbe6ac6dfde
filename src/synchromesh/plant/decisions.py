"""What people decide: send again, settle doubt, dismiss. A decision that no longer fits changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from synchromesh.model.event import DecisionEvent, DoubtSettled, FactDismissed, PostingRetried
from synchromesh.plant import exceptions, lanes, outcomes, stock, takeback, waiting
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of, key_of
from synchromesh.plant.postings import Cut, rebook
from synchromesh.plant.rows import FactRow, PostingRow
from synchromesh.plant.view import View


def decide(view: View, event: DecisionEvent) -> None:
    match event:
        case PostingRetried():
            row = _posting(view, event.posting)
            if row is not None and row.state in ("rejected", "reversed outside") and not row.successor:
                again(view, row)
        case DoubtSettled():
            row = _posting(view, event.posting)
            if row is not None and row.state == "in doubt":
                if event.document:
                    outcomes.book(view, row, event.document)
                else:
                    again(view, row)
        case FactDismissed():
            fact = view.fact(event.position)
            if fact is not None:
                _dismiss(view, fact, f"{event.by}: {event.reason}")


def _posting(view: View, key: str) -> PostingRow | None:
    try:
        row = view.posting(id_of(key))
    except ValueError:
        return None
    return row if row is not None and row.key == key else None


def again(view: View, row: PostingRow) -> None:
    """The same content under a new key, in the place of one that is known to be unbooked (law 3)."""
    lane = view.lane(row.lane)
    old = view.content((row.position, row.ordinal))
    new = msgspec.structs.replace(old, key=key_of(view.stem, view.position, "again", 1))
    cut = Cut(view.position, 1, row.group, row.facts, old.original or old.effective, view.clock().now)
    if row.state == "reversed outside":
        # What was decided since may build on what was cancelled, so the rebooking goes before it.
        rebook(view, row.lane, lane, cut, new, before=lanes.decided_after(view, lane, row.turn), turn=row.turn, insist=True)
        lanes.finish(view, lane, row)
    else:
        stock.expect(view, stock.effects(view, (row.position, row.ordinal)), -1)
        rebook(view, row.lane, lane, cut, new, before=(row.position, row.ordinal), turn=row.turn, insist=True)
        lanes.finish(view, lane, row)
        row.state = "withdrawn"
    row.successor, row.settled = new.key, view.clock().now
    view.put_posting(row)
    exceptions.resolve_for(view, row)
    lanes.promote(view, lane)


def _dismiss(view: View, fact: FactRow, why: str) -> None:
    if fact.fate in (Fate.WAITING, Fate.EXCEPTION):
        if fact.fate == Fate.WAITING:
            waiting.dismissed(view, fact)
        view.move(Fate(fact.fate), Fate.DISMISSED, 1)
        fact.fate, fact.reference = Fate.DISMISSED, why
        view.put_fact(fact)
        exceptions.close(view, (fact.position, 0), "dismissed")
    elif fact.group:
        _dismiss_group(view, fact, why)


def _dismiss_group(view: View, fact: FactRow, why: str) -> None:
    """The refused postings of the fact's group are given up; the facts that they would have booked are dismissed with them."""
    cut = list(_postings(view, fact.group))
    standing = [lanes.standing(view, row) for row in cut]
    refused = [row for row in standing if row.state in ("rejected", "reversed outside") and not row.successor]
    if not refused:
        for row in (*cut, *standing):
            exceptions.resolve_for(view, row, "dismissed")
        return
    lanes.dismiss(view, view.lane(refused[0].lane), refused[0])
    for row in refused:
        lane = view.lane(row.lane)
        if row.state == "rejected":
            lanes.withdraw(view, lane, row)
        else:
            lanes.finish(view, lane, row)
            row.state = "withdrawn"
            view.put_posting(row)
        exceptions.resolve_for(view, row, "dismissed")
        lanes.promote(view, lane)
    for each in _facts(view, fact):
        each.fate, each.reference = Fate.DISMISSED, why
        view.put_fact(each)


def _postings(view: View, group: int) -> Iterator[PostingRow]:
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
