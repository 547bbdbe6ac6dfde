"""What a business system is asked for a reconciliation: its stock, its orders' totals, and what happened there that is not heard of yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance, Change, Connector, OrderTotal, TellsOrders
from synchromesh.engine.activation import in_force
from synchromesh.model.event import DocumentBooked, DocumentCancelled
from synchromesh.model.message import ENTERPRISE
from synchromesh.state.agreement import Reading

PULLS: Final = 20
"""How often a system is asked for news at the most."""

_booked: Final = msgspec.json.Decoder(DocumentBooked).decode
_cancelled: Final = msgspec.json.Decoder(DocumentCancelled).decode
BOOKED: Final = "erp.document.booked"
CANCELLED: Final = "erp.document.cancelled"
Connect = Callable[[str], Connector]
"""Makes the connector to a business system by its name."""


class System:
    """One business system during one reconciliation."""

    def __init__(self, name: str, connector: Connector, reading: Reading) -> None:
        self.name = name
        self._connector = connector
        self._reading = reading

    @property
    def tells_stock(self) -> bool:
        return self._connector.abilities.stock

    @property
    def tells_orders(self) -> bool:
        return isinstance(self._connector, TellsOrders)

    async def stock(self, items: Sequence[str] = ()) -> list[Balance]:
        """Stock on its books, of all items or of those named. Raises `ConnectorError`."""
        return await self._connector.balances(items)

    async def order_totals(self, orders: Sequence[str]) -> list[OrderTotal]:
        """What it has booked for these orders. Raises `ConnectorError`."""
        assert isinstance(self._connector, TellsOrders), "asked only when it can"
        return await self._connector.order_totals(orders)

    async def unheard(self, plant: str) -> list[DocumentBooked | DocumentCancelled]:
        """Documents that others booked or cancelled there and that were not pulled yet; nothing is taken over by asking."""
        decision = in_force(self._reading, ENTERPRISE, "cursor", self.name)
        cursor = decision.content if decision is not None else ""
        if not cursor:
            return []
        news: list[DocumentBooked | DocumentCancelled] = []
        for _ in range(PULLS):
            pulled = await self._connector.pull(cursor)
            news += [_decoded(change) for change in pulled.changes if change.type in (BOOKED, CANCELLED) and change.plant in ("", plant)]
            if not pulled.changes:
                break
            cursor = pulled.cursor
        return news


def _decoded(change: Change) -> DocumentBooked | DocumentCancelled:
    """The change's data is the event with or without its type."""
    data = change.data
    if not data.startswith(b'{"type":'):
        data = b'{"type":' + msgspec.json.encode(change.type) + (b"," if len(data) > len(b"{}") else b"") + data[1:]
    return _booked(data) if change.type == BOOKED else _cancelled(data)


@asynccontextmanager
async def asking(connect: Connect, name: str, reading: Reading) -> AsyncIterator[System]:
    """The system while it is asked; its connections are closed afterwards."""
    connector = connect(name)
    try:
        yield System(name, connector, reading)
    finally:
        await connector.close()
