"""The connector with the module: what Tryton alone would let pass, repeated keys, crashes, several plants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.connectors.tryton.erp import CACHE, CLOSED, Books, Wire, line, new_order, posting

from synchromesh.connectors.agreement import Connector, FindingState
from synchromesh.connectors.tryton import connect
from synchromesh.connectors.tryton.provision import Part, Provisioner
from synchromesh.connectors.tryton.server import TrytonServer, seeded
from synchromesh.model.event import DocumentBooked, ItemChanged, OrderChanged, PeriodChanged, amount
from synchromesh.model.posting import Category, Fate, Posting, PostingKind, Reply

pytestmark = [pytest.mark.tryton, pytest.mark.slow]

KIND = PostingKind


@pytest.fixture
async def connector(with_module: TrytonServer) -> AsyncIterator[Connector]:
    connector = connect(with_module.settings())
    yield connector
    await connector.close()


@pytest.fixture
async def books(with_module: TrytonServer) -> AsyncIterator[Books]:
    books = Books(with_module)
    yield books
    await books.close()


@pytest.fixture
async def order(with_module: TrytonServer) -> str:
    return await new_order(with_module)


async def post(connector: Connector, *postings: Posting) -> list[Reply]:
    replies = await connector.post(postings)
    assert [reply.key for reply in replies] == [posting.key for posting in postings]
    return replies


async def refused(connector: Connector, wrong: Posting) -> Category:
    reply = (await post(connector, wrong))[0]
    assert reply.fate is Fate.REJECTED
    assert reply.refusal is not None
    return reply.refusal.category


async def posted(connector: Connector, *postings: Posting) -> list[str]:
    replies = await post(connector, *postings)
    assert [reply.fate for reply in replies] == [Fate.POSTED] * len(postings), replies
    return [reply.document for reply in replies]


async def test_an_order_from_issue_to_completion(connector: Connector, books: Books, order: str) -> None:
    await posted(
        connector,
        posting(KIND.ISSUE, order, line("RM", 190)),
        posting(KIND.CONFIRMATION, order, operation="10", labour_seconds=60),
        posting(KIND.RECEIPT, order, line("FG", 95)),
        posting(KIND.SCRAP, order, line("FG", 5, reason="bent")),
        posting(KIND.COMPLETION, order),
    )
    production = (await books.rows("production", ["state", "inputs", "outputs"], ["reference", "=", order]))[0]
    assert production["state"] == "done"
    # What was planned and not issued is withdrawn: the books hold what was posted, no more.
    assert await books.moved(["production_input", "=", production["id"]]) == 190
    assert await books.moved(["production_output", "=", production["id"]]) == 100
    assert await refused(connector, posting(KIND.RECEIPT, order, line("FG", 1))) is Category.ORDER_CLOSED
    assert await refused(connector, posting(KIND.COMPLETION, order)) is Category.ORDER_CLOSED


async def test_an_order_that_planned_a_component_kept_by_lot_is_completed(
    with_module: TrytonServer, connector: Connector, books: Books
) -> None:
    order = await new_order(with_module, Part("LOTTED", amount(3, "EA")))
    await posted(connector, posting(KIND.RECEIPT, order, line("FG", 1)), posting(KIND.COMPLETION, order))
    assert [row["state"] for row in await books.rows("production", ["state"], ["reference", "=", order])] == ["done"]


async def test_tryton_lets_productions_into_closed_periods_and_we_do_not(connector: Connector, books: Books, order: str) -> None:
    before = await books.moved(["product.code", "=", "RM"])
    for kind, item in ((KIND.ISSUE, "RM"), (KIND.RECEIPT, "FG"), (KIND.SCRAP, "FG")):
        assert await refused(connector, posting(kind, order, line(item, 1), effective=CLOSED)) is Category.CLOSED_PERIOD
    assert await books.moved(["product.code", "=", "RM"]) == before


async def test_lots_are_made_by_receipts_and_asked_for_elsewhere(connector: Connector, order: str) -> None:
    lot = f"L-{order}"
    assert await refused(connector, posting(KIND.RECEIPT, order, line("LOTTED", 5))) is Category.UNKNOWN_LOT
    assert await refused(connector, posting(KIND.ISSUE, order, line("LOTTED", 1, lot=lot))) is Category.UNKNOWN_LOT
    # The issue of the same request sees the lot and the stock that the receipt before it makes.
    replies = await post(
        connector,
        posting(KIND.RECEIPT, order, line("LOTTED", 5, lot=lot)),
        posting(KIND.ISSUE, order, line("LOTTED", 3, lot=lot)),
        posting(KIND.ISSUE, order, line("LOTTED", 3, lot=lot)),
    )
    assert [reply.fate for reply in replies] == [Fate.POSTED, Fate.POSTED, Fate.REJECTED]
    balances = [b for b in await connector.balances(["LOTTED"]) if b.lot == lot]
    assert [(b.location, b.quantity) for b in balances] == [("STO", amount(2, "EA"))]


async def test_a_deactivated_lot_is_not_usable(connector: Connector, books: Books, order: str) -> None:
    lot = f"OLD-{order}"
    await posted(connector, posting(KIND.RECEIPT, order, line("LOTTED", 5, lot=lot)))
    await books.call("model.stock.lot.write", await books.ids("stock.lot", ["number", "=", lot]), {"active": False})
    assert await refused(connector, posting(KIND.ISSUE, order, line("LOTTED", 1, lot=lot))) is Category.LOT_NOT_USABLE


async def test_a_status_is_a_place_of_its_own(connector: Connector, order: str) -> None:
    held = f"held-{order}"
    await posted(connector, posting(KIND.RECEIPT, order, line("FG", 7, status=held)))
    assert [b.quantity for b in await connector.balances(["FG"]) if (b.location, b.status) == ("STO", held)] == [amount(7, "EA")]
    await posted(connector, posting(KIND.TRANSFER, "", line("FG", 7, location="STO", status=held, to_status="")))
    assert not [b for b in await connector.balances(["FG"]) if b.status == held]
    missing = posting(KIND.TRANSFER, "", line("FG", 1, location="STO", status=held, to_status=""))
    assert await refused(connector, missing) is Category.INSUFFICIENT_STOCK


async def test_units_are_converted_and_never_rounded_away(connector: Connector, books: Books, order: str) -> None:
    await posted(connector, posting(KIND.ISSUE, order, line("OIL", 500, unit="GRM")))
    production = (await books.ids("production", ["reference", "=", order]))[0]
    moves = await books.rows("stock.move", ["internal_quantity"], ["production_input", "=", production], ["product.code", "=", "OIL"])
    assert [str(move["internal_quantity"]) for move in moves] == ["0.5"]
    assert await refused(connector, posting(KIND.ISSUE, order, line("OIL", 1, unit="GRM"))) is Category.INVALID
    assert await refused(connector, posting(KIND.ISSUE, order, line("OIL", 1, unit="MTR"))) is Category.MISSING_UNIT


async def test_scrap_of_a_component_leaves_stock(connector: Connector, books: Books, order: str) -> None:
    before = sum(b.quantity.amount for b in await connector.balances(["RM"]))
    await posted(connector, posting(KIND.SCRAP, order, line("RM", 4, reason="dropped")))
    assert sum(b.quantity.amount for b in await connector.balances(["RM"])) == before - 4


async def test_differences_take_back(connector: Connector, order: str) -> None:
    before = sum(b.quantity.amount for b in await connector.balances(["RM"]))
    await posted(connector, posting(KIND.ISSUE, order, line("RM", 10)), posting(KIND.ISSUE, order, line("RM", -4)))
    assert sum(b.quantity.amount for b in await connector.balances(["RM"])) == before - 6
    await posted(connector, posting(KIND.COMPLETION, order))


@pytest.mark.parametrize("kind", [KIND.ISSUE, KIND.RECEIPT, KIND.SCRAP, KIND.TRANSFER, KIND.ADJUSTMENT, KIND.CONFIRMATION])
async def test_every_kind_can_be_reversed(connector: Connector, books: Books, order: str, kind: PostingKind) -> None:
    item = "RM" if kind in {KIND.ISSUE, KIND.TRANSFER, KIND.ADJUSTMENT} else "FG"
    lines = () if kind is KIND.CONFIRMATION else (line(item, 2, location="STO", to_location="BIN2" if kind is KIND.TRANSFER else ""),)
    named = "" if kind in {KIND.TRANSFER, KIND.ADJUSTMENT} else order
    before = await connector.balances()
    original = posting(kind, named, *lines)
    document = (await posted(connector, original))[0]
    await posted(connector, posting(KIND.REVERSAL, named, reverses=original.key, reverses_document=document))
    assert await connector.balances() == before
    rows = await books.rows("synchromesh.posting", ["state"], ["key", "=", original.key])
    assert [row["state"] for row in rows] == ["reversed"]


async def test_what_is_consumed_can_not_be_taken_back(connector: Connector, order: str) -> None:
    lot = f"USED-{order}"
    receipt = posting(KIND.RECEIPT, order, line("LOTTED", 5, lot=lot))
    await posted(connector, receipt, posting(KIND.ISSUE, order, line("LOTTED", 5, lot=lot)))
    assert await refused(connector, posting(KIND.REVERSAL, order, reverses=receipt.key)) is Category.INSUFFICIENT_STOCK


async def test_one_key_from_four_senders_is_one_document(with_module: TrytonServer, connector: Connector, books: Books, order: str) -> None:
    same = posting(KIND.RECEIPT, order, line("FG", 2))
    senders = [connect(with_module.settings()) for _ in range(4)]
    try:
        replies = [r for found in await asyncio.gather(*(s.post([same]) for s in senders)) for r in found]
    finally:
        for sender in senders:
            await sender.close()
    assert {reply.fate for reply in replies} <= {Fate.POSTED, Fate.RETRY}
    assert len({reply.document for reply in replies if reply.fate is Fate.POSTED}) == 1
    assert len(await books.ids("synchromesh.posting", ["key", "=", same.key])) == 1
    assert len(await books.ids("stock.move", ["synchromesh_posting.key", "=", same.key])) == 1


async def test_four_senders_never_take_more_than_there_is(with_module: TrytonServer, connector: Connector, order: str) -> None:
    lot = f"RACE-{order}"
    await posted(connector, posting(KIND.RECEIPT, order, line("LOTTED", 10, lot=lot)))
    senders = [connect(with_module.settings()) for _ in range(4)]
    try:
        takes = [posting(KIND.ISSUE, order, line("LOTTED", 4, lot=lot)) for _ in senders]
        replies = [r for found in await asyncio.gather(*(s.post([t]) for s, t in zip(senders, takes, strict=True))) for r in found]
    finally:
        for sender in senders:
            await sender.close()
    taken = 4 * sum(reply.fate is Fate.POSTED for reply in replies)
    rest = sum(b.quantity.amount for b in await connector.balances(["LOTTED"]) if b.lot == lot)
    assert rest == 10 - taken
    assert rest >= 0


async def test_a_key_twice_in_one_request_is_one_document(connector: Connector, order: str) -> None:
    same = posting(KIND.RECEIPT, order, line("FG", 2))
    documents = await posted(connector, same, posting(KIND.RECEIPT, order, line("FG", 1)), same)
    assert documents[0] == documents[2] != documents[1]
    changed = msgspec.structs.replace(same, lines=(line("FG", 3),))
    assert await refused(connector, changed) is Category.DUPLICATE


async def test_when_tryton_fails_only_its_posting_is_rejected(connector: Connector, books: Books, order: str) -> None:
    """Tryton moves no services, which none of our own checks knows: its error takes the whole request back."""
    unit = (await books.ids("product.uom", ["symbol", "=", "u"]))[0]
    code = f"SERVICE-{order}"
    template = {"name": code, "code": code, "type": "service", "default_uom": unit, "products": [["create", [{}]]]}
    await books.call("model.product.template.create", [template])
    wrong = posting(KIND.RECEIPT, order, line(code, 1))
    replies = await post(connector, posting(KIND.RECEIPT, order, line("FG", 1)), wrong, posting(KIND.RECEIPT, order, line("FG", 2)))
    assert [reply.fate for reply in replies] == [Fate.POSTED, Fate.REJECTED, Fate.POSTED]
    assert replies[1].refusal is not None
    assert replies[1].refusal.detail
    assert len(replies[1].refusal.detail) <= 2000
    assert (await connector.find(wrong.key)).state is FindingState.ABSENT


async def test_a_killed_server_is_asked_after_its_restart(own_tryton: TrytonServer) -> None:
    server = own_tryton
    name = await new_order(server)
    booked, unsent = posting(KIND.RECEIPT, name, line("FG", 2)), posting(KIND.RECEIPT, name, line("FG", 3))
    async with Wire(server).open() as wire:
        wire.cut_reply = b"synchromesh.posting.post"
        cut = connect(server.settings(url=wire.url))
        assert (await post(cut, booked))[0].fate is Fate.DOUBT
        await cut.close()
    server.kill()
    connector = connect(server.settings())
    assert (await post(connector, unsent))[0].fate is Fate.RETRY
    server.restart()
    found = await connector.find(booked.key)
    assert found.state is FindingState.BOOKED
    assert found.reply is not None
    assert found.reply.document == (await posted(connector, booked))[0]
    assert (await connector.find(unsent.key)).state is FindingState.ABSENT
    await posted(connector, unsent)
    await connector.close()


async def test_two_plants_have_a_warehouse_each(own_tryton: TrytonServer) -> None:
    provisioner = Provisioner(own_tryton.settings())
    await provisioner.create_warehouse("W2", "Second plant")
    await provisioner.create_order("SECOND", "FG", amount(10, "EA"), warehouse="W2")
    await provisioner.close()
    connector = connect(own_tryton.settings(warehouse="WH", plants={"P2": "W2"}))
    try:
        await posted(
            connector,
            posting(KIND.RECEIPT, "SECOND", line("FG", 4), plant="P2"),
            posting(KIND.ADJUSTMENT, "", line("RM", 9), plant="P2"),
        )
        stock = {(b.item, b.location): b.quantity.amount for b in await connector.balances() if b.location.startswith("W2")}
        assert stock == {("FG", "W2-STO"): 4, ("RM", "W2-STO"): 9}
        changes = (await connector.pull("")).changes
        orders = {msgspec.json.decode(c.data, type=OrderChanged).order: c.plant for c in changes if c.type == "order.changed"}
        assert orders["SECOND"] == "P2"
    finally:
        await connector.close()


async def test_pull_tells_lots_units_periods_components_and_closing(with_module: TrytonServer, connector: Connector, order: str) -> None:
    pulled = await connector.pull("")
    items = {e.item: e for c in pulled.changes if c.type == "master.item.changed" for e in [msgspec.json.decode(c.data, type=ItemChanged)]}
    assert items["LOTTED"].lot_controlled
    assert (items["OIL"].unit, items["OIL"].decimals) == ("KGM", 2)
    periods = [msgspec.json.decode(c.data, type=PeriodChanged) for c in pulled.changes if c.type == "master.period.changed"]
    assert [period.open for period in periods if period.first <= CLOSED <= period.last] == [False]
    assert _order(pulled.changes, order).components[0].quantity == amount(200, "EA")
    assert (await connector.pull(pulled.cursor)).changes == []
    await posted(connector, posting(KIND.ISSUE, order, line("RM", 5)), posting(KIND.COMPLETION, order))
    later = await connector.pull(pulled.cursor)
    closed = _order(later.changes, order)
    assert (closed.status, closed.components[0].quantity) == ("completed", amount(200, "EA"))
    assert not [c for c in later.changes if c.type == "erp.document.booked"]


def _order(changes: object, name: str) -> OrderChanged:
    assert isinstance(changes, list)
    found = [msgspec.json.decode(c.data, type=OrderChanged) for c in changes if c.type == "order.changed"]
    return [event for event in found if event.order == name][-1]


async def test_a_plan_that_a_person_runs_is_told_as_documents_of_theirs(
    with_module: TrytonServer, connector: Connector, books: Books
) -> None:
    name = await new_order(with_module, Part("RM", amount(3, "EA")))
    cursor = (await connector.pull("")).cursor
    production = await books.ids("production", ["reference", "=", name])
    await books.call("model.production.assign_try", production)
    await books.call("model.production.run", production)
    pulled = await connector.pull(cursor)
    told = [msgspec.json.decode(c.data, type=DocumentBooked) for c in pulled.changes if c.type == "erp.document.booked"]
    assert [(e.kind, e.order, e.lines[0].item, e.lines[0].quantity) for e in told] == [(KIND.ISSUE, name, "RM", amount(3, "EA"))]


def test_a_seeded_database_is_made_once() -> None:
    assert seeded(CACHE, module=True) == seeded(CACHE, module=True)
