"""From the rows of a report to what is kept of it: differences by name, each in a sentence, and the corrections of stock they propose.

What was counted is right before what was booked: where a snapshot speaks of a place, ERP is to say what it says; elsewhere ERP is to say
what the plant reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.split import unexplained
from synchromesh.engine.reconcile.views import OrderRow, Report, StateRow, StockRow
from synchromesh.model.event import Difference, Proposal
from synchromesh.model.quantity import EXACT, QuantityError, check_amount, plain
from synchromesh.model.rounding import rounded
from synchromesh.plant.reconciling import in_words
from synchromesh.plant.stock import SEPARATOR, named, place


def key_of(row: StockRow | Proposal) -> str:
    """The place that a row or a proposal is about."""
    return place(row.item, row.location, row.lot, row.status, row.owner)


def stock_name(row: StockRow) -> str:
    """The same in every run that finds this difference."""
    return f"{row.system}{SEPARATOR}{key_of(row)}"


def order_name(row: OrderRow) -> str:
    """The same in every run that finds this difference."""
    return SEPARATOR.join((row.order, row.kind, row.item))


def propose(books: OwnBooks, rows: Sequence[StockRow], erp: str) -> list[StockRow]:
    """The rows, each that has a proposal with its words."""
    proposals = {stock_name(row): proposal for row, proposal in _proposals(books, rows, erp)}
    return [
        msgspec.structs.replace(row, proposal=in_words(proposals[stock_name(row)])) if stock_name(row) in proposals else row for row in rows
    ]


def _proposals(books: OwnBooks, rows: Sequence[StockRow], erp: str) -> Iterator[tuple[StockRow, Proposal]]:
    """One proposal a place, with ERP's row where there is one, else with the first other one."""
    if books.policy().booking == "record":
        return
    by_place: dict[str, list[StockRow]] = {}
    for row in rows:
        if row.location:
            by_place.setdefault(key_of(row), []).append(row)
    for there in by_place.values():
        theirs = next((row for row in there if row.system == erp), None)
        counted = next((row for row in there if row.system != erp), None)
        proposal = _proposal(books, theirs, counted)
        if proposal is not None:
            yield next(row for row in (theirs, counted) if row is not None and row.beyond), proposal


def _proposal(books: OwnBooks, theirs: StockRow | None, counted: StockRow | None) -> Proposal | None:
    """What would end the difference of a place; None while something is moving there, or nothing is beyond the tolerance."""
    both = [row for row in (theirs, counted) if row is not None]
    item = books.item(both[0].item)
    if item is None or not any(row.beyond for row in both) or not all(row.sure and row.seen == both[0].seen for row in both):
        return None
    booked = unexplained(theirs.parts) if theirs is not None else Decimal(0)
    reported = unexplained(counted.parts) if counted is not None else Decimal(0)
    adjust = EXACT.subtract(reported, booked)
    if rounded(adjust, item.decimals) != adjust:
        return None
    try:
        check_amount(adjust)
    except QuantityError:
        return None
    row = both[0]
    return Proposal(row.item, row.location, item.unit, adjust, reported, booked, row.seen, row.lot, row.status, row.owner)


def differences(books: OwnBooks, report: Report) -> tuple[Difference, ...]:
    """What of a report is kept: what nothing explains, beyond the tolerance."""
    proposals = {stock_name(row): proposal for row, proposal in _proposals(books, report.stock, _erp_of(books))}
    found = [Difference(stock_name(row), _of_stock(row), unexplained(row.parts), row.unit, proposals.get(stock_name(row)))
             for row in report.stock if row.beyond]  # fmt: skip
    found += [Difference(order_name(row), _of_order(row), unexplained(row.parts), row.unit) for row in report.orders if row.beyond]
    found += [Difference(row.about, _of_state(row)) for row in report.states if not row.explained]
    return tuple(found)


def _erp_of(books: OwnBooks) -> str:
    return books.policy().target


def _of_stock(row: StockRow) -> str:
    left = plain(unexplained(row.parts))
    has = f"{row.system} has {plain(row.theirs)} {row.unit} of {named(key_of(row))}"
    return f"{has}, the plant reported {plain(row.reported)}: {left} unexplained."


def _of_order(row: OrderRow) -> str:
    theirs = row.erp if row.erp is not None else EXACT.add(row.posted, row.outside)
    left = plain(unexplained(row.parts))
    says = f"Order {row.order}: {row.kind} of {row.item} is {plain(theirs)} {row.unit} in ERP"
    return f"{says} and {plain(row.reported)} reported: {left} unexplained."


def _of_state(row: StateRow) -> str:
    return row.sentence
