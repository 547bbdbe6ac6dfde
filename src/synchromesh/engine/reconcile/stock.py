"""Stock by place: ERP's books and snapshots of the plant's systems against the plant's own two ledgers, every difference with its parts.

ERP is asked once for everything; places where something is left unexplained are then asked again, with the own ledgers read before and
after, because books move while they are read.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance as Told
from synchromesh.engine.reconcile import flow, places, unheard
from synchromesh.engine.reconcile.ask import System
from synchromesh.engine.reconcile.best import Best
from synchromesh.engine.reconcile.books import OwnBooks
from synchromesh.engine.reconcile.flow import Flow
from synchromesh.engine.reconcile.late import LateFacts
from synchromesh.engine.reconcile.places import Scopes, Spot, Spots
from synchromesh.engine.reconcile.split import Cause, Part, Perhaps, Pile, Piles, Share, Tolerance, shown, split, unexplained
from synchromesh.engine.reconcile.views import StockRow
from synchromesh.model.instant import moment
from synchromesh.model.quantity import EXACT
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.entities import Balance, SnapshotLine, SnapshotScope
from synchromesh.plant.policy import Policy
from synchromesh.plant.reconciling import standing_of
from synchromesh.plant.stock import SEPARATOR, place

READINGS: Final = 3
"""How often a place is asked again while its books move."""

AGAIN: Final = 250
"""How many items are asked again together."""

SUSPECTS: Final = 1_000
"""How many items are asked again at the most: when more differ, it is not because they move."""

STALE: Final = 7 * 86_400_000_000
"""A snapshot that is older, in microseconds, is not compared: too much has happened since."""


class Sights(msgspec.Struct):
    """What a run compares with: the plant's flow and late facts, the snapshots' scopes, the policy, and other plants on the same books."""

    flow: Flow
    late: LateFacts | None
    scopes: Scopes
    policy: Policy
    others: Sequence[OwnBooks] = ()
    erp: str = ""
    unheard: dict[str, list[Perhaps]] = {}


class Item(msgspec.Struct):
    """All that is known of one item: own balances, what ERP told and what snapshots said, by place."""

    name: str
    own: dict[str, Balance] = {}
    told: dict[str, Told] = {}
    lines: dict[tuple[str, str], SnapshotLine] = {}


def tolerance_of(policy: Policy) -> Tolerance:
    return Tolerance(Decimal(policy.tolerance_absolute), Decimal(policy.tolerance_percent))


def key_of(told: Told) -> str:
    return place(told.item, told.location, told.lot, told.status, told.owner)


# --- reading --------------------------------------------------------------------------------------------------------------


def items_of(books: OwnBooks, told: Mapping[str, Told]) -> Iterator[Item]:
    """Item by item, whatever is known of each, from all sides. Places of other plants, of which ERP's first reading spoke too, are none of
    this plant's."""
    reach = Reach(books)

    def own() -> Iterator[tuple[str, int, str, object]]:
        for name, balance in books.each(Balance, "stock"):
            if reach.has(name.split(SEPARATOR)[1]):
                yield name.partition(SEPARATOR)[0], 0, name, balance

    def theirs() -> Iterator[tuple[str, int, str, object]]:
        for name in sorted(told):
            yield name.partition(SEPARATOR)[0], 1, name, told[name]

    def seen() -> Iterator[tuple[str, int, str, object]]:
        for name, line in books.each(SnapshotLine, "snapshot.line"):
            yield name.partition(SEPARATOR)[0], 2, name, line

    for name, rows in groupby(heapq.merge(own(), theirs(), seen(), key=lambda row: row[:3]), key=lambda row: row[0]):
        item = Item(name)
        for _, _, key, value in rows:
            if isinstance(value, Balance):
                item.own[key] = value
            elif isinstance(value, Told):
                item.told[key] = value
            elif isinstance(value, SnapshotLine):
                where, _, system = key.rpartition(SEPARATOR)
                item.lines[where, system] = value
        yield item


class Reach:
    """Which locations a plant knows: its own, and those that belong to no plant."""

    def __init__(self, books: OwnBooks) -> None:
        self._books = books
        self._known: dict[str, bool] = {"": True}

    def has(self, location: str) -> bool:
        if location not in self._known:
            self._known[location] = self._books.has("location", location)
        return self._known[location]


def in_reach(books: OwnBooks, told: Sequence[Told]) -> dict[str, Told]:
    """What ERP told, without the places of other plants."""
    reach = Reach(books)
    return {key_of(each): each for each in told if reach.has(each.location)}


# --- comparing ------------------------------------------------------------------------------------------------------------


class Comparison:
    """One pass over the items: counts, the most important rows, and the items that should be asked again."""

    def __init__(self, books: OwnBooks, sights: Sights, best: Best[StockRow]) -> None:
        self._books = books
        self._sights = sights
        self._tolerance = tolerance_of(sights.policy)
        self._stale = books.now() - STALE
        self.best = best
        self.compared = self.different = self.beyond = 0
        self.problems: list[str] = []

    def add(self, rows: Sequence[StockRow], compared: int) -> None:
        """Count the rows of one item that are final."""
        self.compared += compared
        for row in rows:
            self.different += 1
            self.beyond += row.beyond
            self.best.add(row, (row.beyond, abs(unexplained(row.parts)), abs(row.difference)))

    def rows(self, item: Item, moving: Collection[str] = ()) -> tuple[list[StockRow], int]:
        """Where the sides of an item differ, and how many places were compared. Places in `moving` changed while they were read."""
        known = self._books.item(item.name)
        if known is None:
            self.problems.append(f"item {item.name} is not known to the plant")
            return [], 0
        if self._sights.erp and not known.observed:
            self.problems.append(f"ERP's stock of item {item.name} was never read, so its ledger has no beginning")
            return [], 0
        units = self._books.units(item.name)
        assert units is not None, "a known item has units"
        try:
            spots = self._spots(item, Spots(units, item.own))
        except MissingConversion as error:
            self.problems.append(str(error))
            return [], 0
        pairs = [(spot, system) for spot in spots.all.values() for system in spot.sides]
        rows = [row for spot, system in pairs if (row := self._row(spot, system, units.base, moving)) is not None]
        return [msgspec.structs.replace(row, seen=_standing(item, row)) for row in rows], len(pairs)

    def _spots(self, item: Item, spots: Spots) -> Spots:
        erp = self._sights.erp
        if erp:
            for key, told in item.told.items():
                spots.at(key).add_side(erp, told.quantity.amount, told.quantity.unit, spots.units)
            for spot in spots.all.values():
                if erp not in spot.sides:
                    spot.add_side(erp, Decimal(0), spots.units.base, spots.units)
        places.snapshot_of(spots, item.name, item.lines, self._sights.scopes, item.own)
        return spots

    def _row(self, spot: Spot, system: str, unit: str, moving: Collection[str]) -> StockRow | None:
        side = spot.sides[system]
        is_erp = system == self._sights.erp
        if not is_erp and side.as_of < self._stale:
            return None
        own = places.plus(spot.reported, self._elsewhere(spot)) if self._sights.others else spot.reported
        certain, perhaps = self._of_erp(spot) if is_erp else (self._of_snapshot(spot, side.as_of), [])
        if own == side.amount and not certain and not perhaps:
            return None  # the common case, and nothing else is to be said of it
        reported, theirs = shown(own), shown(side.amount)
        difference = EXACT.subtract(theirs, reported)
        shares = split(difference, certain, perhaps)
        if is_erp and unexplained(shares) and any(key in moving for key in spot.keys):
            shares = still_moving(shares)
        if not difference and not unexplained(shares):
            return None
        item, location, lot, status, owner = spot.key.split(SEPARATOR)
        return StockRow(
            system, item, location, unit, theirs, reported, shown(spot.booked), difference, shares, lot, status, owner,
            beyond=self._tolerance.exceeded(unexplained(shares), theirs, reported),
            sure=not (perhaps and unexplained(shares)) and not any(key in moving for key in spot.keys),
            as_of=moment(side.as_of) if side.as_of else None,
        )  # fmt: skip

    def _of_erp(self, spot: Spot) -> tuple[Piles, list[Perhaps]]:
        """What ERP's books lack and have beyond the reported ledger, by what is known. Where ERP books by itself its documents are no
        explanation but what is compared."""
        piles: Piles = {}
        perhaps: list[Perhaps] = []
        for key in dict.fromkeys((spot.key, *spot.keys)):
            for part, pile in self._sights.flow.certain.get(key, {}).items():
                merge(piles, part, pile)
            perhaps += self._sights.flow.perhaps.get(key, [])
            perhaps += self._sights.unheard.get(key, [])
        if self._sights.policy.booking == "post":
            self._decided_otherwise(spot, piles)
        return piles, perhaps

    def _decided_otherwise(self, spot: Spot, piles: Piles) -> None:
        for balance in spot.balances:
            if balance.outside:
                merge(piles, Part.OUTSIDE, Pile(Fraction(balance.outside)))
            if balance.unbooked:
                causes = [flow.cause_of(row, Fraction(0)) for id_ in balance.dismissed if (row := self._books.posting(id_)) is not None]
                merge(piles, Part.UNBOOKED, Pile(-Fraction(balance.unbooked), causes, len(causes)))

    def _of_snapshot(self, spot: Spot, as_of: int) -> Piles:
        """What a count of `as_of` has beyond the reported ledger, by what is known."""
        keys = dict.fromkeys((spot.key, *spot.keys))
        piles = self._sights.late.piles(keys, as_of) if self._sights.late is not None else {}
        for key in keys:
            if key in self._sights.flow.planned:
                merge(piles, Part.IN_FLIGHT, self._sights.flow.planned[key])
        return piles

    def _elsewhere(self, spot: Spot) -> Fraction:
        """What other plants have booked at the same place of the same books."""
        total = Fraction(0)
        for other in self._sights.others:
            for balance in other.some(Balance, "stock", spot.keys).values():
                total += Fraction(balance.booked - balance.opening - balance.outside)
        return total


def _standing(item: Item, row: StockRow) -> str:
    return standing_of(item.own.get(place(row.item, row.location, row.lot, row.status, row.owner)))


def merge(piles: Piles, part: Part, pile: Pile) -> None:
    """Put one pile on top of another."""
    known = piles.get(part)
    if known is None:
        piles[part] = Pile(pile.amount, list(pile.causes), pile.count)
    else:
        piles[part] = Pile(known.amount + pile.amount, [*known.causes, *pile.causes], known.count + pile.count)


def still_moving(shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """The books moved each time they were read: what is left is on its way."""
    left = unexplained(shares)
    found = Share(Part.IN_FLIGHT, left, (Cause("posting", "", left, "the books moved while they were read"),))
    rest = [share for share in shares[:-1] if share.part is not Part.IN_FLIGHT]
    before = next((share for share in shares if share.part is Part.IN_FLIGHT), None)
    if before is not None:
        amount = EXACT.add(before.amount, left)
        found = Share(Part.IN_FLIGHT, amount, (*before.causes, *found.causes), before.more)
    return (found, *rest, Share(Part.UNEXPLAINED, Decimal(0)))


# --- a run ----------------------------------------------------------------------------------------------------------------

Progress = Callable[[str, int], None]
"""Told what is being done, and how many things of it are done."""


async def compare(
    books: OwnBooks, system: System | None, others: Sequence[OwnBooks], best: Best[StockRow], progress: Progress
) -> Comparison:
    """Compare all stock of a plant. Raises `ConnectorError` when ERP can't be asked."""
    policy = books.policy()
    told = in_reach(books, await system.stock()) if system is not None else {}
    progress("stock in ERP", len(told))
    scopes = Scopes(books.each(SnapshotScope, "snapshot.scope"))
    oldest = books.oldest_snapshot(STALE)
    facts = LateFacts(books, oldest) if oldest else None
    sights = Sights(flow.read(books), facts, scopes, policy, others, system.name if system is not None else "")
    comparison = Comparison(books, sights, best)
    suspects: list[str] = []
    for count, item in enumerate(items_of(books, told), start=1):
        rows, compared = comparison.rows(item)
        asked_again = any(row.system == sights.erp and unexplained(row.parts) for row in rows)
        if system is not None and asked_again and len(suspects) < SUSPECTS:
            suspects.append(item.name)
        else:
            comparison.add(rows, compared)
        progress("items", count)
    if system is not None:
        for first in range(0, len(suspects), AGAIN):
            await _ask_again(books, system, comparison, sights, suspects[first : first + AGAIN])
    return comparison


async def _ask_again(books: OwnBooks, system: System, comparison: Comparison, sights: Sights, names: list[str]) -> None:
    """Read these items' books once more, with the own ledgers before and after, until what is left does not come from their moving."""
    for reading in range(1, READINGS + 1):
        before = {name: own_of(books, name) for name in names}
        told = in_reach(books, await system.stock(names))
        sights.unheard = unheard.by_place(books, unheard.moved(books, await system.unheard(books.plant)))
        sights.flow = flow.read(books)
        rest = []
        for name in names:
            item = books_of_item(books, name, told)
            moving = {key for key in {*before[name], *item.own} if before[name].get(key) != item.own.get(key)}
            rows, compared = comparison.rows(item, moving if reading == READINGS else ())
            if reading < READINGS and moving and any(row.system == sights.erp and unexplained(row.parts) for row in rows):
                rest.append(name)
            else:
                comparison.add(rows, compared)
        names = rest
        if not names:
            return


def own_of(books: OwnBooks, name: str) -> dict[str, Balance]:
    """The balances of one item now."""
    prefix = name + SEPARATOR
    reach = Reach(books)
    found = {}
    for key, balance in books.each(Balance, "stock", prefix):
        if not key.startswith(prefix):
            break
        if reach.has(key.split(SEPARATOR)[1]):
            found[key] = balance
    return found


def books_of_item(books: OwnBooks, name: str, told: Mapping[str, Told]) -> Item:
    """One item from all sides, as it is now."""
    prefix = name + SEPARATOR
    item = Item(name, own_of(books, name), {key: value for key, value in told.items() if key.startswith(prefix)})
    for key, line in books.each(SnapshotLine, "snapshot.line", prefix):
        if not key.startswith(prefix):
            break
        where, _, system = key.rpartition(SEPARATOR)
        item.lines[where, system] = line
    return item
