"""The documents of others behind the rows of a report: looked for once, and only for the places that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from synchromesh.engine.reconcile import effects
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.places import without_location
from synchromesh.engine.reconcile.split import Cause, Part, Pile, Share, shown
from synchromesh.engine.reconcile.views import StockRow
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.stock import SEPARATOR, place


def name_documents(books: OwnBooks, rows: Sequence[StockRow]) -> list[StockRow]:
    """The rows, each with the documents that make up what was booked outside."""
    piles = {_place_of(row): Pile() for row in rows if any(share.part is Part.OUTSIDE for share in row.parts)}
    if not piles:
        return list(rows)
    for number in books.outside():
        for key, amount in _moves(books, number):
            pile = piles.get(key) or piles.get(without_location(key))
            if pile is not None:
                pile.add(Cause("document", number, shown(amount)))
    return [_with(row, piles[key]) if (key := _place_of(row)) in piles else row for row in rows]


def _place_of(row: StockRow) -> str:
    return place(row.item, row.location, row.lot, row.status, row.owner)


def _moves(books: OwnBooks, number: str) -> list[tuple[str, Fraction]]:
    document = books.outside_document(number)
    found = []
    for key, amount, unit in effects.of_lines(*document) if document is not None else ():
        units = books.units(key.split(SEPARATOR)[0])
        try:
            found.append((key, Fraction(amount) * units.factor(unit, units.base) if units is not None else Fraction(amount)))
        except MissingConversion:
            continue
    return found


def _with(row: StockRow, pile: Pile) -> StockRow:
    shares = [
        Share(share.part, share.amount, tuple(pile.causes), max(0, pile.count - len(pile.causes))) if share.part is Part.OUTSIDE else share
        for share in row.parts
    ]
    return msgspec.structs.replace(row, parts=tuple(shares))
