"""Simulated people: an operator who looks into ERP and repairs, and colleagues who book and cancel there by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.records import Document, HandBooking, HandCancel, Refused
from synchromesh.model.event import DecisionEvent, DoubtSettled, FactDismissed, PeriodChanged, PostingRetried, StockLine, amount
from synchromesh.model.posting import Category, Line, PostingKind
from synchromesh.plant.rows import ExceptionRow, PostingRow
from synchromesh.sim.catalogue import COMPONENTS, lots, site
from synchromesh.sim.chance import Chance

NAME = "operator"


class Operator:
    """Works through open exceptions. Facts that can't be helped are dismissed now and then, or left open."""

    def __init__(self, books: Books, chance: Chance, patience: timedelta) -> None:
        self._books = books
        self._chance = chance
        self._patience = patience
        self.closed_once = False
        self.waits = False
        """Whether there is something that the operator will only decide later."""
        self._closed: list[PeriodChanged] = []
        self.dismissed: set[tuple[str, int]] = set()

    def decide(self, plant: str, row: ExceptionRow, posting: PostingRow | None, is_fact: bool, now: datetime) -> DecisionEvent | None:
        """What the operator does about one open exception; None to leave it for now."""
        if posting is None:
            if not is_fact or not self._chance.happens(0.3):
                return None
            self.dismissed.add((plant, row.position))
            return FactDismissed(row.position, NAME, "cannot be told what it was")
        if posting.state == "in doubt":
            return self._settle(posting, now)
        if posting.state not in ("rejected", "reversed outside"):
            self._cancel_unexpected(row, now)
            return None
        if row.category == Category.CLOSED_PERIOD:
            self._open_periods(now)
        return PostingRetried(posting.key, NAME)

    def close_period(self, period: PeriodChanged, now: datetime) -> None:
        """The period is over, as far as accounting is concerned."""
        self.closed_once = True
        self._closed.append(period)
        self._books.enter(period, now)

    def _settle(self, posting: PostingRow, now: datetime) -> DecisionEvent | None:
        """Look for the document, once nothing sent long ago can still come."""
        if now < _moment(posting.settled) + self._patience:
            self.waits = True
            return None
        found = next((document for document in self._books.documents.values() if document.key == posting.key), None)
        return DoubtSettled(posting.key, NAME, found.number if found else "")

    def _cancel_unexpected(self, row: ExceptionRow, now: datetime) -> None:
        """A document that no posting is booked in: it is taken back."""
        number = row.subject.removeprefix("document ")
        if number in self._books.documents and number not in self._books.cancelled:
            self._books.enter(HandCancel(document=number), now)

    def _open_periods(self, now: datetime) -> None:
        """A document stands in a closed period: the operator has it opened again, for good."""
        for period in self._closed:
            self._books.enter(PeriodChanged(period.first, period.last, True), now)
        self._closed.clear()


class Colleagues:
    """People who book and cancel at ERP's own screen. What they book is no fact of any plant."""

    def __init__(self, books: Books, chance: Chance) -> None:
        self._books = books
        self._chance = chance

    def meddle(self, plant: str, now: datetime) -> None:
        """Book an adjustment, or cancel some document of ours; ERP may refuse."""
        try:
            if self._chance.happens(0.5):
                self._books.enter(self._adjustment(plant, now.date()), now)
            else:
                self._cancel(now)
        except Refused:
            return  # as at any screen: the person reads the refusal and goes away

    def find(self, found: StockLine, now: datetime) -> None:
        """Stock is there that ERP did not know of: it is booked by hand."""
        line = Line(found.item, found.quantity, found.location, found.lot, reason="found with a new item")
        self._books.enter(HandBooking(kind=PostingKind.ADJUSTMENT, effective=now.date(), lines=(line,)), now)

    def _adjustment(self, plant: str, day: date) -> HandBooking:
        item = self._chance.one(COMPONENTS)
        lot = self._chance.one(lots(plant, item))
        line = Line(item.item, amount(self._chance.whole(1, 9), item.unit), site(plant).raw, lot, reason="found behind the shelf")
        return HandBooking(kind=PostingKind.ADJUSTMENT, effective=day, lines=(line,), plant=plant)

    def _cancel(self, now: datetime) -> None:
        ours = [document for document in self._books.documents.values() if self._cancellable(document)]
        if ours:
            self._books.enter(HandCancel(document=self._chance.one(ours).number), now)

    def _cancellable(self, document: Document) -> bool:
        return not document.by_hand and not document.reverses and document.number not in self._books.cancelled


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
