"""Simulated people: an operator who looks into ERP and repairs, and colleagues who book and cancel there by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.records import Document, HandBooking, HandCancel, Refused
from synchromesh.model.event import (
    CauseReleased,
    DecisionApproved,
    DecisionEvent,
    DoubtSettled,
    ExceptionsAssigned,
    FactDismissed,
    FactRetried,
    PeriodChanged,
    PostingRetried,
    StockLine,
    amount,
)
from synchromesh.model.posting import Category, Line, Posting, PostingKind
from synchromesh.plant.decisions import PROPOSALS
from synchromesh.plant.entities import Expected
from synchromesh.plant.rows import ExceptionRow, PostingRow
from synchromesh.sim.catalogue import COMPONENTS, lots, site
from synchromesh.sim.chance import Chance
from synchromesh.state.agreement import Reading

NAME = "operator"
CHIEF = "chief"

OPEN_DAY: Final = date(2026, 3, 31)
"""A day that nobody closes."""

INSISTS: Final = 3
"""How often what is refused for want of stock is sent again as it stands, before the rest of its lane goes first."""

GIVES_UP: Final = 8
"""How often anything is sent again."""


class Operator:
    """Works through open exceptions. Facts that can't be helped are dismissed now and then, or left open. What ERP refuses is sent again;
    what it refuses again and again for want of stock is sent behind the rest of its lane, and at last given up. A `thorough` one takes
    on exceptions, tells refused facts again, and releases whole causes."""

    def __init__(self, books: Books, chance: Chance, patience: timedelta, rash: float, thorough: float = 0.0) -> None:
        self._books = books
        self._chance = chance
        self._patience = patience
        self._rash = rash
        self._thorough = thorough
        self._released = False
        self.busy = False
        """Whether plants are still at work: then nothing is dismissed yet."""
        self.waits = False
        """Whether there is something that the operator will only decide later."""
        self._closed: list[PeriodChanged] = []
        self._touched: set[tuple[str, int]] = set()
        self._tries: Counter[tuple[str, int, str, str]] = Counter()
        self.dismissed: set[tuple[str, int]] = set()
        self._awaited: list[tuple[str, str]] = []
        self.left: set[str] = set()
        """Keys of postings that were released with their whole cause, and did not go on."""
        self.given_up: set[str] = set()
        """Keys of the postings that were dismissed, with those that hang on them."""

    def come(self, busy: bool) -> None:
        """The operator comes to the desk again."""
        self.busy, self.waits, self._released = busy, False, False
        self._touched.clear()

    def decide(self, plant: str, row: ExceptionRow, desk: Reading, now: datetime) -> DecisionEvent | None:
        """What the operator does about one open exception, as the `desk` shows it; None to leave it for now."""
        if self._released:
            self.waits = True  # what comes of the release is looked at first
            return None
        if self._thorough and self._chance.happens(self._thorough):
            return self._thoroughly(plant, row, desk, now)
        return self._one(plant, row, desk, now)

    def _one(self, plant: str, row: ExceptionRow, desk: Reading, now: datetime) -> DecisionEvent | None:
        """What is done about this exception alone."""
        posting = _posting(desk, plant, row.posting) if row.posting else None
        if posting is None:
            if desk.fact(plant, row.position) is None or not self._chance.happens(0.3):
                return None
            self.dismissed.add((plant, row.position))
            return FactDismissed(row.position, NAME, "cannot be told what it was")
        if posting.state == "in doubt":
            return self._settle(posting, now)
        if posting.state not in ("rejected", "reversed outside"):
            self._cancel_unexpected(row, now)
            return None
        return self._help(plant, row, posting, desk, now)

    def look_back(self, desk: Reading) -> None:
        """What was released is looked at again, before anything else: it has gone on."""
        for plant, key in self._awaited:
            posting = _posting(desk, plant, key)
            if posting is not None and posting.state in ("rejected", "reversed outside") and not posting.successor:
                self.left.add(key)
        self._awaited.clear()

    def _thoroughly(self, plant: str, row: ExceptionRow, desk: Reading, now: datetime) -> DecisionEvent:
        """What a desk offers beside sending one posting again. None of it books what should not be booked."""
        if self._chance.happens(0.3):
            return ExceptionsAssigned(((row.position, row.ordinal),), NAME, NAME)
        if not row.posting and self._chance.happens(0.5):
            return FactRetried(row.position, NAME)
        if row.category == Category.CLOSED_PERIOD and self._chance.happens(0.5):
            self._open_periods(now)
        self._released = True
        for at, other in desk.exceptions("open", 1000):
            posting = _posting(desk, at, other.posting) if at == plant and other.posting else None
            alike = (other.category, other.subject) == (row.category, row.subject)
            if posting is not None and alike and posting.state in ("rejected", "reversed outside") and not posting.successor:
                self._awaited.append((plant, posting.key))
        return CauseReleased(Category(row.category), row.subject, NAME)

    def _help(self, plant: str, row: ExceptionRow, posting: PostingRow, desk: Reading, now: datetime) -> DecisionEvent | None:
        """ERP refused a posting, or somebody cancelled it there. One decision at a time about one group: the next one needs to see what
        came of it."""
        if (plant, posting.group) in self._touched:
            self.waits = True
            return None
        self._touched.add((plant, posting.group))
        if row.category == Category.CLOSED_PERIOD and self._chance.happens(0.5):
            self._open_periods(now)
        thing = (plant, posting.group, posting.lane, posting.kind)
        if self.busy:
            return PostingRetried(posting.key, NAME)
        self._tries[thing] += 1
        if self._tries[thing] > GIVES_UP or self._chance.happens(self._rash):
            return self._dismiss(plant, row, posting.group, desk)
        last = self._tries[thing] > INSISTS and row.category == Category.INSUFFICIENT_STOCK
        return PostingRetried(posting.key, NAME, last)

    def give_up(self, plant: str, row: ExceptionRow, desk: Reading) -> FactDismissed | None:
        """The desk says that others have booked the same: the posting is given up. One that was booked already, and that others cancelled
        then, is looked at again."""
        posting = _posting(desk, plant, row.posting)
        if posting is None or posting.state != "rejected":
            self.waits = True
            return None
        return self._dismiss(plant, row, posting.group, desk)

    def let_go(self) -> None:
        """The desk has refused a release."""
        self._released = False
        self._awaited.clear()
        self.waits = True

    def _dismiss(self, plant: str, row: ExceptionRow, group: int, desk: Reading) -> FactDismissed:
        self.given_up |= {each.key for each in _hanging_together(desk, plant, group)}
        return FactDismissed(row.position, NAME, "booked otherwise, or not to be booked", row.ordinal)

    def tell_period(self, period: PeriodChanged, now: datetime) -> None:
        """The period is over, as far as accounting is concerned, or is not."""
        if not period.open:
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
            self._open_periods(now)
            self._books.enter(HandCancel(document=number), now)

    def _open_periods(self, now: datetime) -> None:
        """A document stands in a closed period: the operator has it opened again, for good."""
        for period in self._closed:
            self._books.enter(PeriodChanged(period.first, period.last, True), now)
        self._closed.clear()


def approvals(desk: Reading, plant: str) -> Iterator[DecisionApproved]:
    """A second person agrees with everything that was proposed."""
    key = ("expected", PROPOSALS)
    listed = desk.entities(plant, [key]).get(key)
    for position in msgspec.msgpack.decode(listed, type=Expected).names if listed is not None else ():
        yield DecisionApproved(int(position), CHIEF)


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
        self._books.enter(HandBooking(kind=PostingKind.ADJUSTMENT, effective=OPEN_DAY, lines=(line,)), now)

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


def _hanging_together(desk: Reading, plant: str, group: int) -> Iterator[PostingRow]:
    """What is refused of a group, and with a reversal whatever stands in the place of what it takes back."""
    for first in desk.postings_of(plant, group):
        row = _newest(desk, plant, first, group)
        if row.group != group or row.successor or row.state not in ("rejected", "reversed outside"):
            continue
        yield row
        if row.kind == PostingKind.REVERSAL:
            original = _posting(desk, plant, msgspec.json.decode(row.content, type=Posting).reverses)
            if original is None:
                continue
            rebooked = _newest(desk, plant, _newest(desk, plant, original, original.group))
            if rebooked.group != original.group and rebooked.state not in ("withdrawn", "reversed"):
                yield rebooked


def _newest(desk: Reading, plant: str, row: PostingRow, group: int = 0) -> PostingRow:
    """What a posting was sent again as, or whatever was booked in its place at last; within its `group`, if one is named."""
    while row.successor:
        after = _posting(desk, plant, row.successor)
        if after is None or (group and after.group != group):
            break
        row = after
    return row


def _posting(desk: Reading, plant: str, key: str) -> PostingRow | None:
    position = int(key.split(":")[1])
    return next((row for row in desk.postings_of(plant, position) if row.key == key), None)
