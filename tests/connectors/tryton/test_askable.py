"""The connector to a plain Tryton: wherever a posting breaks off, it is not booked twice and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from tests.connectors.tryton.erp import Books, Wire, line, new_order, posting

from synchromesh.connectors.agreement import Connector, FindingState
from synchromesh.connectors.tryton import connect
from synchromesh.connectors.tryton.provision import Part
from synchromesh.connectors.tryton.server import TrytonServer
from synchromesh.model.event import amount
from synchromesh.model.posting import Category, Fate, PostingKind

pytestmark = [pytest.mark.tryton, pytest.mark.slow]

KIND = PostingKind

STEPS = {
    KIND.RECEIPT: ["stock.move.create", "ir.note.create", "stock.move.write", "stock.move.do"],
    KIND.ISSUE: ["stock.move.create", "ir.note.create", "production.wait", "stock.move.write", "production.assign_try", "stock.move.do"],
    KIND.TRANSFER: [f"stock.shipment.internal.{step}" for step in ("create", "wait", "assign_try", "do")],
    KIND.COMPLETION: ["ir.note.create", "stock.move.cancel", "production.write", "production.run", "production.do"],
}
LAST = {"stock.move.do", "stock.shipment.internal.do", "production.do"}


@pytest.fixture
async def books(without_module: TrytonServer) -> AsyncIterator[Books]:
    books = Books(without_module)
    yield books
    await books.close()


@pytest.fixture
async def wire(without_module: TrytonServer) -> AsyncIterator[Wire]:
    async with Wire(without_module).open() as wire:
        yield wire


@pytest.fixture
async def connector(without_module: TrytonServer, wire: Wire) -> AsyncIterator[Connector]:
    connector = connect(without_module.settings(url=wire.url, module=False))
    yield connector
    await connector.close()


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind, steps in STEPS.items() for step in steps])
async def test_a_posting_that_breaks_off_goes_on(
    without_module: TrytonServer, connector: Connector, wire: Wire, books: Books, kind: PostingKind, step: str, lost: str
) -> None:
    order = await new_order(without_module)
    lines = {
        KIND.RECEIPT: (line("FG", 3), line("FG", 4)),
        KIND.ISSUE: (line("RM", 7),),
        KIND.TRANSFER: (line("RM", 7, location="STO", to_location="BIN2"),),
        KIND.COMPLETION: (),
    }[kind]
    broken = posting(kind, "" if kind is KIND.TRANSFER else order, *lines)
    before = await connector.balances()
    cut = f'"model.{step}"'.encode()
    wire.cut_request, wire.cut_reply = (cut, b"") if lost == "request" else (b"", cut)
    assert (await connector.post([broken]))[0].fate is Fate.DOUBT
    wire.cut_request = wire.cut_reply = b""
    booked = step in LAST and lost == "reply"
    assert (await connector.find(broken.key)).state is (FindingState.BOOKED if booked else FindingState.ABSENT)
    if not booked:
        assert await connector.balances() == before
    reply = (await connector.post([broken]))[0]
    assert reply.fate is Fate.POSTED, reply
    assert (await connector.post([broken]))[0] == reply
    assert (await connector.find(broken.key)).reply == reply
    if kind is KIND.COMPLETION:
        assert [row["state"] for row in await books.rows("production", ["state"], ["reference", "=", order])] == ["done"]
        return
    sign = 1 if kind is KIND.RECEIPT else -1
    item = "FG" if kind is KIND.RECEIPT else "RM"
    assert _at_store(await connector.balances(), item) == _at_store(before, item) + 7 * sign


def _at_store(balances: object, item: str) -> Decimal:
    assert isinstance(balances, list)
    return sum((b.quantity.amount for b in balances if (b.item, b.location) == (item, "STO")), Decimal(0))


async def test_an_order_that_planned_a_component_kept_by_lot_is_completed(
    without_module: TrytonServer, connector: Connector, books: Books
) -> None:
    order = await new_order(without_module, Part("LOTTED", amount(3, "EA")))
    assert (await connector.post([posting(KIND.COMPLETION, order)]))[0].fate is Fate.POSTED
    assert [row["state"] for row in await books.rows("production", ["state"], ["reference", "=", order])] == ["done"]


async def test_what_broke_off_is_harmless_when_a_person_completes_the_order(
    without_module: TrytonServer, connector: Connector, wire: Wire, books: Books
) -> None:
    order = await new_order(without_module)
    wire.cut_request = b'"model.ir.note.create"'
    assert (await connector.post([posting(KIND.RECEIPT, order, line("FG", 5))]))[0].fate is Fate.DOUBT
    wire.cut_request = b""
    production = await books.ids("production", ["reference", "=", order])
    for step in ("assign_try", "run", "do"):
        await books.call(f"model.production.{step}", production)
    assert await books.moved(["production_output", "=", production[0]]) == 0


async def test_a_refused_posting_leaves_nothing_behind(without_module: TrytonServer, connector: Connector, books: Books) -> None:
    order = await new_order(without_module)
    production = (await books.ids("production", ["reference", "=", order]))[0]
    planned = await books.ids("stock.move", ["production_input", "=", production])
    reply = (await connector.post([posting(KIND.ISSUE, order, line("RM", 60_000), line("RM", 60_000))]))[0]
    assert reply.refusal is not None
    assert reply.refusal.category is Category.INSUFFICIENT_STOCK
    assert await books.ids("stock.move", ["production_input", "=", production]) == planned
    assert await books.ids("ir.note", ["resource", "=", f"production,{production}"]) == []


async def test_a_key_begun_with_other_content_is_refused(without_module: TrytonServer, connector: Connector) -> None:
    order = await new_order(without_module)
    first = posting(KIND.RECEIPT, order, line("FG", 1))
    assert (await connector.post([first]))[0].fate is Fate.POSTED
    changed = posting(KIND.RECEIPT, order, line("FG", 2), key=first.key)
    reply = (await connector.post([changed]))[0]
    assert reply.refusal is not None
    assert reply.refusal.category is Category.DUPLICATE


@pytest.mark.parametrize("kind", [KIND.ISSUE, KIND.RECEIPT, KIND.SCRAP, KIND.TRANSFER, KIND.ADJUSTMENT, KIND.CONFIRMATION])
async def test_every_kind_can_be_reversed(without_module: TrytonServer, connector: Connector, kind: PostingKind) -> None:
    order = await new_order(without_module)
    item = "RM" if kind in {KIND.ISSUE, KIND.TRANSFER, KIND.ADJUSTMENT} else "FG"
    lines = () if kind is KIND.CONFIRMATION else (line(item, 2, location="STO", to_location="BIN2" if kind is KIND.TRANSFER else ""),)
    named = "" if kind in {KIND.TRANSFER, KIND.ADJUSTMENT} else order
    before = await connector.balances()
    original = posting(kind, named, *lines)
    document = (await connector.post([original]))[0].document
    reversal = posting(KIND.REVERSAL, named, reverses=original.key, reverses_document=document)
    first = (await connector.post([reversal]))[0]
    assert first.fate is Fate.POSTED, first
    assert (await connector.post([reversal]))[0] == first
    assert await connector.balances() == before
    again = posting(KIND.REVERSAL, named, reverses=original.key, reverses_document=document)
    assert (await connector.post([again]))[0].fate is Fate.REJECTED
