"""The plant that every benchmark runs on: orders, items and lots of one size, and endless reports of good output, one posting each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.engine.worker import own_message
from synchromesh.log.agreement import Log
from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.quantity import Quantity
from synchromesh.plant.policy import Policy

PLANT: Final = "oslo"
SERIES: Final = "3f9a2c1d"
"""As every plant has one that was started by `serve`."""
ITEMS: Final = 50
CHUNK: Final = 5_000
encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Size(msgspec.Struct, frozen=True):
    """How much: orders and lots loaded, facts folded in process, seconds of load over HTTP, facts of history."""

    orders: int = 100_000
    lots: int = 20_000
    facts: int = 60_000
    seconds: float = 20.0
    history: int = 5_000_000
    pairs: int = 5


QUICK: Final = Size(orders=10_000, lots=2_000, facts=20_000, seconds=4.0, history=100_000, pairs=3)
TINY: Final = Size(orders=50, lots=10, facts=200, seconds=0.3, history=400, pairs=1)


def order_name(number: int) -> str:
    return f"WO-{number:06d}"


def lot_name(size: Size, order: int) -> str:
    """Neighbouring orders share a lot, so that a lot belongs to one item."""
    return f"LOT-{order * size.lots // size.orders:06d}"


def _item_name(size: Size, order: int) -> str:
    return f"ITEM-{order * size.lots // size.orders % ITEMS:03d}"


def load(log: Log, size: Size, now: datetime, plant: str = PLANT) -> None:
    """Append what a plant knows before its first report: a policy, a location, items and orders."""
    policy = encode(Policy(series=SERIES)).decode()
    messages = [own_message(plant, "policy", ev.Activated("policy", plant, "bench", policy), now)]
    messages.append(Message(plant, "erp", "location", NATIVE, now, encode(ev.LocationChanged("FG-01"))))
    for number in range(ITEMS):
        item = ev.ItemChanged(f"ITEM-{number:03d}", "EA", decimals=0)
        messages.append(Message(plant, "erp", f"item-{number}", NATIVE, now, encode(item)))
    log.append(messages)
    for first in range(0, size.orders, CHUNK):
        log.append([_order(size, number, now, plant) for number in range(first, min(first + CHUNK, size.orders))])


def _order(size: Size, number: int, now: datetime, plant: str) -> Message:
    order = ev.OrderChanged(order_name(number), _item_name(size, number), Quantity(Decimal(1000), "EA"), location="FG-01")
    return Message(plant, "erp", f"order-{number}", NATIVE, now, encode(order))


def reports(size: Size, seed: int, count: int, now: datetime, prefix: str = "f", plant: str = PLANT) -> list[Message]:
    """Reports of random orders, as a worker finds them in the log."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        order = chance.randrange(size.orders)
        good = Quantity(Decimal(chance.randrange(1, 9)), "EA")
        event = ev.ProductionReported(order_name(order), good=good, lot=lot_name(size, order))
        found.append(Message(plant, f"mes/{number % 20}", f"{prefix}-{number:09d}", NATIVE, now, encode(event), occurred=now))
    return found


_POSTED: Final = (
    '{"id":"%s-%d","source":"mes/%d","type":"production.reported","time":"%s",'
    '"data":{"order":"%s","lot":"%s","good":{"amount":"%d","unit":"EA"}}}'
)


def posts(size: Size, prefix: str, batch: int = 1, plant: str = PLANT) -> Iterator[tuple[str, bytes]]:
    """The same reports as bodies for the HTTP edge, `batch` in each; ids never come twice for one prefix."""
    chance = random.Random(prefix)
    number = 0
    while True:
        now = datetime.now(UTC).isoformat()
        told = []
        for _ in range(batch):
            number += 1
            order = chance.randrange(size.orders)
            told.append(
                _POSTED % (prefix, number, number % 20, now, order_name(order), lot_name(size, order), 1 + number % 8),
            )
        yield plant, (told[0] if batch == 1 else "[" + ",".join(told) + "]").encode()
