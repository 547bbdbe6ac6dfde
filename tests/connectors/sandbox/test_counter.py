"""Faults and the counter that meets requests with them, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.connectors.sandbox.plant import DAY, furnish

from synchromesh.connectors.agreement import ConnectorError, Grade
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.counter import Counter
from synchromesh.connectors.sandbox.faults import OF_A_POSTING, OF_A_REQUEST, Fault, Faults
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.connectors.sandbox.records import Booking, Entry, Rules
from synchromesh.model.event import amount
from synchromesh.model.posting import Category, Fate, Line, Posting, PostingKind

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def furnished(grade: Grade = Grade.UNIQUE) -> Books:
    books = Books(Rules(grade=grade))
    for entry in furnish():
        books.enter(entry, NOW)
    return books


def receipts(*keys: str) -> list[Posting]:
    lines = (Line(item="GEAR", quantity=amount(1, "EA"), location="STORE"),)
    return [Posting(key=key, kind=PostingKind.RECEIPT, plant="north", lane="BIG", effective=DAY, order="BIG", lines=lines) for key in keys]


def counter(fault: Fault, grade: Grade = Grade.UNIQUE) -> Counter:
    faults = Faults(delay=MINUTE)
    faults.arm(fault)
    return Counter(furnished(grade), faults)


@pytest.mark.parametrize(
    ("fault", "booked"),
    [
        (Fault.UNAVAILABLE, []),
        (Fault.BROKEN, []),
        (Fault.DROPPED, []),
        (Fault.HALVED, ["a", "b"]),
        (Fault.LOST, ["a", "b", "c"]),
        (Fault.LATE, []),
    ],
)
def test_what_the_sender_does_not_hear(fault: Fault, booked: list[str]) -> None:
    desk = counter(fault)
    heard = desk.take(receipts("a", "b", "c"), NOW)
    assert (heard.replies, heard.fault) == (None, fault)
    assert list(desk.books.keys) == booked


def test_a_late_request_is_booked_at_its_time() -> None:
    desk = counter(Fault.LATE)
    desk.take(receipts("a"), NOW)
    due = desk.due()
    assert due is not None
    assert NOW < due <= NOW + MINUTE
    desk.advance(due - timedelta(microseconds=1))
    assert not desk.books.documents
    desk.advance(NOW + MINUTE)
    assert [document.booked for document in desk.books.documents.values()] == [due]
    assert desk.due() is None


def test_a_late_request_doubles_where_keys_are_not_unique() -> None:
    desk = counter(Fault.LATE, Grade.ASKABLE)
    desk.take(receipts("a"), NOW)
    desk.take(receipts("a"), NOW)
    desk.advance(NOW + MINUTE)
    assert len(desk.books.keys["a"]) == 2


@pytest.mark.parametrize(
    ("fault", "fate", "category"),
    [
        (Fault.LOCKED, Fate.RETRY, Category.LOCKED),
        (Fault.CLOSED_PERIOD, Fate.REJECTED, Category.CLOSED_PERIOD),
        (Fault.PARKED, Fate.PARKED, None),
        (Fault.DECLINED, Fate.PARKED, None),
        (Fault.ACCEPTED, Fate.ACCEPTED, None),
    ],
)
def test_faults_of_one_posting_leave_its_neighbours_alone(fault: Fault, fate: Fate, category: Category | None) -> None:
    heard = counter(fault).take(receipts("a", "b"), NOW)
    assert heard.replies is not None
    assert [reply.fate for reply in heard.replies] == [fate, Fate.POSTED]
    refusal = heard.replies[0].refusal
    assert (refusal.category if refusal else None) is category


@pytest.mark.parametrize("fault", OF_A_POSTING)
def test_a_known_key_has_its_answer_whatever_is_locked_now(fault: Fault) -> None:
    desk = counter(Fault.LOST)
    desk.take(receipts("a"), NOW)
    desk.faults.arm(fault)
    heard = desk.take(receipts("a"), NOW)
    assert heard.replies is not None
    assert heard.replies[0].fate is Fate.POSTED


def test_only_what_changed_the_books_is_recorded_and_gives_them_again() -> None:
    recorded: list[tuple[Entry, datetime]] = []
    books = Books()
    faults = Faults(seed=7, rates=dict.fromkeys(OF_A_REQUEST, 0.1) | dict.fromkeys(OF_A_POSTING, 0.1), delay=MINUTE)
    desk = Counter(books, faults, lambda entry, now: recorded.append((entry, now)))
    now = NOW
    for entry in furnish():
        desk.enter(entry, now)
    for ordinal in range(300):
        now += timedelta(seconds=5)
        desk.take(receipts(f"{ordinal}-a", f"{ordinal}-b"), now)
    desk.advance(now + MINUTE)
    again = Books()
    for entry, at in recorded:
        again.enter(entry, at)
    again.advance(now + MINUTE)
    assert again.documents == books.documents
    assert again.stock == books.stock
    assert again.pull("", 10_000) == books.pull("", 10_000)
    assert [again.find(key) for key in books.keys] == [books.find(key) for key in books.keys]
    assert 300 < len(books.documents) < 600
    before = len(recorded)
    desk.enter(Booking(msgspec.structs.replace(receipts("x")[0], order="NOPE")), now)
    assert len(recorded) == before


def test_the_same_seed_gives_the_same_faults() -> None:
    rates = dict.fromkeys(OF_A_REQUEST, 0.1)
    one, two, other = Faults(1, rates), Faults(1, rates), Faults(2, rates)
    first = [one.for_request() for _ in range(200)]
    assert first == [two.for_request() for _ in range(200)]
    assert first != [other.for_request() for _ in range(200)]
    assert set(first) == {None, *OF_A_REQUEST}


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to at most 1"):
        Faults(0, {Fault.LOST: 0.6, Fault.LATE: 0.6})
    with pytest.raises(ValueError, match="0 or more"):
        Faults(0, {Fault.LOCKED: -0.1})


async def test_questions_fail_while_the_system_is_unavailable() -> None:
    connector = InProcess(furnished(), Faults(0, {Fault.UNAVAILABLE: 1.0}), lambda: NOW)
    for question in (connector.find("a"), connector.pull(""), connector.balances()):
        with pytest.raises(ConnectorError, match="unavailable"):
            await question
