"""Whole histories: several plants, what ERP knows of them and when, and everything that their workers tell."""

from __future__ import annotations

import heapq
from collections import ChainMap
from collections.abc import Iterator, Mapping, Set
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final

import msgspec

from synchromesh.model.event import OrderChanged, StockLine
from synchromesh.sim.catalogue import AWKWARD, ITEMS, UNPLANNED, Catalogue, opening, site
from synchromesh.sim.chance import Chance
from synchromesh.sim.plants import Habits, Happening, SimulatedPlant
from synchromesh.sim.told import Known, Scene, Told
from synchromesh.sim.truth import Ledger, Truth

ZONES: Final = {"oslo": "Europe/Oslo", "lyon": "Europe/Paris"}
"""The simulated plants and their zones."""

START: Final = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)

_LATEST_ITEM_HOURS: Final = 16
"""How late ERP comes to know the unplanned item."""

_REMEMBERED: Final = 20_000
"""How many facts a stream's ledger remembers: a thousand times as many as any correction looks back."""


class History(msgspec.Struct, frozen=True):
    """A finite history. `known` and `told` are each in the order of time. `found` is stock of items that ERP comes to know late: somebody
    books it by hand then."""

    scene: Scene
    known: tuple[Known, ...]
    told: tuple[Told, ...]
    found: tuple[StockLine, ...]


def history(seed: int, habits: Habits, orders: int, plants: Mapping[str, str] = ZONES) -> History:
    """The history of `orders` orders in each of the plants (name: zone)."""
    makers = _plants(seed, habits, START, plants)
    happenings = [one for maker in makers for one in maker.happenings(orders)]
    happenings.sort(key=attrgetter("at"))
    known = [*_masters(START, plants), *(one for one in happenings if isinstance(one, Known))]
    late = Chance(seed, "history").whole(0, _LATEST_ITEM_HOURS)
    known = [msgspec.structs.replace(one, at=START + timedelta(hours=late)) if one.event == UNPLANNED else one for one in known]
    known.sort(key=attrgetter("at"))
    told = tuple(one for one in happenings if isinstance(one, Told))
    never = frozenset[str]().union(*(maker.never for maker in makers))
    stock = [line for line in _opening(plants) if line.item != UNPLANNED.item]
    released = {number: order for maker in makers for number, order in maker.orders.items()}
    homes = {place.location: name for name in plants for place in site(name).locations}
    scene = Scene(ITEMS, released, tuple(stock), plants, never, homes=homes)
    return History(scene, tuple(known), told, tuple(line for line in _opening(plants) if line.item == UNPLANNED.item))


class Stream:
    """An endless history at a steady pace, for a live demonstration; the same seed tells the same story.

    `scene` grows with it. The truth is known at every cut: `truth()` is of all that `happenings` has yielded so far, provided that
    ERP is also told what `rest` yields.
    """

    def __init__(self, seed: int, rate: float, start: datetime, habits: Habits | None = None, catalogue: Catalogue = AWKWARD) -> None:
        self._makers = _plants(seed, habits or Habits(), start, ZONES, catalogue)
        self._catalogue = catalogue
        self.rate = rate
        self._start = start
        orders: ChainMap[str, OrderChanged] = ChainMap(*(maker.orders for maker in self._makers))
        self.scene = Scene(catalogue.items, orders, _opening(ZONES, catalogue), ZONES, _Either(self._makers))
        self._ledger = Ledger(self.scene, keep=_REMEMBERED)

    def masters(self) -> list[Known]:
        """What ERP knows before the first fact: items and locations (opening stock is in the scene)."""
        return _masters(self._start, ZONES, self._catalogue)

    def happenings(self) -> Iterator[Happening]:
        """What happens, `rate` facts a second of virtual time, without end."""
        facts = 0
        for one in heapq.merge(*(maker.happenings(None) for maker in self._makers), key=attrgetter("at")):
            paced = msgspec.structs.replace(one, at=self._start + timedelta(seconds=facts / self.rate))
            if isinstance(paced, Told):
                facts += 1
                self._ledger.tell(paced)
            yield paced

    def rest(self) -> list[Known]:
        """Orders that facts were told about and that ERP has still to hear of."""
        return [known for maker in self._makers for known in maker.known_at_last()]

    def truth(self) -> Truth:
        """What ERP must hold once everything told so far is booked."""
        return self._ledger.truth()


class _Either(Set[str]):
    """The names that ERP never knows, of all plants, as they grow."""

    def __init__(self, makers: list[SimulatedPlant]) -> None:
        self._makers = makers

    def __contains__(self, name: object) -> bool:
        return any(name in maker.never for maker in self._makers)

    def __iter__(self) -> Iterator[str]:
        return iter({name for maker in self._makers for name in maker.never})

    def __len__(self) -> int:
        return len({name for maker in self._makers for name in maker.never})


def _plants(seed: int, habits: Habits, start: datetime, plants: Mapping[str, str], catalogue: Catalogue = AWKWARD) -> list[SimulatedPlant]:
    return [SimulatedPlant(name, seed, start, habits, catalogue) for name in plants]


def _masters(at: datetime, plants: Mapping[str, str], catalogue: Catalogue = AWKWARD) -> list[Known]:
    places = [Known(at, name, location) for name in plants for location in site(name).locations]
    return places + [Known(at, "", item) for item in catalogue.items.values() if item != catalogue.strange]


def _opening(plants: Mapping[str, str], catalogue: Catalogue = AWKWARD) -> tuple[StockLine, ...]:
    return tuple(line for name in plants for line in opening(name, catalogue))
