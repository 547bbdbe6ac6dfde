"""The contract suite on the sandbox over HTTP, in each grade: a real process, a real connector."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from tests.connectors.sandbox.plant import DAY, NAMES, REFUSES, TROUBLES, furnish
from tests.connectors.sandbox.process import Running, sandbox
from tests.contracts.connector import ConnectorContract, Totals, Trouble, World

from synchromesh.connectors.agreement import Connector, Grade
from synchromesh.connectors.sandbox import connect
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, LotMarked, StockSet
from synchromesh.model.event import Component, ItemChanged, PeriodChanged, amount
from synchromesh.model.posting import Line, PostingKind

FOLDERS = {
    ItemChanged: "items",
    ErpLocation: "locations",
    PeriodChanged: "periods",
    StockSet: "stock",
    LotMarked: "lots",
    ErpOrder: "orders",
}


class HttpWorld(World):
    """A served sandbox. Its books are shared by the tests of one grade."""

    names = NAMES
    refuses = REFUSES
    troubles = frozenset(TROUBLES) | {Trouble.UNREACHABLE}
    by_hand = True
    orders = itertools.count(1)

    def __init__(self, served: Running, grade: Grade) -> None:
        self.served = served
        self.grade = grade
        self.connector = self.connected(served.url)

    def connected(self, url: str) -> Connector:
        return connect({"url": url, "grade": self.grade.value, "timeout_seconds": 20.0})

    async def new_order(self) -> str:
        components = (Component(item=NAMES.component, quantity=amount(200, "EA"), location=NAMES.store),)
        name = f"O-{next(self.orders)}"
        order = ErpOrder(order=name, item=NAMES.product, quantity=amount(100, "EA"), components=components, location=NAMES.store)
        await asyncio.to_thread(self.served.admin, "orders", [order])
        return name

    async def documents(self, key: str) -> int:
        return len(await asyncio.to_thread(self.served.look, f"/admin/keys/{key}"))

    async def totals(self, order: str) -> Totals:
        seen = await asyncio.to_thread(self.served.look, f"/orders/{order}")
        amounts = {(each["what"], each["name"]): Decimal(each["amount"]) for each in seen}
        return Totals(
            received=amounts.get(("received", NAMES.product), Decimal(0)),
            scrapped=amounts.get(("scrapped", NAMES.product), Decimal(0)),
            issued=amounts.get(("issued", NAMES.component), Decimal(0)),
        )

    async def again(self) -> Connector:
        return self.connected(self.served.url)

    @asynccontextmanager
    async def trouble(self, trouble: Trouble) -> AsyncIterator[None]:
        if trouble is not Trouble.UNREACHABLE:
            await asyncio.to_thread(self.served.admin, "faults", {"arm": [TROUBLES[trouble]]})
            yield
            return
        reachable, self.connector = self.connector, self.connected(unused_address())
        try:
            yield
        finally:
            await self.connector.close()
            self.connector = reachable

    async def settle(self) -> None:
        await asyncio.to_thread(self.served.admin, "settle", {})

    async def book_by_hand(self) -> str:
        line = Line(item=NAMES.component, quantity=amount(1, "EA"), location=NAMES.store, reason="found")
        entry = {"kind": PostingKind.ADJUSTMENT, "effective": DAY, "lines": [line]}
        answer = await asyncio.to_thread(self.served.admin, "book-by-hand", [entry])
        return str(answer["documents"][0])

    async def cancel_by_hand(self, document: str) -> None:
        await asyncio.to_thread(self.served.admin, "cancel", [{"document": document}])


def unused_address() -> str:
    """An address at which nobody listens: port 1 is reserved, and a user could not open it."""
    return "http://127.0.0.1:1"


@pytest.fixture(scope="module", params=list(Grade))
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Grade]]:
    with sandbox("--grade", request.param, "--tolerance", "0.1", "--delay", "60") as running:
        for entry in furnish():
            running.admin(FOLDERS[type(entry)], [entry])
        yield running, request.param


class TestHttp(ConnectorContract):
    @pytest.fixture
    async def world(self, served: tuple[Running, Grade]) -> AsyncIterator[World]:
        world = HttpWorld(*served)
        yield world
        await world.connector.close()
