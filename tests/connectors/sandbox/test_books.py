"""The books' own rules, kind by kind, without any connector."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.sandbox.plant import DAY, NAMES, furnish

from synchromesh.connectors.agreement import FindingState, Grade
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.records import Approval, Booking, ErpOrder, HandBooking, HandCancel, LotMarked, Refused, Rules, StockSet
from synchromesh.model.event import DocumentBooked, DocumentCancelled, OrderChanged, PeriodChanged, amount
from synchromesh.model.posting import Category, Fate, Line, Posting, PostingKind, Reply
from synchromesh.model.quantity import Quantity

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
BLANKS = ("BLANK", "STORE", "", "", "")
GEARS = ("GEAR", "STORE", "", "", "")


def furnished(rules: Rules | None = None) -> Books:
    books = Books(rules)
    for entry in furnish():
        books.enter(entry, NOW)
    return books


def posting(kind: PostingKind, *lines: Line, key: str = "k", order: str = "BIG", **more: object) -> Posting:
    plain = Posting(key=key, kind=kind, plant="north", lane=order, effective=DAY, order=order, lines=lines)
    return msgspec.structs.replace(plain, **more)


def line(item: str, value: str, unit: str = "EA", **more: str) -> Line:
    return Line(item=item, quantity=amount(value, unit), **{"location": "STORE", **more})


def book(books: Books, told: Posting, now: datetime = NOW) -> Reply:
    reply = books.enter(Booking(told), now)
    assert reply is not None
    return reply


def refused(books: Books, told: Posting) -> tuple[Category, str]:
    before = dict(books.stock), len(books.documents), books.booked(told.order)
    reply = book(books, told)
    assert reply.fate is Fate.REJECTED
    assert reply.refusal is not None
    assert (dict(books.stock), len(books.documents), books.booked(told.order)) == before
    return reply.refusal.category, reply.refusal.subject


def posted(books: Books, told: Posting) -> str:
    reply = book(books, told)
    assert reply.fate is Fate.POSTED, reply.refusal
    return reply.document


def test_numbers_are_a_sequence_without_gaps() -> None:
    books = furnished()
    assert posted(books, posting(PostingKind.RECEIPT, line("GEAR", "1"), key="a")) == "4900000001"
    refused(books, posting(PostingKind.RECEIPT, line("NOPE", "1"), key="b"))
    assert posted(books, posting(PostingKind.RECEIPT, line("GEAR", "1"), key="c")) == "4900000002"


def test_each_kind_moves_stock_and_progress() -> None:
    books = furnished()
    posted(books, posting(PostingKind.ISSUE, line("BLANK", "10"), key="1"))
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "7"), key="2"))
    posted(books, posting(PostingKind.SCRAP, line("GEAR", "2", reason="bent"), key="3"))
    posted(books, posting(PostingKind.SCRAP, line("BLANK", "3", reason="bent"), key="4"))
    posted(books, posting(PostingKind.CONFIRMATION, line("GEAR", "7", operation="10"), key="5", operation="10", labour_seconds=60))
    posted(books, posting(PostingKind.TRANSFER, line("GEAR", "4", to_status="held"), key="6", order=""))
    posted(books, posting(PostingKind.ADJUSTMENT, line("BLANK", "-7", reason="count"), key="7", order=""))
    assert books.stock[BLANKS] == 100_000 - 10 - 3 - 7
    assert books.stock[GEARS] == 3
    assert books.stock["GEAR", "STORE", "", "held", ""] == 4
    assert books.booked("BIG") == {
        ("issued", "BLANK"): 10,
        ("received", "GEAR"): 7,
        ("scrapped", "GEAR"): 2,
        ("scrapped", "BLANK"): 3,
        ("confirmed", "10"): 7,
        ("labour", "10"): 60,
    }


def test_completion_takes_supplements_and_no_second_one() -> None:
    books = furnished()
    document = posted(books, posting(PostingKind.COMPLETION, key="1"))
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "1"), key="2"))
    assert refused(books, posting(PostingKind.COMPLETION, key="3")) == (Category.ORDER_CLOSED, "order BIG")
    posted(books, posting(PostingKind.REVERSAL, key="4", reverses_document=document))
    posted(books, posting(PostingKind.COMPLETION, key="5"))
    last = msgspec.json.decode(books.pull("").changes[-1].data, type=OrderChanged)
    assert last.status == "completed"


def test_alternative_units_are_exact_or_refused() -> None:
    books = furnished()
    posted(books, posting(PostingKind.ISSUE, line("BLANK", "2", "BOX"), key="1"))
    posted(books, posting(PostingKind.ISSUE, line("BLANK", "3", "PAIR"), key="2"))
    assert books.stock[BLANKS] == 100_000 - 24 - 1
    assert refused(books, posting(PostingKind.ISSUE, line("BLANK", "1", "PAIR"), key="3")) == (Category.INVALID, "item BLANK")
    assert refused(books, posting(PostingKind.ISSUE, line("BLANK", "1", "KGM"), key="4")) == (
        Category.MISSING_UNIT,
        "unit KGM of item BLANK",
    )
    assert refused(books, posting(PostingKind.ISSUE, line("BLANK", "0.5"), key="5")) == (Category.INVALID, "item BLANK")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (posting(PostingKind.RECEIPT, line("GEAR", "1"), effective=date(2026, 5, 31)), (Category.CLOSED_PERIOD, "period of 2026-05-31")),
        (posting(PostingKind.RECEIPT, line("NOPE", "1")), (Category.UNKNOWN_ITEM, "item NOPE")),
        (posting(PostingKind.RECEIPT, line("GEAR", "1"), order="NOPE"), (Category.UNKNOWN_ORDER, "order NOPE")),
        (posting(PostingKind.RECEIPT, line("GEAR", "1"), order=""), (Category.UNKNOWN_ORDER, "order")),
        (posting(PostingKind.RECEIPT, line("GEAR", "1", location="NOPE")), (Category.UNKNOWN_LOCATION, "location NOPE")),
        (posting(PostingKind.ADJUSTMENT, line("GEAR", "1", location=""), order=""), (Category.UNKNOWN_LOCATION, "location")),
        (posting(PostingKind.TRANSFER, line("BLANK", "1", to_location="NOPE")), (Category.UNKNOWN_LOCATION, "location NOPE")),
        (posting(PostingKind.ISSUE, line("RESIN", "1", "KGM", lot="NOPE")), (Category.UNKNOWN_LOT, "lot NOPE of item RESIN")),
        (posting(PostingKind.ISSUE, line("RESIN", "1", "KGM")), (Category.UNKNOWN_LOT, "item RESIN")),
        (posting(PostingKind.ISSUE, line("RESIN", "1", "KGM", lot="R-BAD")), (Category.LOT_NOT_USABLE, "lot R-BAD of item RESIN")),
        (posting(PostingKind.ISSUE, line("BLANK", "1", status="held")), (Category.LOT_NOT_USABLE, "item BLANK")),
        (posting(PostingKind.ISSUE, line("BLANK", "60000"), line("BLANK", "60000")), (Category.INSUFFICIENT_STOCK, "item BLANK")),
        (posting(PostingKind.TRANSFER, line("GEAR", "1", to_location="LINE")), (Category.INSUFFICIENT_STOCK, "item GEAR")),
        (posting(PostingKind.ADJUSTMENT, line("GEAR", "-1")), (Category.INSUFFICIENT_STOCK, "item GEAR")),
        (posting(PostingKind.RECEIPT, line("GEAR", "1"), order="PLANNED"), (Category.ORDER_NOT_RELEASED, "order PLANNED")),
        (posting(PostingKind.RECEIPT, line("GEAR", "1"), order="CLOSED"), (Category.ORDER_CLOSED, "order CLOSED")),
        (posting(PostingKind.RECEIPT, line("GEAR", "60"), line("GEAR", "51")), (Category.OVER_TOLERANCE, "order BIG")),
        (posting(PostingKind.TRANSFER, line("BLANK", "1")), (Category.INVALID, "item BLANK")),
        (posting(PostingKind.RECEIPT), (Category.INVALID, "order BIG")),
        (posting(PostingKind.RECEIPT, line("GEAR", "0")), (Category.INVALID, "item GEAR")),
        (posting(PostingKind.RECEIPT, line("GEAR", "-1")), (Category.INVALID, "item GEAR")),
        (posting(PostingKind.CONFIRMATION, line("GEAR", "1", operation="99")), (Category.INVALID, "operation 99 of order BIG")),
        (posting(PostingKind.CONFIRMATION, operation="10"), (Category.INVALID, "order BIG")),
        (posting(PostingKind.REVERSAL, reverses="never"), (Category.INVALID, "posting never")),
    ],
)
def test_refusals(told: Posting, why: tuple[Category, str]) -> None:
    assert refused(furnished(Rules(tolerance=Decimal("0.1"))), told) == why


def test_not_permitted_and_no_differences() -> None:
    books = furnished(Rules(kinds=frozenset({PostingKind.RECEIPT}), differences=False))
    assert refused(books, posting(PostingKind.ISSUE, line("BLANK", "1"))) == (Category.NOT_PERMITTED, "issue")
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "5"), key="1"))
    assert refused(books, posting(PostingKind.RECEIPT, line("GEAR", "-1"), key="2")) == (Category.INVALID, "item GEAR")


def test_tolerance_is_cumulative() -> None:
    books = furnished(Rules(tolerance=Decimal("0.1")))
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "100"), key="1"))
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "10"), key="2"))
    assert refused(books, posting(PostingKind.RECEIPT, line("GEAR", "1"), key="3")) == (Category.OVER_TOLERANCE, "order BIG")
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "-1"), key="4"))
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "1"), key="5"))


def test_stock_may_go_negative_where_the_rules_say_so() -> None:
    books = furnished(Rules(check_stock=False))
    posted(books, posting(PostingKind.TRANSFER, line("GEAR", "4", to_location="LINE")))
    assert books.stock[GEARS] == -4


def test_receipts_make_lots_and_reopened_periods_take_postings() -> None:
    books = furnished()
    receipt = posting(PostingKind.RECEIPT, line("RESIN", "1.5", "KGM", lot="R-9"), effective=date(2026, 5, 31))
    assert refused(books, receipt)[0] is Category.CLOSED_PERIOD
    books.enter(PeriodChanged(first=date(2026, 5, 20), last=date(2026, 5, 31), open=True), NOW)
    posted(books, receipt)
    posted(books, posting(PostingKind.ISSUE, line("RESIN", "1.5", "KGM", lot="R-9"), key="2"))


def test_a_reversal_of_used_stock_is_refused() -> None:
    books = furnished()
    document = posted(books, posting(PostingKind.RECEIPT, line("GEAR", "5"), key="1"))
    posted(books, posting(PostingKind.TRANSFER, line("GEAR", "5", to_location="LINE"), key="2", order=""))
    undo = posting(PostingKind.REVERSAL, key="3", reverses_document=document)
    assert refused(books, undo) == (Category.INSUFFICIENT_STOCK, "item GEAR")


def test_a_reversal_finds_its_document_by_key_and_cannot_be_reversed() -> None:
    books = furnished()
    posted(books, posting(PostingKind.RECEIPT, line("GEAR", "5"), key="1"))
    undo = posted(books, posting(PostingKind.REVERSAL, key="2", reverses="1"))
    assert books.documents[undo].reverses == "4900000001"
    assert books.cancelled == {"4900000001": undo}
    assert refused(books, posting(PostingKind.REVERSAL, key="3", reverses="1")) == (Category.DUPLICATE, "document 4900000001")
    assert refused(books, posting(PostingKind.REVERSAL, key="4", reverses_document=undo)) == (Category.NOT_PERMITTED, f"document {undo}")


@pytest.mark.parametrize("grade", list(Grade))
def test_what_a_repeated_key_does(grade: Grade) -> None:
    books = furnished(Rules(grade=grade))
    told = posting(PostingKind.RECEIPT, line("GEAR", "5"))
    first, second = posted(books, told), posted(books, told)
    assert (first == second) is (grade is Grade.UNIQUE)
    assert books.booked("BIG")["received", "GEAR"] == (5 if grade is Grade.UNIQUE else 10)
    finding = books.find("k")
    assert finding.state is (FindingState.SILENT if grade is Grade.BLIND else FindingState.BOOKED)


def test_others_book_and_cancel_and_are_told_to_the_right_plant() -> None:
    books = furnished()
    ours = posted(books, posting(PostingKind.RECEIPT, line("GEAR", "5")))
    cursor = books.pull("").cursor
    books.enter(
        HandBooking(kind=PostingKind.ISSUE, effective=DAY, order="BIG", plant="north", lines=(line("BLANK", "4", location=""),)), NOW
    )
    books.enter(HandCancel(document=ours), NOW)
    booked, cancelled = books.pull(cursor).changes
    event = msgspec.json.decode(booked.data, type=DocumentBooked)
    assert (booked.plant, event.order, event.lines[0].location) == ("north", "BIG", "STORE")
    assert (cancelled.plant, msgspec.json.decode(cancelled.data, type=DocumentCancelled).document) == ("north", ours)
    assert books.booked("BIG") == {("issued", "BLANK"): 4}
    with pytest.raises(Refused, match="already reversed"):
        books.enter(HandCancel(document=ours), NOW)
    with pytest.raises(Refused, match="does not exist"):
        books.enter(HandBooking(kind=PostingKind.RECEIPT, effective=DAY, order="BIG", lines=(line("NOPE", "1"),)), NOW)


@pytest.mark.parametrize(
    "entry",
    [
        StockSet(item="NOPE", location="STORE", quantity=amount(1, "EA")),
        StockSet(item="GEAR", location="NOPE", quantity=amount(1, "EA")),
        LotMarked(item="NOPE", lot="L"),
        ErpOrder(order="X", item="NOPE", quantity=amount(1, "EA")),
        ErpOrder(order="X", item="GEAR", quantity=amount("0.5", "EA")),
    ],
)
def test_master_data_about_nothing_is_refused(entry: StockSet | LotMarked | ErpOrder) -> None:
    books = furnished()
    with pytest.raises(Refused):
        books.enter(entry, NOW)


def test_approvals_are_decided_in_time_and_keep_their_key() -> None:
    books = furnished()
    told = posting(PostingKind.RECEIPT, line("GEAR", "5"))
    later = NOW + timedelta(hours=1)
    assert books.enter(Approval(told, due=later), NOW) == Reply(key="k", fate=Fate.PARKED)
    assert book(books, told).fate is Fate.PARKED
    books.advance(later - timedelta(microseconds=1))
    assert not books.documents
    books.advance(later)
    assert books.documents["4900000001"].booked == later
    assert book(books, told).document == "4900000001"


def test_an_approval_is_judged_when_it_is_decided_too() -> None:
    books = furnished()
    later = NOW + timedelta(hours=1)
    books.enter(Approval(posting(PostingKind.RECEIPT, line("GEAR", "5")), due=later), NOW)
    books.enter(PeriodChanged(first=DAY, last=DAY, open=False), NOW)
    books.advance(later)
    reply = books.find("k").reply
    assert reply is not None
    assert reply.refusal is not None
    assert reply.refusal.category is Category.CLOSED_PERIOD


AMOUNTS = st.integers(min_value=-30, max_value=30).filter(bool)
KINDS = st.sampled_from([PostingKind.ISSUE, PostingKind.RECEIPT, PostingKind.SCRAP, PostingKind.TRANSFER, PostingKind.ADJUSTMENT])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(KINDS, st.sampled_from(["BLANK", "GEAR"]), AMOUNTS), max_size=20), st.data())
def test_undoing_everything_leaves_the_books_as_they_were(told: list[tuple[PostingKind, str, int]], data: st.DataObject) -> None:
    """Whatever is booked and whatever is refused: stock is opening plus documents, and reversing all of them ends where it began."""
    books = furnished(Rules(check_stock=False))
    before = {place: stock for place, stock in books.stock.items() if stock}
    for ordinal, (kind, item, value) in enumerate(told):
        to = {"to_location": "LINE"} if kind is PostingKind.TRANSFER else {}
        book(books, posting(kind, line(item, str(value), **to), key=str(ordinal)))
    sums = dict(before)
    for document in books.documents.values():
        for place, moved in document.moves:
            sums[place] = sums.get(place, Decimal(0)) + moved
    assert {place: stock for place, stock in sums.items() if stock} == {place: stock for place, stock in books.stock.items() if stock}
    todo = list(books.documents)
    stuck = 0
    while todo:
        number = data.draw(st.sampled_from(todo)) if stuck < 50 else todo[-1]
        reply = book(books, posting(PostingKind.REVERSAL, key=f"undo {number} {stuck}", reverses_document=number))
        if reply.fate is Fate.POSTED:
            todo.remove(number)
        else:
            stuck += 1
    assert {place: stock for place, stock in books.stock.items() if stock} == before
    assert books.booked("BIG") == {}


@given(st.integers(min_value=0, max_value=9), st.integers(min_value=-(10**15), max_value=10**15))
def test_base_amounts_are_never_rounded(decimals: int, value: int) -> None:
    books = furnished()
    item = msgspec.structs.replace(books.register.items["BLANK"], decimals=decimals)
    told = Quantity(Decimal(value).scaleb(-4), "EA")
    if told.amount * 10**decimals % 1 == 0:
        assert books.register.in_base_unit(item, told) == told.amount
    else:
        with pytest.raises(Refused) as refusal:
            books.register.in_base_unit(item, told)
        assert refusal.value.refusal.category is Category.INVALID


def test_pull_pages_and_refuses_foreign_cursors() -> None:
    books = furnished()
    everything = list(books.pull("").changes)
    paged, cursor = [], ""
    while page := books.pull(cursor, limit=3):
        if not page.changes:
            break
        paged.extend(page.changes)
        cursor = page.cursor
    assert paged == everything
    for foreign in ("999", "-1", "x", "٣", "1e3"):
        with pytest.raises(ValueError, match="not of these books"):
            books.pull(foreign)


def test_balances_leave_nothing_out_and_name_units() -> None:
    books = furnished()
    assert {(b.item, b.lot): str(b.quantity) for b in books.balances()} == {
        ("BLANK", ""): "100000 EA",
        ("RESIN", "R-1"): "12.5 KGM",
        ("RESIN", "R-BAD"): "2.5 KGM",
    }
    assert [b.item for b in books.balances(["BLANK"])] == [NAMES.component]
