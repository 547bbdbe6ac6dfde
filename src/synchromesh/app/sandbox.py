"""A sandbox ERP with faults, as a process beside the system, for the demonstration."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from synchromesh.connectors.sandbox import books as sandbox
from synchromesh.connectors.sandbox.journal import Journal
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, Rules, StockSet
from synchromesh.model.event import Event, ItemChanged, LocationChanged, OrderChanged
from synchromesh.sim.evidence import Books
from synchromesh.sim.history import Stream
from synchromesh.sim.sandboxed import books_of
from synchromesh.sim.told import Known, Scene

FAULTS: Final = {
    "locked": 0.03,
    "unavailable": 0.01,
    "broken": 0.01,
    "dropped": 0.01,
    "lost": 0.02,
    "late": 0.01,
    "slow": 0.01,
}
"""What it does wrong: locks, 5xx, broken connections, replies lost after the booking, bookings long after."""

PACE: Final = 20.0
"""Facts a second of the live demonstration."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class _Started(msgspec.Struct):
    """What the sandbox prints when it listens."""

    url: str


class SandboxErp:
    """A `DemoErp` with its books in `folder` and its faults from `seed`."""

    name = "sandbox"
    facts = 600

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._process: Process | None = None
        self._url = ""

    def story(self, seed: int, start: datetime) -> Stream:
        """See `DemoErp.story`: units that don't divide, lots everywhere, late reports."""
        return Stream(seed, PACE, start)

    async def start(self) -> Mapping[str, object]:
        """See `DemoErp.start`."""
        rates = ",".join(f"{name}={rate}" for name, rate in FAULTS.items())
        command = [sys.executable, "-m", "synchromesh.connectors.sandbox", "--port", "0", "--data", str(self._folder)]
        command += ["--seed", str(self._seed), "--rates", rates]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, start_new_session=True)
        assert self._process.stdout is not None, "asked for above"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sandbox ERP did not start; its last lines above say why")
        self._url = msgspec.json.decode(line, type=_Started).url
        return {"url": self._url}

    async def open_books(self, masters: Sequence[Known], scene: Scene) -> None:
        """See `DemoErp.open_books`."""
        for known in masters:
            await self.learn(known)
        stock = [StockSet(line.item, line.location, line.quantity, line.lot) for line in scene.opening if line.quantity.amount]
        await self._enter("stock", stock)

    async def learn(self, known: Known) -> None:
        """See `DemoErp.learn`."""
        match known.event:
            case ItemChanged():
                await self._enter("items", [known.event])
            case LocationChanged(location=location, description=description):
                await self._enter("locations", [ErpLocation(location, description, plant=known.plant)])
            case OrderChanged():
                fields = {name: getattr(known.event, name) for name in known.event.__struct_fields__}
                await self._enter("orders", [ErpOrder(**fields, plant=known.plant)])
            case _:
                raise TypeError(f"the sandbox has no place for {type(known.event).__name__}")

    async def _enter(self, what: str, entries: Sequence[Event]) -> None:
        async with aiohttp.request("POST", f"{self._url}/admin/{what}", data=_encode(entries)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the sandbox ERP refused {what}: {await answer.text()}")

    async def books(self) -> Books:
        """See `DemoErp.books`: from its journal, once it has stopped."""
        await self.stop()
        books = sandbox.Books(Rules())
        journal = Journal(self._folder / "books.sqlite", Rules())
        try:
            journal.replay(books)
        finally:
            journal.close()
        return books_of(books)

    async def stop(self) -> None:
        """See `DemoErp.stop`."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
