"""A real Tryton, with a database of its own, for the demonstration."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

from synchromesh.app.tryton_books import read_books
from synchromesh.connectors.tryton.provision import Part, Provisioner
from synchromesh.connectors.tryton.rpc import Busy
from synchromesh.connectors.tryton.server import TrytonServer
from synchromesh.connectors.tryton.server import start as start_server
from synchromesh.model.event import Component, ItemChanged, LocationChanged, OrderChanged
from synchromesh.model.quantity import Quantity
from synchromesh.sim.catalogue import PLAIN, site
from synchromesh.sim.evidence import Books
from synchromesh.sim.history import ZONES, Stream
from synchromesh.sim.plants import Habits
from synchromesh.sim.told import Known, Scene
from synchromesh.sim.truth import factor, rounded

PACE: Final = 3.0
"""Facts a second of the live demonstration: a real ERP thinks about each."""

HABITS: Final = Habits(steps=0, closing=True)
"""Tryton's production has no operations, and its books of an order are closed when it is done."""

ATTEMPTS: Final = 60
"""How often something is entered, half a second apart, before Tryton counts as locked for good."""


class TrytonErp:
    """A `DemoErp` with its database in `folder`. A new database is copied from one in `cache`, which is seeded on first use."""

    name = "tryton"
    facts = 120

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self._folder = folder
        self._cache = cache or _own_cache()
        self._server: TrytonServer | None = None
        self._clerk: Provisioner | None = None

    def story(self, seed: int, start: datetime) -> Stream:
        """See `DemoErp.story`: pieces and kilograms, and nothing about an order after its completion."""
        return Stream(seed, PACE, start, HABITS, PLAIN)

    async def start(self) -> Mapping[str, object]:
        """See `DemoErp.start`. The first time on this machine takes half a minute."""
        if importlib.util.find_spec("trytond") is None:
            raise RuntimeError("Tryton is not installed; install it with: pip install 'synchromesh[tryton]'")
        self._server = await asyncio.to_thread(start_server, self._folder, self._cache)
        self._clerk = Provisioner(self._server.settings())
        return self._server.settings(plants={plant: _warehouse(plant) for plant in ZONES})

    async def open_books(self, masters: Sequence[Known], scene: Scene) -> None:
        """See `DemoErp.open_books`: a warehouse a plant, whose output arrives where the plant keeps finished goods."""
        clerk = self._at_work()
        for plant in scene.zones:
            await clerk.create_warehouse(_warehouse(plant), plant)
        for known in masters:
            await self.learn(known)
        for plant in scene.zones:
            await clerk.receive_output_at(_warehouse(plant), site(plant).finished)
        for line in scene.opening:
            await clerk.set_stock(line.item, line.quantity, line.location, line.lot)

    async def learn(self, known: Known) -> None:
        """See `DemoErp.learn`."""
        clerk, house = self._at_work(), _warehouse(known.plant)
        match known.event:
            case ItemChanged(item=item, description=description, unit=unit, lot_controlled=lots):
                await _entered(lambda: clerk.create_item(item, description, unit, lots))
            case LocationChanged(location=location, description=description):
                await _entered(lambda: clerk.create_location(location, description, house))
            case OrderChanged(order=order, item=item, quantity=quantity, components=components):
                parts = [_part(component) for component in components]
                await _entered(lambda: clerk.create_order(order, item, quantity, parts, house))
            case _:
                raise TypeError(f"Tryton has no place for {type(known.event).__name__}")

    async def books(self) -> Books:
        """See `DemoErp.books`."""
        assert self._server is not None, "it was started"
        return await read_books(self._server.settings())

    async def stop(self) -> None:
        """See `DemoErp.stop`."""
        if self._clerk is not None:
            await self._clerk.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    def _at_work(self) -> Provisioner:
        assert self._clerk is not None, "it was started"
        return self._clerk


async def _entered(enter: Callable[[], Awaitable[int]]) -> None:
    """Enter something once Tryton has a moment for it: it may be booking. Entering it again changes nothing."""
    for _ in range(ATTEMPTS):
        try:
            await enter()
        except Busy:
            await asyncio.sleep(0.5)
        else:
            return
    raise RuntimeError("Tryton was locked all the time; nothing could be entered")


def _part(component: Component) -> Part:
    """A component as it is planned: in the item's own unit, as finely as that is kept."""
    item = PLAIN.items[component.item]
    amount = Fraction(component.quantity.amount) * factor(item, component.quantity.unit)
    return Part(item.item, Quantity(rounded(amount, item.decimals), item.unit), component.location)


def _warehouse(plant: str) -> str:
    """The code of a plant's warehouse."""
    return plant.upper()


def _own_cache() -> Path:
    """This user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synchromesh"
