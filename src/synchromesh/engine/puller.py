"""The puller: what changed in a business system becomes messages, each once.

Changes have identities of their own, so pulling one twice after a crash is harmless; the cursor is a message behind the changes it covers,
so it never runs ahead of them.

At the first pull of a system its items are held back until its stock was read. Each item then stands right behind its stock in the log, so
that no plant ever knows an item whose books it does not know: a fact that came between would be sent without waiting for stock.

A plant that joins later is told everything from the beginning, by a course of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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
PAIRS: Final = 1_000
"""Items that are appended at a time at the first reading, each with its stock."""

READINGS: Final = 5
"""How often stock is read at the most until nothing was booked meanwhile."""

JOINED: Final = "joined"
"""The cursor of a plant that has heard everything from the beginning."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Puller:
    """Pulls one business system's changes for `plants`. What belongs to no plant goes to the enterprise partition, which hands it on."""

    def __init__(
        self, target: str, connector: Connector, log: Log, reading: Reading, plants: Collection[str], *, now: Callable[[], datetime]
    ) -> None:
        joined = {plant: Deciding(ENTERPRISE, "cursor", f"{target}/{plant}", JOINED) for plant in plants}
        all_ = _Course(target, connector, log, reading, lambda plant: plant if plant in plants else ENTERPRISE, joined.values(), now)
        self._all = all_
        self._later = [
            _Course(target, connector, log, reading, _only(plant), [mark], now, restart=True)
            for plant, mark in joined.items()
            if all_.observed and in_force(reading, ENTERPRISE, "cursor", mark.name) is None
        ]

    async def step(self) -> int:
        """Pull once and append what came; how many changes there were. Raises `ConnectorError`, `LogError`; nothing is skipped then."""
        pulled = await self._all.step()
        for course in self._later:
            pulled += await course.step()
        self._later = [course for course in self._later if not course.observed]
        return pulled


def _only(plant: str) -> Callable[[str], str]:
    """What a plant that joins is told: what is its own and what belongs to no plant."""
    return lambda of: plant if of in ("", plant) else ""


class _Course:
    """One way through a system's changes. `partition_of` says where a change of a plant goes, '' for nowhere; `marks` are told when the
    stock was read. One that starts anew ends there and keeps no cursor."""

    def __init__(
        self,
        target: str,
        connector: Connector,
        log: Log,
        reading: Reading,
        partition_of: Callable[[str], str],
        marks: Iterable[Deciding],
        now: Callable[[], datetime],
        *,
        restart: bool = False,
    ) -> None:
        self._target = target
        self._connector = connector
        self._log = log
        self._reading = reading
        self._partition_of = partition_of
        self._marks = list(marks)
        self._now = now
        self._restart = restart
        cursor = None if restart else in_force(reading, ENTERPRISE, "cursor", target)
        self._cursor = cursor.content if cursor is not None else ""
        self.observed = cursor is not None
        self._held: list[tuple[str, Message]] = []
        """Items that wait for the first reading of their stock. A system without any item is not set up yet and is not read."""
        self._readings = 0

    async def step(self) -> int:
        pulled = await self._connector.pull(self._cursor)
        now = self._now()
        if self.observed:
            if pulled.changes:
                self._log.append([*self._messages(pulled, now), *self._moved(pulled, now)])
        elif not pulled.changes and self._held:
            return await self._first_reading(pulled)
        else:
            self._hold_items(pulled, now)
        self._cursor = pulled.cursor
        return len(pulled.changes)

    def _messages(self, pulled: Pulled, now: datetime) -> list[Message]:
        return [message for change in pulled.changes if (message := self._message(change, now)).partition]

    def _message(self, change: Change, now: datetime) -> Message:
        return Message(self._partition_of(change.plant), f"erp/{self._target}", change.id, NATIVE, now, _body(change))

    def _hold_items(self, pulled: Pulled, now: datetime) -> None:
        """Append what is no item, and keep the items until their stock is read."""
        items = {change.id: _item(change.data).item for change in pulled.changes if change.type == ITEM}
        messages = self._messages(pulled, now)
        others = [message for message in messages if message.id not in items]
        if others:
            self._log.append(others)
        self._held += [(items[message.id], message) for message in messages if message.id in items]

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
        if moved := [*self._moved(end, now), *activations(self._reading, self._marks, now)]:
            self._log.append(moved)
        self.observed, self._held, self._cursor = True, [], end.cursor
        return len(later.changes)

    def _moved(self, pulled: Pulled, now: datetime) -> list[Message]:
        cursor = Deciding(ENTERPRISE, "cursor", self._target, pulled.cursor)
        return [] if self._restart else activations(self._reading, [cursor], now)

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
