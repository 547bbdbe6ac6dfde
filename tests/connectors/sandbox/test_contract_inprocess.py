"""The contract suite on the in-process sandbox, in each grade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests.connectors.sandbox.plant import NAMES, REFUSES, TROUBLES, furnish
from tests.contracts.connector import ConnectorContract, Totals, Trouble, World

from synchromesh.connectors.agreement import Connector, Grade
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.connectors.sandbox.inprocess import InProcess
from synchromesh.connectors.sandbox.records import ErpOrder, HandBooking, HandCancel, Rules
from synchromesh.model.event import Component, amount
from synchromesh.model.posting import Line, PostingKind


class SandboxWorld(World):
    """The sandbox in virtual time."""

    names = NAMES
    refuses = REFUSES
    troubles = frozenset(TROUBLES)
    by_hand = True

    def __init__(self, grade: Grade) -> None:
        self.now = datetime(2026, 6, 15, 8, tzinfo=UTC)
        self.books = Books(Rules(grade=grade, tolerance=Decimal("0.1"), kinds=frozenset(PostingKind)))
        self.faults = Faults(delay=timedelta(minutes=1))
        self.connector = self.sandbox = InProcess(self.books, self.faults, lambda: self.now)
        for entry in furnish():
            self.books.enter(entry, self.now)
        self.orders = 0

    async def new_order(self) -> str:
        self.orders += 1
        components = (Component(item=NAMES.component, quantity=amount(200, "EA"), location=NAMES.store),)
        order = ErpOrder(
            order=f"O-{self.orders}", item=NAMES.product, quantity=amount(100, "EA"), components=components, location=NAMES.store
        )
        self.books.enter(order, self.now)
        return order.order

    async def documents(self, key: str) -> int:
        return len(self.books.keys.get(key, ()))

    async def totals(self, order: str) -> Totals:
        seen = self.books.booked(order)
        return Totals(
            received=seen.get(("received", NAMES.product), Decimal(0)),
            scrapped=seen.get(("scrapped", NAMES.product), Decimal(0)),
            issued=seen.get(("issued", NAMES.component), Decimal(0)),
        )

    async def again(self) -> Connector:
        return InProcess(self.books, self.faults, lambda: self.now)

    @asynccontextmanager
    async def trouble(self, trouble: Trouble) -> AsyncIterator[None]:
        self.faults.arm(Fault(TROUBLES[trouble]))
        yield

    async def settle(self) -> None:
        self.now += timedelta(minutes=1)
        self.sandbox.counter.advance(self.now)

    async def book_by_hand(self) -> str:
        line = Line(item=NAMES.component, quantity=amount(1, "EA"), location=NAMES.store, reason="found")
        self.books.enter(HandBooking(kind=PostingKind.ADJUSTMENT, effective=date(2026, 6, 15), lines=(line,)), self.now)
        return list(self.books.documents)[-1]

    async def cancel_by_hand(self, document: str) -> None:
        self.books.enter(HandCancel(document=document), self.now)


@pytest.mark.parametrize("grade", list(Grade), scope="class")
class TestInProcess(ConnectorContract):
    @pytest.fixture
    def world(self, grade: Grade) -> World:
        return SandboxWorld(grade)
