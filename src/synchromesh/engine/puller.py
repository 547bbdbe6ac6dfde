"""The puller: what changed in a business system becomes messages, each once.

Changes have identities of their own, so pulling one twice after a crash is harmless; the cursor is a message behind the changes it covers,
so it never runs ahead of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance, Change, Connector, Pulled
from synchromesh.engine.activation import Deciding, activations, in_force
from synchromesh.log.agreement import Log
from synchromesh.model.event import ItemChanged, StockLine, StockObserved
from synchromesh.model.message import ENTERPRISE, NATIVE, Message
from synchromesh.state.agreement import Reading

_item: Final = msgspec.json.Decoder(ItemChanged).decode
ITEM: Final = "master.item.changed"
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Puller:
    """Pulls one business system's changes for `plants`. What belongs to no plant goes to the enterprise partition, which hands it on."""

    def __init__(
        self, target: str, connector: Connector, log: Log, reading: Reading, plants: Collection[str], *, now: Callable[[], datetime]
    ) -> None:
        self._target = target
        self._connector = connector
        self._log = log
        self._reading = reading
        self._plants = plants
        self._now = now
        cursor = in_force(reading, ENTERPRISE, "cursor", target)
        self._cursor = cursor.content if cursor is not None else ""
        self._observed = cursor is not None
        self._items: dict[str, None] = {}
        """Items pulled before the first reading of their stock. A system without any item is not set up yet and is not read."""

    async def step(self) -> int:
        """Pull once and append what came; how many changes there were. Raises `ConnectorError`, `LogError`; nothing is skipped then."""
        pulled = await self._connector.pull(self._cursor)
        now = self._now()
        messages = [
            Message(
                change.plant if change.plant in self._plants else ENTERPRISE, f"erp/{self._target}", change.id, NATIVE, now, _body(change)
            )
            for change in pulled.changes
        ]
        if not self._observed:
            self._items.update((_item(change.data).item, None) for change in pulled.changes if change.type == ITEM)
        if not pulled.changes and not self._observed and self._items:
            messages += self._stock(await self._connector.balances(), now)
            self._observed = True
            messages += self._moved(pulled, now)
        elif pulled.changes:
            messages += self._moved(pulled, now) if self._observed else []
        if messages:
            self._log.append(messages)
        self._cursor = pulled.cursor
        return len(pulled.changes)

    def _moved(self, pulled: Pulled, now: datetime) -> list[Message]:
        return activations(self._reading, [Deciding(ENTERPRISE, "cursor", self._target, pulled.cursor)], now)

    def _stock(self, balances: list[Balance], now: datetime) -> list[Message]:
        """The books as they were first read: from here on the booked ledger is known, and issues can wait for stock."""
        by_item: dict[str, list[StockLine]] = {item: [] for item in self._items}
        for each in balances:
            line = StockLine(each.item, each.location, each.quantity, each.lot, each.status, each.owner)
            by_item.setdefault(line.item, []).append(line)
        return [
            Message(
                ENTERPRISE,
                f"erp/{self._target}",
                f"stock:{item}:{int(now.timestamp() * 1000)}",
                NATIVE,
                now,
                _encode(StockObserved(tuple(lines), (item,))),
            )
            for item, lines in by_item.items()
        ]


def _body(change: Change) -> bytes:
    """The change as a canonical event: its data with its type, which a connector may leave out of the data."""
    if change.data.startswith(b'{"type":'):
        return change.data
    opening = b'{"type":' + msgspec.json.encode(change.type)
    return opening + (b"," if len(change.data) > len(b"{}") else b"") + change.data[1:]
