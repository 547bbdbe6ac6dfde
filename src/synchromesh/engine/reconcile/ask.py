"""What a business system is asked for a reconciliation: its stock, its orders' totals, and what happened there that is not heard of yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance, Change, Connector, OrderTotal, TellsOrders
from synchromesh.engine.activation import in_force
from synchromesh.log.agreement import Log
from synchromesh.model.event import DocumentBooked, DocumentCancelled
from synchromesh.model.message import ENTERPRISE, NATIVE
from synchromesh.state.agreement import Reading

PULLS: Final = 20
"""How often a system is asked for news at the most."""

TAIL: Final = 10_000
"""How much of a log that is not folded yet is looked through."""

_news: Final = msgspec.json.Decoder(DocumentBooked | DocumentCancelled).decode
BOOKED: Final = "erp.document.booked"
CANCELLED: Final = "erp.document.cancelled"
BOOKED_BYTES: Final = BOOKED.encode()
CANCELLED_BYTES: Final = CANCELLED.encode()
Connect = Callable[[str], Connector]
"""Makes the connector to a business system by its name."""


class System:
    """One business system during one reconciliation."""

    def __init__(self, name: str, connector: Connector, reading: Reading, log: Log) -> None:
        self.name = name
        self._connector = connector
        self._reading = reading
        self._log = log

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
        """Documents that others booked or cancelled there and that the plant has not folded: not pulled yet, or in its log. Asking takes
        nothing over."""
        decision = in_force(self._reading, ENTERPRISE, "cursor", self.name)
        cursor = decision.content if decision is not None else ""
        news = list(self._in_the_log(plant))
        for _ in range(PULLS if cursor else 0):
            pulled = await self._connector.pull(cursor)
            news += [_decoded(change) for change in pulled.changes if change.type in (BOOKED, CANCELLED) and change.plant in ("", plant)]
            if not pulled.changes:
                break
            cursor = pulled.cursor
        return news

    def _in_the_log(self, plant: str) -> Iterator[DocumentBooked | DocumentCancelled]:
        """What stands in the plant's log behind what is folded."""
        position = self._reading.positions().get(plant, 0)
        for record in self._log.read({plant: position}, TAIL).get(plant, []):
            message = record.message
            if message.interface == NATIVE and (BOOKED_BYTES in message.body or CANCELLED_BYTES in message.body):
                try:
                    yield _news(message.body)
                except (msgspec.MsgspecError, ValueError):
                    continue  # it only speaks of such a document


def _decoded(change: Change) -> DocumentBooked | DocumentCancelled:
    """The change's data is the event with or without its type."""
    data = change.data
    if not data.startswith(b'{"type":'):
        data = b'{"type":' + msgspec.json.encode(change.type) + (b"," if len(data) > len(b"{}") else b"") + data[1:]
    event: DocumentBooked | DocumentCancelled = _news(data)
    return event


@asynccontextmanager
async def asking(connect: Connect, name: str, reading: Reading, log: Log) -> AsyncIterator[System]:
    """The system while it is asked; its connections are closed afterwards."""
    connector = connect(name)
    try:
        yield System(name, connector, reading, log)
    finally:
        await connector.close()
