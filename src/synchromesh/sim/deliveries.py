"""Scarce stock: shelves that are nearly empty when the night begins, and what is brought later."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

import msgspec

from synchromesh.model.event import StockLine
from synchromesh.model.quantity import Quantity
from synchromesh.sim.chance import Chance
from synchromesh.sim.history import START


class Delivery(NamedTuple):
    """At `at` somebody books by hand that this has come."""

    at: datetime
    line: StockLine


def brought(opening: Sequence[StockLine], seed: int, share: float) -> tuple[tuple[StockLine, ...], deque[Delivery]]:
    """What lies on the shelves at first, and what comes in the night, in the order of time. Of the scarce `share` little is there, and
    some of it never comes."""
    chance = Chance(seed, "deliveries")
    shelves, deliveries = list[StockLine](), list[Delivery]()
    for line in opening:
        if not share or not chance.happens(share):
            shelves.append(line)
            continue
        few = Quantity(Decimal(chance.whole(1, 60)), line.quantity.unit)
        shelves.append(msgspec.structs.replace(line, quantity=few))
        if chance.happens(0.8):
            deliveries.append(Delivery(START + timedelta(minutes=chance.whole(10, 1200)), line))
    return tuple(shelves), deque(sorted(deliveries, key=attrgetter("at")))
