"""The puller: what changed in a business system becomes messages, each once.

Changes have identities of their own, so pulling one twice after a crash is harmless; the cursor is a message behind the changes it covers,
so it never runs ahead of them.

At the first pull of a system its items are held back until its stock was read. Each item then stands right behind its stock in the log, so
that no plant ever knows an item whose books it does not know: a fact that came between would be sent without waiting for stock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from itertools import repeat
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
PAIRS: Final = 1_000
"""Items that are appended at a time at the first reading, each with its stock."""

READINGS: Final = 5
"""How often stock is read at the most until nothing was booked meanwhile."""

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
        self._held: list[tuple[str, Message]] = []
        """Items that wait for the first reading of their stock. A system without any item is not set up yet and is not read."""
        self._readings = 0

    async def step(self) -> int:
        """Pull once and append what came; how many changes there were. Raises `ConnectorError`, `LogError`; nothing is skipped then."""
        pulled = await self._connector.pull(self._cursor)
        now = self._now()
        if self._observed:
            if pulled.changes:
                self._log.append([*map(self._message, pulled.changes, repeat(now)), *self._moved(pulled, now)])
        elif not pulled.changes and self._held:
            return await self._first_reading(pulled)
        else:
            self._hold_items(pulled, now)
        self._cursor = pulled.cursor
        return len(pulled.changes)

    def _message(self, change: Change, now: datetime) -> Message:
        partition = change.plant if change.plant in self._plants else ENTERPRISE
        return Message(partition, f"erp/{self._target}", change.id, NATIVE, now, _body(change))

    def _hold_items(self, pulled: Pulled, now: datetime) -> None:
        """Append what is no item, and keep the items until their stock is read."""
        others = [self._message(change, now) for change in pulled.changes if change.type != ITEM]
        if others:
            self._log.append(others)
        self._held += [(_item(change.data).item, self._message(change, now)) for change in pulled.changes if change.type == ITEM]

    async def _first_reading(self, end: Pulled) -> int:
        """Read the stock, and append each item behind its own. What was booked since `end` may be in it or not, so it is read again then,
        a few times at the most: people book all day long."""
        balances = await self._connector.balances()
        later = await self._connector.pull(end.cursor)
        now = self._now()
        self._readings += 1
        if later.changes and self._readings < READINGS:
            self._hold_items(later, now)
            self._cursor = later.cursor
            return len(later.changes)
        pairs = self._stock(balances, now)
        for first in range(0, len(pairs), PAIRS):
            self._log.append([message for pair in pairs[first : first + PAIRS] for message in pair])
        if moved := self._moved(end, now):
            self._log.append(moved)
        self._observed, self._held, self._cursor = True, [], end.cursor
        return len(later.changes)

    def _moved(self, pulled: Pulled, now: datetime) -> list[Message]:
        return activations(self._reading, [Deciding(ENTERPRISE, "cursor", self._target, pulled.cursor)], now)

    def _stock(self, balances: list[Balance], now: datetime) -> list[tuple[Message, Message]]:
        """The books as they were first read, each item's with the item: from here on its booked ledger is known, and issues can wait for
        stock."""
        by_item: dict[str, list[StockLine]] = {}
        for each in balances:
            line = StockLine(each.item, each.location, each.quantity, each.lot, each.status, each.owner)
            by_item.setdefault(line.item, []).append(line)
        stamp = int(now.timestamp() * 1000)
        return [(self._read(message, StockObserved(tuple(by_item.get(item, ())), (item,)), stamp), message) for item, message in self._held]

    def _read(self, item: Message, stock: StockObserved, stamp: int) -> Message:
        return msgspec.structs.replace(item, id=f"stock:{stock.items[0]}:{stamp}", body=_encode(stock))


def _body(change: Change) -> bytes:
    """The change as a canonical event: its data with its type, which a connector may leave out of the data."""
    if change.data.startswith(b'{"type":'):
        return change.data
    opening = b'{"type":' + msgspec.json.encode(change.type)
    return opening + (b"," if len(change.data) > len(b"{}") else b"") + change.data[1:]
