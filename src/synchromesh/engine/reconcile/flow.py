"""What stands between the reported ledger and ERP's books, by place: gathered, decided and on its way, stuck."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.split import Cause, Part, Perhaps, Pile, Piles, shown
from synchromesh.model import tally
from synchromesh.model.posting import Category, PostingKind
from synchromesh.plant.entities import Lane, Order
from synchromesh.plant.keys import id_of
from synchromesh.plant.lanes import open_in
from synchromesh.plant.postings import BACKFLUSH, line_key, places_of
from synchromesh.plant.rows import PostingRow
from synchromesh.plant.stock import place

PART_OF: Final = {
    "waiting": Part.IN_FLIGHT,
    "ready": Part.IN_FLIGHT,
    "accepted": Part.IN_FLIGHT,
    "parked": Part.IN_FLIGHT,
    "rejected": Part.FAILED,
    "in doubt": Part.FAILED,
    "reversed outside": Part.FAILED,
}
"""To which part a posting in a state belongs while it is not booked."""

PERHAPS: Final = frozenset({"ready", "accepted", "parked", "in doubt"})
"""States of postings that the other side may have booked already."""


class Flow:
    """Built once a run. `certain` and `perhaps` are what ERP's books lack, as it counts in (theirs less reported); `planned` is what the
    shop floor has used and the reported ledger will say when its gather closes."""

    def __init__(self) -> None:
        self.certain: dict[str, Piles] = {}
        self.perhaps: dict[str, list[Perhaps]] = {}
        self.planned: dict[str, Pile] = {}

    def pile(self, key: str, part: Part) -> Pile:
        """The pile of one part at a place, made if there is none."""
        piles = self.certain.setdefault(key, {})
        if part not in piles:
            piles[part] = Pile()
        return piles[part]


def read(books: OwnBooks) -> Flow:
    """Everything that stands in lanes, and what the exceptions say beyond it."""
    flow = Flow()
    for name, lane, order in books.lanes():
        _undecided(books, flow, name, lane)
        for id_ in open_in(lane, books.posting):
            row = books.posting(id_)
            if row is not None:
                _posting(books, flow, row)
        if order is not None and BACKFLUSH in lane.open:
            _planned(books, flow, order)
    for exception in books.exceptions():
        row = books.posting(id_of(exception.posting)) if exception.posting else None
        if row is not None and row.state == "reversed outside" and not row.successor:
            _posting(books, flow, row)
        elif row is not None and exception.category == Category.DUPLICATE:
            _twice(books, flow, row, exception.subject)
    return flow


def _undecided(books: OwnBooks, flow: Flow, name: str, lane: Lane) -> None:
    for key, left in books.undecided(lane):
        state = f"{lane.gather.facts} fact(s) gathered" if lane.gather is not None else "carried to the next posting"
        position = lane.gather.position if lane.gather is not None else 0
        for where, sign in places_of(key):
            cause = Cause("gather" if lane.gather is not None else "rest", name, shown(-sign * left), state, position)
            flow.pile(where, Part.IN_FLIGHT).add(cause, -sign * left)


def cause_of(row: PostingRow, amount: Fraction) -> Cause:
    """A posting that would move so much, as what the other books lack."""
    state = f"{row.state}: {row.waits_for}" if row.waits_for else row.state
    return Cause("posting", row.key, shown(-amount), state, row.position)


def _posting(books: OwnBooks, flow: Flow, row: PostingRow) -> None:
    part = PART_OF.get(row.state)
    if part is None:
        return
    for where, amount, _ in books.moves(row):
        cause = cause_of(row, Fraction(amount))
        if row.state in PERHAPS:
            flow.perhaps.setdefault(where, []).append(Perhaps(part, cause))
        else:
            flow.pile(where, part).add(cause)


def _twice(books: OwnBooks, flow: Flow, row: PostingRow, subject: str) -> None:
    """ERP booked a posting a second time, or one that was given up; somebody is asked to cancel that, and may have."""
    for where, amount, _ in books.moves(row):
        cause = Cause("document", subject.removeprefix("document "), amount, "booked twice", row.position)
        flow.perhaps.setdefault(where, []).append(Perhaps(Part.FAILED, cause))


def _planned(books: OwnBooks, flow: Flow, order: Order) -> None:
    """Components that are backflushed when the order's gather closes are out of stock already."""
    units = books.units(order.item)
    if units is None or not order.amount:
        return
    done = tally.total(order.made, order.unit, units) / Fraction(order.amount)
    for component in order.components:
        item = books.item(component.item)
        own = books.units(component.item)
        if not component.backflush or item is None or own is None:
            continue
        known = order.lane.sums.get(line_key(PostingKind.ISSUE, component.item, component.location, reason=BACKFLUSH))
        before = tally.total(known.reported, item.unit, own) if known is not None else Fraction(0)
        used = tally.total({component.unit: component.amount}, item.unit, own) * done - before
        if used:
            pile = flow.planned.setdefault(place(component.item, component.location), Pile())
            pile.add(Cause("gather", "order:" + order.order, shown(-used), "components to be backflushed"), -used)
