"""Facts that a snapshot of stock and the reported ledger count differently: those after its moment, and those that are not folded yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.engine.reconcile import effects
from synchromesh.engine.reconcile.books import OwnBooks, told
from synchromesh.engine.reconcile.split import Cause, Part, Pile, Piles, shown
from synchromesh.model.event import CanonicalEvent, FactCancelled, FactCorrected
from synchromesh.model.unit import MissingConversion
from synchromesh.plant.corrections import CANCELLED, CORRECTED
from synchromesh.plant.entities import Order
from synchromesh.plant.fates import Fate
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import FactRow
from synchromesh.plant.stock import SEPARATOR

SLACK: Final = 3_600_000_000
"""How much earlier than it happened a fact may be received, in microseconds: clocks differ."""

OURS: Final = "synchromesh"
"""The source of corrections that people approved: they are about what was counted, and no movement."""


class LateFact(msgspec.Struct):
    """What one fact moves at one place, when it happened, and whether the reported ledger has it."""

    at: int
    amount: Fraction
    row: FactRow
    applied: bool
    part: Part


class LateFacts:
    """By place, the facts since `until` (microseconds) and those that wait or are refused."""

    def __init__(self, books: OwnBooks, until: int) -> None:
        self._books = books
        self._policy: Policy = books.policy()
        self._orders: dict[str, Order | None] = {}
        self._at: dict[str, list[LateFact]] = defaultdict(list)
        for row in books.facts_back(until - SLACK):
            if when(row) > until and _applied(row):
                self._note(row, self._now(row), True, Part.LATE)
        for row in books.waiting():
            self._note(row, told(row), False, Part.LATE)
        for exception in books.exceptions():
            refused = None if exception.posting or exception.ordinal else books.reading.fact(books.plant, exception.position)
            if refused is not None and refused.fate == Fate.EXCEPTION:
                self._note(refused, told(refused), False, Part.FAILED)

    def piles(self, places: Collection[str], as_of: int) -> Piles:
        """The parts at these places of what a snapshot of `as_of` says, less what is reported."""
        piles: Piles = {}
        for key in places:
            for fact in self._at.get(key, ()):
                if (fact.at > as_of) is fact.applied:
                    amount = -fact.amount if fact.applied else fact.amount
                    if fact.part not in piles:
                        piles[fact.part] = Pile()
                    piles[fact.part].add(_cause(fact, amount), amount)
        return piles

    def _note(self, row: FactRow, events: tuple[CanonicalEvent, ...], applied: bool, part: Part) -> None:
        for event in events:
            if isinstance(event, FactCancelled) or (isinstance(event, FactCorrected) and applied):
                continue
            for key, amount, unit in effects.of_event(event, self._order(row.order), self._policy):
                exact = self._exact(key, Fraction(amount), unit)
                if exact:
                    self._at[key].append(LateFact(when(row), exact, row, applied, part))

    def _now(self, row: FactRow) -> tuple[CanonicalEvent, ...]:
        """What the fact says now: as it was told, or as it was corrected."""
        if row.reference.startswith(CANCELLED) or row.source.startswith(OURS):
            return ()
        if row.reference.startswith(CORRECTED):
            correction = self._books.reading.fact(self._books.plant, int(row.reference.removeprefix(CORRECTED)))
            events = told(correction) if correction is not None else ()
            return tuple(each.event for each in events if isinstance(each, FactCorrected))
        return told(row)

    def _exact(self, key: str, amount: Fraction, unit: str) -> Fraction:
        units = self._books.units(key.split(SEPARATOR, maxsplit=1)[0])
        try:
            return amount if units is None else amount * units.factor(unit, units.base)
        except MissingConversion:
            return Fraction(0)

    def _order(self, name: str) -> Order | None:
        if name and name not in self._orders:
            if len(self._orders) > 10_000:
                self._orders.clear()
            self._orders[name] = self._books.one(Order, "order", name)
        return self._orders.get(name)


def when(row: FactRow) -> int:
    """When the fact happened, as far as it is known."""
    return row.occurred or row.received


def _applied(row: FactRow) -> bool:
    """Whether the reported ledger counts the fact."""
    return row.fate in (Fate.BOOKED, Fate.RECORDED) or (row.fate == Fate.DISMISSED and bool(row.group))


def _cause(fact: LateFact, amount: Fraction) -> Cause:
    row = fact.row
    state = "after the snapshot" if fact.applied else f"{row.fate} {row.reference}".strip()
    return Cause("fact", f"{row.source}/{row.id}", shown(amount), state, row.position)
