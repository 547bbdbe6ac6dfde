"""Documents that others booked or cancelled in a business system and that the plant has not folded yet: what they have perhaps moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from synchromesh.engine.reconcile import effects
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.split import Cause, Part, Perhaps, shown
from synchromesh.model.event import DocumentBooked, DocumentCancelled
from synchromesh.model.posting import Line
from synchromesh.model.quantity import EXACT
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.entities import Outside
from synchromesh.plant.stock import SEPARATOR

News = DocumentBooked | DocumentCancelled


class Moved(msgspec.Struct, frozen=True):
    """What one such document did: its lines, once more or (`sign` -1) undone."""

    document: str
    kind: str
    order: str
    lines: tuple[Line, ...]
    sign: int

    @property
    def words(self) -> str:
        return "not heard of yet" if self.sign > 0 else "cancelled just now"


def moved(books: OwnBooks, news: Sequence[News]) -> list[Moved]:
    """What the news mean, without those that the plant knows already."""
    return [each for event in dict.fromkeys(news) for each in _moved(books, event)]


def _moved(books: OwnBooks, event: News) -> Iterator[Moved]:
    outside = books.one(Outside, "outside", event.document)
    ours = [row for plant, row in books.reading.document(event.document) if plant == books.plant]
    if isinstance(event, DocumentBooked):
        if outside is None and not ours:
            yield Moved(event.document, event.kind, event.order, event.lines, 1)
    elif outside is not None:
        kind, lines = books.lines_of(outside)
        yield Moved(event.document, kind, outside.order, lines, -1)
    for row in ours if isinstance(event, DocumentCancelled) else ():
        content = books.content(row)
        if row.state == "posted" and row.document == event.document:
            yield Moved(event.document, content.kind, content.order, content.lines, -1)


def by_place(books: OwnBooks, found: Sequence[Moved]) -> dict[str, list[Perhaps]]:
    """The same by place of stock."""
    places: dict[str, list[Perhaps]] = defaultdict(list)
    for each in found:
        for key, amount, unit in effects.of_lines(each.kind, each.lines, each.sign):
            exact = _exact(books, key.partition(SEPARATOR)[0], amount, unit)
            places[key].append(Perhaps(Part.LATE, Cause("document", each.document, exact, each.words)))
    return places


def by_order(books: OwnBooks, found: Sequence[Moved]) -> dict[tuple[str, str, str], list[Perhaps]]:
    """The same by order, kind and item."""
    orders: dict[tuple[str, str, str], list[Perhaps]] = defaultdict(list)
    for each in found:
        for line in each.lines if each.order else ():
            exact = EXACT.multiply(_exact(books, line.item, line.quantity.amount, line.quantity.unit), each.sign)
            orders[each.order, each.kind, line.item].append(Perhaps(Part.LATE, Cause("document", each.document, exact, each.words)))
    return orders


def _exact(books: OwnBooks, item: str, amount: Decimal, unit: str) -> Decimal:
    units = books.units(item)
    try:
        return amount if units is None else shown(Fraction(amount) * units.factor(unit, units.base))
    except MissingConversion:
        return amount
