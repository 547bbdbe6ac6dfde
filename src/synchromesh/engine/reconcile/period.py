"""Before a period is closed: what of a plant must still be booked with a day in it, or be decided about. Nothing: it can be closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from synchromesh.engine.reconcile.books import OwnBooks, told
from synchromesh.engine.reconcile.flow import PART_OF
from synchromesh.engine.reconcile.late import when
from synchromesh.engine.reconcile.split import shown
from synchromesh.engine.reconcile.views import PeriodRow, PeriodView
from synchromesh.model import tally
from synchromesh.model.event import CanonicalEvent
from synchromesh.model.quantity import Quantity
from synchromesh.plant.entities import Lane
from synchromesh.plant.fates import Fate
from synchromesh.plant.fold import local_day
from synchromesh.plant.keys import id_of
from synchromesh.plant.lanes import open_in
from synchromesh.plant.rows import FactRow, PostingRow

REFERENCES: Final = 20
"""How many things a row names."""

_COUNTED: Final = ("good", "held", "scrap", "quantity")
"""The fields of events that say how much."""


class PeriodError(ValueError):
    """The period can't be meant. The text says why."""


class _Group(msgspec.Struct):
    count: int = 0
    first: str = ""
    amounts: tally.Tally = {}
    references: list[str] = []
    exceptions: list[str] = []

    def add(self, day: date, reference: str, amounts: tally.Tally, exception: str, count: int = 1) -> None:
        self.count += count
        self.first = min(self.first or day.isoformat(), day.isoformat())
        for unit, amount in amounts.items():
            tally.add(self.amounts, amount, unit)
        if len(self.references) < REFERENCES:
            self.references.append(reference)
        if exception and len(self.exceptions) < REFERENCES:
            self.exceptions.append(exception)


def parse(first: str, last: str) -> tuple[date, date]:
    """The days of a period, both in it. Raises `PeriodError`."""
    try:
        days = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise PeriodError(f"a period is told by two days such as 2026-03-01 and 2026-03-31, not {first[:40]!r} and {last[:40]!r}") from None
    if days[1] < days[0]:
        raise PeriodError(f"the period ends on {days[1]}, before it begins on {days[0]}; say its first day first")
    return days


def look(books: OwnBooks, first: date, last: date) -> PeriodView:
    """What must still be booked before this period can be closed. Raises `PeriodError`."""
    if last < first:
        raise PeriodError(f"the period ends on {last}, before it begins on {first}; say its first day first")
    groups = _Groups(first, last)
    reasons = {row.posting or str(row.position): row.sentence for row in books.exceptions()}
    _note_facts(books, groups, reasons)
    _note_gathers(books, groups)
    _note_postings(books, groups, reasons)
    rows = groups.rows()
    return PeriodView(books.plant, first.isoformat(), last.isoformat(), not rows, rows)


class _Groups:
    """What is found of one period, by sort, kind and state."""

    def __init__(self, first: date, last: date) -> None:
        self._first = first
        self._last = last
        self._all: dict[tuple[str, str, str], _Group] = {}

    def of(self, sort: str, kind: str, state: str) -> _Group:
        return self._all.setdefault((sort, kind, state), _Group())

    def have(self, day: date | None) -> bool:
        """Whether a day is in the period."""
        return day is not None and self._first <= day <= self._last

    def rows(self) -> tuple[PeriodRow, ...]:
        return tuple(
            PeriodRow(*key, group.count, group.first, group.amounts, tuple(group.references), tuple(group.exceptions))
            for key, group in sorted(self._all.items())
        )


def _note_facts(books: OwnBooks, groups: _Groups, reasons: dict[str, str]) -> None:
    zone = books.policy().zone
    for row, state in _facts(books):
        day = local_day(zone, when(row))
        if groups.have(day):
            group = groups.of("fact", row.type or "not understood", state)
            group.add(day, f"{row.source}/{row.id}", _told_amounts(row), reasons.get(str(row.position), ""))


def _note_gathers(books: OwnBooks, groups: _Groups) -> None:
    for name, lane, _ in books.lanes():
        if lane.gather is not None and groups.have(day := date.fromisoformat(lane.gather.effective)):
            groups.of("gather", "open gather", "gathered").add(day, name, _left(books, lane), "", lane.gather.facts)


def _note_postings(books: OwnBooks, groups: _Groups, reasons: dict[str, str]) -> None:
    """Postings count by the day that they are to be booked on, and by the fact's own where that is another."""
    for row in _postings(books):
        content = books.content(row)
        day = next((each for each in (content.effective, content.original) if groups.have(each)), None)
        if day is not None:
            amounts = _sums(line.quantity for line in content.lines)
            groups.of("posting", row.kind, row.state).add(day, row.key, amounts, reasons.get(row.key, ""))


def _facts(books: OwnBooks) -> Iterator[tuple[FactRow, str]]:
    """Facts that wait, and those that a person must look at."""
    for row in books.waiting():
        yield row, "waiting"
    for exception in books.exceptions():
        found = None if exception.posting or exception.ordinal else books.reading.fact(books.plant, exception.position)
        if found is not None and found.fate == Fate.EXCEPTION:
            yield found, "exception"


def _left(books: OwnBooks, lane: Lane) -> tally.Tally:
    """What a gather would book."""
    sums: dict[str, Fraction] = {}
    for key, left in books.undecided(lane):
        unit = lane.sums[key].unit
        sums[unit] = sums.get(unit, Fraction(0)) + left
    return {unit: shown(amount) for unit, amount in sums.items()}


def _postings(books: OwnBooks) -> Iterator[PostingRow]:
    """Postings without a good end: those in their lanes, and those that were cancelled outside."""
    for _, lane, _ in books.lanes():
        for id_ in open_in(lane, books.posting):
            row = books.posting(id_)
            if row is not None and row.state in PART_OF:
                yield row
    for exception in books.exceptions():
        found = books.posting(id_of(exception.posting)) if exception.posting else None
        if found is not None and found.state == "reversed outside" and not found.successor:
            yield found


def _told_amounts(row: FactRow) -> tally.Tally:
    return _sums(quantity for event in told(row) for quantity in _quantities(event))


def _quantities(event: CanonicalEvent) -> Iterator[Quantity]:
    for field in _COUNTED:
        value = getattr(event, field, None)
        if isinstance(value, Quantity):
            yield value


def _sums(quantities: Iterator[Quantity]) -> tally.Tally:
    sums: dict[str, Decimal] = {}
    for quantity in quantities:
        tally.add(sums, quantity.amount, quantity.unit)
    return sums
