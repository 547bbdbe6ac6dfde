"""The plants of a run: endless histories from a seed, which can be told again from the beginning when they are judged.

So nobody has to remember a million facts: of each plant it is enough to know how many were told, and which of them more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import msgspec

from synchromesh.model.event import StockLine
from synchromesh.model.message import Message
from synchromesh.sim.catalogue import AWKWARD, opening, site
from synchromesh.sim.plants import Habits, SimulatedPlant
from synchromesh.sim.told import Known, Scene, Told

ZONES: Final = ("Europe/Oslo", "Europe/Paris", "America/New_York", "Asia/Tokyo", "UTC")
HABITS: Final = Habits(at_once=4, pause=600)

AMPLE: Final = "1000000000"
"""On stock of everything at the beginning. All business systems speak of the same items, and each has books of its own."""


class Plant(msgspec.Struct, frozen=True):
    """One plant: whose history begins at `start`, with `rate` facts a second, and books in `erp`."""

    name: str
    zone: str
    seed: int
    start: datetime
    rate: float
    erp: str

    def masters(self) -> list[Known]:
        """What its ERP knows before the first fact."""
        places = [Known(self.start, self.name, location) for location in site(self.name).locations]
        return places + [Known(self.start, "", item) for item in AWKWARD.items.values() if item != AWKWARD.strange]

    def opening(self) -> tuple[StockLine, ...]:
        """Its ERP's stock at the beginning."""
        return opening(self.name, AWKWARD, AMPLE)

    def history(self) -> History:
        return History(self)


class History:
    """One telling of a plant's history. `told` is how many facts of it were taken."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._maker = SimulatedPlant(plant.name, plant.seed, plant.start, HABITS, AWKWARD)
        self._happenings = self._maker.happenings(None)
        self.told = 0

    def take(self, facts: int) -> Iterator[Known | Told]:
        """What happens until so many more facts were told."""
        for happening in self._happenings:
            at = self._plant.start + timedelta(seconds=self.told / self._plant.rate)
            yield msgspec.structs.replace(happening, at=at)
            if isinstance(happening, Told):
                self.told += 1
                facts -= 1
                if not facts:
                    return

    def rest(self) -> list[Known]:
        """Orders that facts were told about and that ERP has still to hear of."""
        return list(self._maker.known_at_last())

    def scene(self) -> Scene:
        """The plant's world, as far as its history was told."""
        plant, maker = self._plant, self._maker
        homes = {place.location: plant.name for place in site(plant.name).locations}
        return Scene(AWKWARD.items, maker.orders, plant.opening(), {plant.name: plant.zone}, frozenset(maker.never), homes=homes)


class Heard(msgspec.Struct):
    """What a plant was told is received: its first `facts` facts, once each, and `again` (by place in its history) once more each."""

    facts: int = 0
    again: list[int] = []


def retold(plant: Plant, heard: Heard) -> tuple[Scene, list[Told], list[Message]]:
    """The plant's world, its facts, and the messages of which it was told that they are received."""
    history = plant.history()
    told = [happening for happening in history.take(heard.facts) if isinstance(happening, Told)] if heard.facts else []
    messages = [one.message(one.at) for one in told]
    return history.scene(), told, messages + [messages[place] for place in heard.again]


def batches(history: History, size: int) -> tuple[list[Known], list[Told]]:
    """What ERP comes to know and what the plant tells next, `size` facts of it."""
    happenings = list(history.take(size))
    return [one for one in happenings if isinstance(one, Known)], [one for one in happenings if isinstance(one, Told)]


def named(count: int, seed: int, start: datetime, rate: float, erps: list[str]) -> list[Plant]:
    """So many plants, spread over zones and business systems; `rate` is that of all together."""
    return [
        Plant(f"plant-{number:02}", zone, seed, start, rate / count, erp)
        for number, zone, erp in islice(zip(range(1, count + 1), _again(ZONES), _again(erps), strict=False), count)
    ]


def _again(of: tuple[str, ...] | list[str]) -> Iterator[str]:
    while True:
        yield from of
