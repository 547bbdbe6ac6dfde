"""Orders: what the plant reported, what we posted, what others booked, and what ERP's books hold, per order and kind, order by order."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, islice
from typing import Final

import msgspec

from synchromesh.connectors.agreement import OrderTotal
from synchromesh.engine.reconcile.ask import System
from synchromesh.engine.reconcile.best import Best
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.flow import PART_OF, PERHAPS
from synchromesh.engine.reconcile.split import Cause, Part, Perhaps, Pile, Piles, Tolerance, shown, split, unexplained
from synchromesh.engine.reconcile.stock import READINGS, still_moving, tolerance_of
from synchromesh.engine.reconcile.unheard import by_order, moved
from synchromesh.engine.reconcile.views import OrderRow
from synchromesh.model import tally
from synchromesh.model.posting import Line, PostingKind
from synchromesh.model.quantity import EXACT
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.entities import Lane, Order, OutsideTotals
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import PostingRow
from synchromesh.plant.stock import SEPARATOR

KINDS: Final = frozenset({PostingKind.RECEIPT, PostingKind.SCRAP, PostingKind.ISSUE})
"""Kinds of quantities that are compared."""

ASKED: Final = 200
"""How many orders ERP is asked for at a time."""

SUSPECTS: Final = 5_000
"""How many orders are asked about again at the most."""

Key = tuple[str, str]
"""A kind and an item."""

Unheard = Mapping[tuple[str, str, str], list[Perhaps]]
"""What documents that are not folded yet have perhaps booked, by order, kind and item."""


class Sums(msgspec.Struct):
    """One kind and item of one order, in the item's unit: reported, decided, booked by others, in ERP."""

    unit: str
    reported: Fraction = Fraction(0)
    decided: Decimal = Decimal(0)
    outside: Decimal = Decimal(0)
    erp: Decimal | None = None


class OrderBooks(msgspec.Struct):
    """One order from all sides. `order` is None when the plant does not know it."""

    name: str
    order: Order | None
    outside: OutsideTotals | None
    sums: dict[Key, Sums] = {}


def orders_of(books: OwnBooks, strangers: bool) -> Iterator[OrderBooks]:
    """Order by order; with `strangers` also those that only documents of others name."""

    def known() -> Iterator[tuple[str, int, object]]:
        for name, order in books.each(Order, "order"):
            yield name, 0, order

    def named() -> Iterator[tuple[str, int, object]]:
        for name, totals in books.each(OutsideTotals, "outside.order"):
            yield name, 1, totals

    for name, rows in groupby(heapq.merge(known(), named(), key=lambda row: row[:2]), key=lambda row: row[0]):
        both = [row[2] for row in rows]
        order = next((each for each in both if isinstance(each, Order)), None)
        if order is not None or strangers:
            yield OrderBooks(name, order, next((each for each in both if isinstance(each, OutsideTotals)), None))


class Comparison:
    """One pass over the orders: counts and the most important rows."""

    def __init__(self, books: OwnBooks, best: Best[OrderRow]) -> None:
        self._books = books
        self._policy: Policy = books.policy()
        self._tolerance: Tolerance = tolerance_of(self._policy)
        self.best = best
        self.compared = self.different = self.beyond = 0
        self.problems: list[str] = []

    def page(
        self, page: Sequence[OrderBooks], erp: Iterable[OrderTotal] | None, unheard: Unheard
    ) -> Iterator[tuple[OrderBooks, list[OrderRow]]]:
        """Compare a page of orders with what ERP told of them; None when it can't tell. Each order with its rows, which are not counted."""
        theirs: dict[str, list[OrderTotal]] = defaultdict(list)
        for total in erp or ():
            theirs[total.order].append(total)
        for each in page:
            try:
                self._collect(each, theirs[each.name] if erp is not None else None)
            except MissingConversion as error:
                self.problems.append(f"order {each.name}: {error}")
                continue
            yield each, list(self._compare(each, unheard))

    def add(self, rows: Iterable[OrderRow]) -> None:
        """Count the rows of one order that are final."""
        self.compared += 1
        for row in rows:
            self.different += 1
            self.beyond += row.beyond
            self.best.add(row, (row.beyond, abs(unexplained(row.parts)), abs(row.difference)))

    # --- one order ----------------------------------------------------------------------------------------------------

    def _collect(self, each: OrderBooks, erp: list[OrderTotal] | None) -> None:
        if each.order is not None:
            for name, total in each.order.lane.sums.items():
                kind, item = name.split(SEPARATOR, 2)[:2]
                if kind in KINDS:
                    sums = each.sums.setdefault((kind, item), Sums(total.unit))
                    sums.reported += self._exact(total.reported, item, sums.unit)
                    sums.decided += total.decided
        for name, amount in each.outside.sums.items() if each.outside is not None else ():
            kind, item, unit = name.split(SEPARATOR)
            if kind in KINDS:
                sums = each.sums.setdefault((kind, item), Sums(self._unit(item, unit)))
                sums.outside += shown(self._exact({unit: amount}, item, sums.unit))
        for told in erp or ():
            unit = told.quantity.unit
            sums = each.sums.setdefault((told.kind, told.item), Sums(self._unit(told.item, unit)))
            sums.erp = (sums.erp or Decimal(0)) + shown(self._exact({unit: told.quantity.amount}, told.item, sums.unit))
        for sums in each.sums.values():
            sums.erp = Decimal(0) if sums.erp is None and erp is not None else sums.erp

    def _unit(self, item: str, told: str) -> str:
        known = self._books.item(item)
        return known.unit if known is not None else told

    def _exact(self, amounts: tally.Tally, item: str, unit: str) -> Fraction:
        if len(amounts) == 1 and unit in amounts:
            return Fraction(amounts[unit])
        return tally.total(amounts, unit, self._books.units(item))

    def _compare(self, each: OrderBooks, unheard: Unheard) -> Iterator[OrderRow]:
        chain: list[PostingRow] | None = None
        for key, sums in each.sums.items():
            settled = sums.erp == shown(sums.reported) and (not sums.outside or self._policy.booking == "record")
            if settled or (sums.erp is None and not _posts(each.order) and sums.outside == shown(sums.reported)):
                continue
            if chain is None:
                chain = list(self._books.chain(each.order.lane.last)) if each.order is not None else []
            row = self._row(each, key, sums, chain, unheard)
            if row is not None:
                yield row

    def _row(self, each: OrderBooks, key: Key, sums: Sums, chain: list[PostingRow], unheard: Unheard) -> OrderRow | None:
        """The difference of one kind of one order, with its parts; None where there is none."""
        posted, piles, perhaps = self._postings(key, chain)
        reported = shown(sums.reported)
        theirs = sums.erp if sums.erp is not None else EXACT.add(posted, sums.outside)
        difference = EXACT.subtract(theirs, reported)
        left = EXACT.subtract(reported, sums.decided)
        if left and each.order is not None:
            piles.setdefault(Part.IN_FLIGHT, Pile()).add(_not_decided(each.order.lane, each.name, left))
        if self._policy.booking == "post":
            self._decided_otherwise(each, sums, posted, piles, perhaps)
        perhaps += unheard.get((each.name, *key), [])
        shares = split(difference, piles, perhaps)
        if not difference and not unexplained(shares):
            return None
        beyond = self._tolerance.exceeded(unexplained(shares), theirs, reported)
        status = each.order.status if each.order is not None else "unknown"
        return OrderRow(
            each.name, key[0], key[1], sums.unit, reported, posted, shown(sums.outside), shown(difference), shares, sums.erp, status,
            beyond, sure=not (perhaps and unexplained(shares)),
        )  # fmt: skip

    def _postings(self, key: Key, chain: list[PostingRow]) -> tuple[Decimal, Piles, list[Perhaps]]:
        """What our postings of this kind and item have booked, what certainly is not booked of them, and what perhaps is not."""
        posted = Decimal(0)
        piles: Piles = {}
        perhaps: list[Perhaps] = []
        for row in chain:
            amount = self._amount(row, key)
            part = PART_OF.get(row.state)
            if not amount or (row.successor and row.state == "reversed outside"):
                continue
            if row.state == "posted" and row.kind != PostingKind.REVERSAL:
                posted = EXACT.add(posted, amount)
            elif part is not None:
                cause = Cause("posting", row.key, -amount, f"{row.state}: {row.waits_for}" if row.waits_for else row.state, row.position)
                if row.state in PERHAPS:
                    perhaps.append(Perhaps(part, cause))
                else:
                    piles.setdefault(part, Pile()).add(cause)
        return posted, piles, perhaps

    def _amount(self, row: PostingRow, key: Key) -> Decimal:
        """What a posting books of one kind and item; a reversal takes back its original's."""
        content = self._books.content(row)
        original = self._books.original(content)
        sign, content = (-1, original) if original is not None else (1, content)
        return sign * _sum_of(content.lines, key[1]) if content.kind == key[0] else Decimal(0)

    def _decided_otherwise(self, each: OrderBooks, sums: Sums, posted: Decimal, piles: Piles, perhaps: list[Perhaps]) -> None:
        """Documents of others; and what was decided to be booked and then not to be: what neither is in the books nor on its way."""
        if sums.outside:
            pile = piles.setdefault(Part.OUTSIDE, Pile(Fraction(sums.outside)))
            for number in each.outside.documents if each.outside is not None else ():
                pile.causes.append(Cause("document", number, Decimal(0)))
                pile.count += 1
            del pile.causes[20:]
        under_way = sum((pile.amount for part, pile in piles.items() if part in (Part.IN_FLIGHT, Part.FAILED)), Fraction(0))
        under_way += sum((Fraction(each.cause.amount) for each in perhaps), Fraction(0))
        undecided = Fraction(EXACT.subtract(shown(sums.reported), sums.decided))
        unbooked = Fraction(sums.decided) - Fraction(posted) + under_way + undecided
        if unbooked:
            piles[Part.UNBOOKED] = Pile(-unbooked)


def _sum_of(lines: Iterable[Line], item: str) -> Decimal:
    total = Decimal(0)
    for line in lines:
        total = EXACT.add(total, line.quantity.amount) if line.item == item else total
    return total


def _posts(order: Order | None) -> bool:
    """Whether anything of the order was ever posted."""
    return order is not None and bool(order.lane.last[0])


def _not_decided(lane: Lane, order: str, left: Decimal) -> Cause:
    if lane.gather is not None:
        return Cause("gather", f"order:{order}", -left, f"{lane.gather.facts} fact(s) gathered", lane.gather.position)
    return Cause("rest", f"order:{order}", -left, "carried to the next posting")


# --- a run ----------------------------------------------------------------------------------------------------------------


async def compare(
    books: OwnBooks, system: System | None, best: Best[OrderRow], progress: Callable[[str, int], None], *, strangers: bool
) -> Comparison:
    """Compare all orders of a plant, a page at a time. Raises `ConnectorError` when ERP can't be asked. Orders of which something is left
    unexplained are asked about again: they may have moved in between."""
    comparison = Comparison(books, best)
    asks = system if system is not None and system.tells_orders else None
    suspects: list[str] = []
    orders = orders_of(books, strangers)
    done = 0
    while page := list(islice(orders, ASKED)):
        told = await asks.order_totals([each.name for each in page]) if asks is not None else None
        for each, rows in comparison.page(page, told, {}):
            if asks is not None and len(suspects) < SUSPECTS and any(unexplained(row.parts) for row in rows):
                suspects.append(each.name)
            else:
                comparison.add(rows)
        done += len(page)
        progress("orders", done)
    if asks is not None:
        for first in range(0, len(suspects), ASKED):
            await _ask_again(books, asks, comparison, suspects[first : first + ASKED])
    return comparison


async def _ask_again(books: OwnBooks, system: System, comparison: Comparison, names: list[str]) -> None:
    """Read these orders' books once more, with the own ones before and after, until what is left does not come from their moving."""
    for reading in range(1, READINGS + 1):
        before = {name: _standing(books, name) for name in names}
        told = await system.order_totals(names)
        news = by_order(books, moved(books, await system.unheard(books.plant)))
        page = [_order_books(books, name) for name in names]
        names = []
        for each, rows in comparison.page(page, told, news):
            has_moved = before[each.name] != _standing(books, each.name)
            if has_moved and reading < READINGS and any(unexplained(row.parts) for row in rows):
                names.append(each.name)
            else:
                comparison.add([_still_moving(row) for row in rows] if has_moved else rows)
        if not names:
            return


def _still_moving(row: OrderRow) -> OrderRow:
    return msgspec.structs.replace(row, parts=still_moving(row.parts), beyond=False, sure=False) if unexplained(row.parts) else row


def _order_books(books: OwnBooks, name: str) -> OrderBooks:
    return OrderBooks(name, books.one(Order, "order", name), books.one(OutsideTotals, "outside.order", name))


def _standing(books: OwnBooks, name: str) -> object:
    """How an order's books stand: while it is the same nothing of it moved."""
    each = _order_books(books, name)
    chain = books.chain(each.order.lane.last) if each.order is not None else ()
    return each, [(row.key, row.state) for row in chain]
