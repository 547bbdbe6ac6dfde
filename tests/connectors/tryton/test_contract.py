"""The contract suite on a real Tryton, with the module and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("trytond", reason="needs the extra `tryton`")

from tests.connectors.tryton.erp import CLOSED, TODAY, Books, Wire, new_order
from tests.contracts.connector import ConnectorContract, Names, Totals, Trouble, World

from synchromesh.connectors.agreement import Connector
from synchromesh.connectors.tryton import connect
from synchromesh.connectors.tryton.rpc import Json
from synchromesh.connectors.tryton.server import TrytonServer
from synchromesh.model.posting import Category

pytestmark = [pytest.mark.tryton, pytest.mark.slow]


class TrytonWorld(World):
    """Tryton behind a line that can be cut."""

    names = Names(
        plant="P1",
        component="RM",
        product="FG",
        unit="EA",
        store="STO",
        other_store="BIN2",
        day=TODAY,
        closed_day=CLOSED,
        planned_order="PLANNED",
        closed_order="CLOSED",
    )
    refuses = frozenset(
        {
            Category.CLOSED_PERIOD,
            Category.UNKNOWN_ITEM,
            Category.UNKNOWN_ORDER,
            Category.UNKNOWN_LOT,
            Category.UNKNOWN_LOCATION,
            Category.INSUFFICIENT_STOCK,
            Category.MISSING_UNIT,
            Category.ORDER_NOT_RELEASED,
            Category.ORDER_CLOSED,
            Category.INVALID,
        }
    )
    troubles = frozenset({Trouble.UNREACHABLE, Trouble.REQUEST_LOST, Trouble.REPLY_LOST})
    by_hand = True

    def __init__(self, server: TrytonServer, wire: Wire, module: bool) -> None:
        self.server = server
        self.wire = wire
        self.module = module
        self.books = Books(server)
        self.connector = self._connect(wire.url)

    def _connect(self, url: str) -> Connector:
        return connect(self.server.settings(url=url, module=self.module))

    async def new_order(self) -> str:
        return await new_order(self.server)

    async def documents(self, key: str) -> int:
        if self.module:
            return len(await self.books.ids("synchromesh.posting", ["key", "=", key]))
        shipments = await self.books.ids("stock.shipment.internal", ["reference", "=", key], ["state", "=", "done"])
        orders = await self.books.ids("production")
        notes = await self.books.rows(
            "ir.note", ["message"], ["resource", "in", [f"production,{i}" for i in orders]], ["message", "like", f"%{key}\n%"]
        )
        booked = 0
        for note in notes:
            moves = [int(i) for i in str(note["message"]).split('"moves":[')[-1].split("]")[0].split(",") if i.isdigit()]
            done = await self.books.ids("stock.move", ["id", "in", moves], ["state", "=", "done"])
            booked += len(done) == len(moves)
        return len(shipments) + booked

    async def totals(self, order: str) -> Totals:
        production = (await self.books.ids("production", ["reference", "=", order]))[0]
        product, component = ["product.code", "=", "FG"], ["product.code", "=", "RM"]
        made: Json = ["production_output", "=", production]
        used: Json = ["production_input", "=", production]
        moved = self.books.moved
        received = await moved(made, product, ["to_location.type", "=", "storage"]) - await moved(used, product)
        issued = await moved(used, component) - await moved(made, component)
        return Totals(received, await moved(made, ["to_location.type", "=", "lost_found"]), issued)

    async def again(self) -> Connector:
        return self._connect(self.server.url)

    @asynccontextmanager
    async def trouble(self, trouble: Trouble) -> AsyncIterator[None]:
        booking = b"model.synchromesh.posting.post" if self.module else b"model.stock.move.do"
        before = self.connector
        try:
            if trouble is Trouble.UNREACHABLE:
                # Nobody listens on port 1 of this machine.
                self.connector = self._connect("http://127.0.0.1:1")
            elif trouble is Trouble.REQUEST_LOST:
                self.wire.cut_request = booking
            else:
                self.wire.cut_reply = booking
            yield
        finally:
            if self.connector is not before:
                await self.connector.close()
                self.connector = before
            self.wire.cut_request = self.wire.cut_reply = b""

    async def settle(self) -> None:
        """A request that was cut never reached Tryton, and one whose answer was cut had been executed."""

    async def book_by_hand(self) -> str:
        person = await self._person()
        try:
            places = {row["code"] or row["type"]: row["id"] for row in await person.rows("stock.location", ["code", "type"])}
            products = await person.ids("product.product", ["code", "=", "RM"])
            values: Json = {
                "product": products[0],
                "unit": (await person.ids("product.uom", ["symbol", "=", "u"]))[0],
                "quantity": 1.0,
                "from_location": places["lost_found"],
                "to_location": places["STO"],
                "company": (await person.ids("company.company"))[0],
            }
            created = await person.call("model.stock.move.create", [values])
            await person.call("model.stock.move.do", created)
        finally:
            await person.close()
        assert isinstance(created, list)
        return f"MOVE-{created[0]}"

    async def cancel_by_hand(self, document: str) -> None:
        person = await self._person()
        try:
            if self.module:
                moves: Json = await person.ids("stock.move", ["synchromesh_posting.number", "=", document])
            else:
                note = (await person.rows("ir.note", ["message"], ["id", "=", int(document.partition("/")[2])]))[0]
                moves = [int(i) for i in str(note["message"]).split('"moves":[')[1].split("]")[0].split(",")]
            await person.call("model.stock.move.cancel", moves)
        finally:
            await person.close()

    async def _person(self) -> Books:
        return Books(self.server, "admin")


async def _world(server: TrytonServer, module: bool) -> AsyncIterator[TrytonWorld]:
    async with Wire(server).open() as wire:
        world = TrytonWorld(server, wire, module)
        yield world
        await world.connector.close()
        await world.books.close()


class TestWithTheModule(ConnectorContract):
    @pytest.fixture
    async def world(self, with_module: TrytonServer) -> AsyncIterator[TrytonWorld]:
        async for world in _world(with_module, module=True):
            yield world


class TestWithoutTheModule(ConnectorContract):
    @pytest.fixture
    async def world(self, without_module: TrytonServer) -> AsyncIterator[TrytonWorld]:
        async for world in _world(without_module, module=False):
            yield world
