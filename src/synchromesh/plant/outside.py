"""What documents of others have moved, kept as sums: by place and by order, so that a reconciliation need not read them all."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.model import tally
from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.model.unit import MissingConversion
from synchromesh.plant import stock
from synchromesh.plant.entities import Outside, OutsideTotals
from synchromesh.plant.postings import units_of
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.view import Effect, View

_lines: Final = msgspec.json.Decoder(tuple[Line, ...]).decode


def effects(view: View, kind: PostingKind, lines: tuple[Line, ...]) -> list[Effect]:
    """What a document of others does to balances, in the items' own units."""
    return [effect for line in lines for effect in stock.moves(kind, _in_own_unit(view, line))]


def _in_own_unit(view: View, line: Line) -> Line:
    """The line as ERP books it. What can't be told exactly in the item's unit stays as it was told."""
    item = view.item(line.item)
    if item is None or item.unit == line.quantity.unit:
        return line
    try:
        amount = tally.total({line.quantity.unit: line.quantity.amount}, item.unit, units_of(item))
        return line_of(line, Quantity(tally.finite(amount), item.unit))
    except (MissingConversion, ArithmeticError, ValueError):
        return line


def line_of(line: Line, quantity: Quantity) -> Line:
    """The same line with another quantity."""
    return Line(
        line.item, quantity, line.location, line.lot, line.status, line.owner, line.to_location, line.to_status, line.operation, line.reason
    )


def count(view: View, changes: list[Effect], sign: int) -> None:
    """Sum what a document of others moved, or with `sign` -1 what its cancellation moved back."""
    for key, amount, _ in changes:
        view.balance(key).outside += amount if sign > 0 else -amount


def key_of(kind: str, item: str, unit: str) -> str:
    """Under which name a sum of an order is kept."""
    return SEPARATOR.join((kind, item, unit))


def count_for_order(view: View, number: str, document: Outside, lines: tuple[Line, ...], sign: int) -> None:
    """Sum what a document of others booked for its order, known or not."""
    totals = view.made(OutsideTotals, "outside.order", document.order)
    for line in lines:
        own = _in_own_unit(view, line)
        tally.add(totals.sums, own.quantity.amount * sign, key_of(document.kind, own.item, own.quantity.unit))
    kept = tuple(other for other in totals.documents if other != number)
    totals.documents = (*kept, number) if sign > 0 else kept
    if not totals.documents:
        view.drop("outside.order", document.order)


def lookalikes(view: View, content: Posting) -> list[str]:
    """Documents of others that look like this posting: of the same order and kind, with the same items and quantities, and on its day or
    later where ERP tells days: people book by hand what was refused when they see it, and a posting whose period was closed meanwhile had
    a later day for a while. Whoever sends it again may book it twice."""
    totals = view.of(OutsideTotals, "outside.order", content.order) if content.order else None
    since = min(day.isoformat() for day in (content.effective, content.original) if day is not None)
    wanted = _amounts(view, content.lines)
    found = []
    for number in totals.documents if totals is not None and wanted else ():
        document = view.of(Outside, "outside", number)
        same_kind = document is not None and document.kind == content.kind and (not document.day or document.day >= since)
        if document is not None and same_kind and _amounts(view, _lines(document.lines)) == wanted:
            found.append(number)
    return found


def _amounts(view: View, lines: tuple[Line, ...]) -> dict[tuple[str, str], Decimal]:
    """What lines move in all, by item and unit."""
    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        own = _in_own_unit(view, line).quantity
        sums[line.item, own.unit] = sums.get((line.item, own.unit), Decimal(0)) + own.amount
    return sums
