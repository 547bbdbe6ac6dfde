"""A sandbox ERP as a process beside the system: for the demonstration, and for whoever tries things out."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.journal import Journal
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, Rules, StockSet
from synchromesh.model.event import Event, ItemChanged, LocationChanged, OrderChanged, StockLine
from synchromesh.sim.told import Known, Scene

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Started(msgspec.Struct):
    """What the sandbox prints when it listens."""

    url: str
    grade: str


class SandboxProcess:
    """Runs the sandbox with its books in `folder`. `rates` are its faults by name, see the sandbox's own `--help`."""

    def __init__(self, folder: Path, rates: Mapping[str, float], seed: int) -> None:
        self._folder = folder
        self._rates = rates
        self._seed = seed
        self._process: Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Start and wait until it listens. Raises `RuntimeError` when it does not come up."""
        rates = ",".join(f"{name}={rate}" for name, rate in self._rates.items())
        command = [sys.executable, "-m", "synchromesh.connectors.sandbox", "--port", "0", "--data", str(self._folder)]
        command += ["--seed", str(self._seed), *(["--rates", rates] if rates else [])]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, start_new_session=True)
        assert self._process.stdout is not None, "asked for above"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sandbox ERP did not start; its last lines above say why")
        self.url = msgspec.json.decode(line, type=Started).url

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def books(self) -> Books:
        """The books as they were left, from its journal: after `stop`."""
        books = Books(Rules())
        journal = Journal(self._folder / "books.sqlite", Rules())
        try:
            journal.replay(books)
        finally:
            journal.close()
        return books


class Clerk:
    """Enters master data, orders and opening stock into the sandbox, as ERP's people do."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def open_books(self, scene: Scene) -> None:
        """ERP's opening stock."""
        await self._enter("stock", [StockSet(line.item, line.location, line.quantity, line.lot) for line in _with_stock(scene)])

    async def learn(self, known: Known) -> None:
        """Something that ERP knows from now on."""
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
        async with self._session.post(f"{self._url}/admin/{what}", data=_encode(entries)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the sandbox ERP refused {what}: {await answer.text()}")


def _with_stock(scene: Scene) -> list[StockLine]:
    return [line for line in scene.opening if line.quantity.amount]
