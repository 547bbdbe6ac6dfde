"""What a real Tryton refuses, with the module and without: category, subject, sentence, remedy, and nothing half done."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.connectors.tryton.erp import CLOSED, Books, Wire, line, new_order, posting

from synchromesh.connectors.agreement import Connector
from synchromesh.connectors.tryton import connect
from synchromesh.connectors.tryton.provision import Part
from synchromesh.connectors.tryton.server import DATABASE, TrytonServer
from synchromesh.model import subject
from synchromesh.model.event import amount
from synchromesh.model.posting import Category, Fate, Posting, PostingKind, Refusal

pytestmark = [pytest.mark.tryton, pytest.mark.slow]

KIND = PostingKind


class Desk:
    """One variant of Tryton, its connector, a line in between, and its books."""

    def __init__(self, server: TrytonServer, wire: Wire, module: bool) -> None:
        self.server = server
        self.wire = wire
        self.module = module
        self.connector: Connector = connect(server.settings(url=wire.url, module=module))
        self.books = Books(server)

    async def held(self, order: str) -> tuple[object, ...]:
        """Everything of the order that a posting could have touched."""
        (production,) = await self.books.rows("production", ["state", "effective_date"], ["reference", "=", order])
        ours = ["OR", ["production_input", "=", production["id"]], ["production_output", "=", production["id"]]]
        moves = await self.books.rows("stock.move", ["state", "quantity", "product", "lot"], ours)
        notes = await self.books.ids("ir.note", ["resource", "=", f"production,{production['id']}"])
        lots = await self.books.ids("stock.lot")
        return production, moves, notes, lots

    async def refused(self, wrong: Posting, order: str) -> Refusal:
        """The refusal of a posting, after which everything is as it was."""
        before = await self.held(order)
        (reply,) = await self.connector.post([wrong])
        assert reply.fate is Fate.REJECTED
        assert reply.refusal is not None
        assert await self.held(order) == before
        assert reply.refusal.sentence.endswith(".")
        return reply.refusal


@pytest.fixture(params=["module", "plain"])
def variant(request: pytest.FixtureRequest) -> tuple[TrytonServer, bool]:
    module = request.param == "module"
    return request.getfixturevalue("with_module" if module else "without_module"), module


@pytest.fixture
async def desk(variant: tuple[TrytonServer, bool]) -> AsyncIterator[Desk]:
    server, module = variant
    async with Wire(server).open() as wire:
        desk = Desk(server, wire, module)
        yield desk
        await desk.connector.close()
        await desk.books.close()


@pytest.fixture
async def order(desk: Desk) -> str:
    return await new_order(desk.server, Part("RM", amount(200, "EA")), Part("LOTTED", amount(5, "EA")))


@pytest.mark.parametrize("kind", [KIND.RECEIPT, KIND.ISSUE, KIND.COMPLETION])
async def test_a_closed_stock_period(desk: Desk, order: str, kind: PostingKind) -> None:
    lines = {KIND.RECEIPT: (line("FG", 1),), KIND.ISSUE: (line("RM", 1),), KIND.COMPLETION: ()}[kind]
    refusal = await desk.refused(posting(kind, order, *lines, effective=CLOSED), order)
    assert (refusal.category, refusal.subject) == (Category.CLOSED_PERIOD, subject.period(CLOSED))
    assert f"is closed, and the fact is of {CLOSED}" in refusal.sentence
    assert refusal.remedy == "Reopen the period in Tryton, or book on the first open day."


async def test_an_unknown_lot(desk: Desk, order: str) -> None:
    refusal = await desk.refused(posting(KIND.ISSUE, order, line("LOTTED", 1, lot="NO-SUCH")), order)
    assert (refusal.category, refusal.subject) == (Category.UNKNOWN_LOT, "lot NO-SUCH of item LOTTED")
    assert refusal.sentence == "The item LOTTED has no lot NO-SUCH."
    assert refusal.remedy == "Receive the lot first."


async def test_no_lot_of_an_item_that_is_kept_by_lot(desk: Desk, order: str) -> None:
    refusal = await desk.refused(posting(KIND.ISSUE, order, line("LOTTED", 1)), order)
    assert (refusal.category, refusal.subject) == (Category.UNKNOWN_LOT, "item LOTTED")
    assert refusal.remedy == "Name the lot."


async def test_a_unit_of_another_category(desk: Desk, order: str) -> None:
    refusal = await desk.refused(posting(KIND.ISSUE, order, line("RM", 1, unit="MTR")), order)
    assert (refusal.category, refusal.subject) == (Category.MISSING_UNIT, "unit MTR of item RM")
    assert "MTR can't be converted to EA" in refusal.sentence
    assert "Send the quantity in a unit of the same category" in refusal.remedy


async def test_insufficient_stock(desk: Desk, order: str) -> None:
    refusal = await desk.refused(posting(KIND.ISSUE, order, line("RM", 999_999_999)), order)
    assert (refusal.category, refusal.subject) == (Category.INSUFFICIENT_STOCK, "item RM")
    assert "999999999 EA of RM are wanted at STO" in refusal.sentence
    assert refusal.remedy == "Receive or transfer the missing quantity, or correct the report."


async def test_insufficient_stock_of_the_second_line_books_nothing_of_the_first(desk: Desk, order: str) -> None:
    refusal = await desk.refused(posting(KIND.ISSUE, order, line("RM", 1), line("OIL", 99_999_999, "KGM")), order)
    assert (refusal.category, refusal.subject) == (Category.INSUFFICIENT_STOCK, "item OIL")


async def test_a_duplicate(desk: Desk, order: str) -> None:
    """With the module any key that is known; without it one that was begun on the same order."""
    first = posting(KIND.RECEIPT, order, line("FG", 3))
    (reply,) = await desk.connector.post([first])
    assert reply.fate is Fate.POSTED
    refusal = await desk.refused(msgspec.structs.replace(first, lines=(line("FG", 4),)), order)
    assert (refusal.category, refusal.subject) == (Category.DUPLICATE, subject.posting(first.key))
    assert "with other content" in refusal.sentence
    assert refusal.remedy == "Give changed content a key of its own."


async def test_an_order_that_somebody_cancels_just_before_it_is_booked(desk: Desk, order: str) -> None:
    """The check passes, and then the record changes. Tryton's own refusal is in translated words; the reason is seen in its books."""
    receipt = posting(KIND.RECEIPT, order, line("FG", 3))

    async def cancel() -> None:
        person = Books(desk.server, "admin")
        production = await person.ids("production", ["reference", "=", order])
        await person.call("model.production.cancel", production)
        await person.close()

    call = b"model.synchromesh.posting.post" if desk.module else b"model.stock.move.do"
    desk.wire.meanwhile = (call, cancel)
    (reply,) = await desk.connector.post([receipt])
    assert reply.fate is Fate.REJECTED
    assert reply.refusal is not None
    assert (reply.refusal.category, reply.refusal.subject) == (Category.ORDER_CLOSED, subject.order(order))
    _, moves, _, _ = await desk.held(order)
    assert isinstance(moves, list)
    assert [move for move in moves if move["state"] not in ("cancelled", "draft") or (move["state"] == "draft" and move["quantity"])] == []
    assert await desk.books.moved(["production_output.reference", "=", order]) == 0


async def test_a_record_that_somebody_changes_at_the_same_time_is_tried_again(desk: Desk, order: str) -> None:
    """Without the module an order is completed in several calls; with it there is one, and a lock of the database is what remains."""
    if desk.module:
        pytest.skip("one transaction sees one version of the record")
    completion = posting(KIND.COMPLETION, order)

    async def change() -> None:
        person = Books(desk.server, "admin")
        production = await person.ids("production", ["reference", "=", order])
        await person.call("model.production.write", production, {"reference": order})
        await person.close()

    desk.wire.meanwhile = (b"model.production.write", change)
    (reply,) = await desk.connector.post([completion])
    assert reply.fate is Fate.RETRY
    assert reply.refusal is not None
    assert (reply.refusal.category, reply.refusal.subject) == (Category.LOCKED, subject.order(order))
    _, moves, _, _ = await desk.held(order)
    assert isinstance(moves, list)
    assert {move["state"] for move in moves} == {"draft"}, "nothing is half done"
    (reply,) = await desk.connector.post([completion])
    assert reply.fate is Fate.POSTED


async def test_a_lock_of_the_database_is_tried_again(desk: Desk, order: str) -> None:
    """Somebody else writes, and does not end."""
    receipt = posting(KIND.RECEIPT, order, line("FG", 3))
    await desk.connector.balances(["FG"])
    other = sqlite3.connect(desk.server.folder / f"{DATABASE}.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        (reply,) = await desk.connector.post([receipt])
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert reply.fate is Fate.RETRY
    assert reply.refusal is not None
    assert (reply.refusal.category, reply.refusal.subject) == (Category.LOCKED, subject.SYSTEM)
    (reply,) = await desk.connector.post([receipt])
    assert reply.fate is Fate.POSTED
