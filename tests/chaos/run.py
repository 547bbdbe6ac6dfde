"""A run of chaos: an installation of real processes, plants that tell, faults from a seed, rest, and the auditor's verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from tests.chaos.engines import Engine, engine
from tests.chaos.erps import Erp
from tests.chaos.faults import Chaos, endless
from tests.chaos.fleet import Fleet
from tests.chaos.judging import Judged, judge
from tests.chaos.people import Operator
from tests.chaos.plants import Plant, named
from tests.chaos.telling import TIMEOUT, Source

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.engine.views import Summary

OPEN: Final = ("booking", "gathered", "waiting", "exception")
HEAD: Final = """\
[synchromesh]
name = "chaos"
data = "{data}"

[http]
port = 0
"""
PLANT: Final = """
[[plant]]
id = "{name}"
zone = "{zone}"
erp = "{erp}"
[plant.policy]
stock_patience_minutes = 1     # what waits for stock in vain shall be a person's before a run is given up
"""

_summary: Final = msgspec.json.Decoder(Summary).decode


class Plan(msgspec.Struct, frozen=True):
    """What is run. `rate` is facts a second of all plants together, `pause` the mean seconds between two faults; `sabotage` breaks laws by
    role."""

    seed: int = 1
    seconds: float = 60.0
    log: str = "sqlite"
    state: str = "sqlite"
    plants: int = 3
    each: int = 2
    rate: float = 50.0
    pause: float = 2.0
    grades: tuple[Grade, ...] = tuple(Grade)
    sabotage: Mapping[str, str] = {}
    faults: tuple[str, ...] = ()
    """The kinds of faults, all when none is named."""
    patience: float = 20.0
    """Seconds that people leave a doubt alone: longer than anything may be on its way, frozen processes among it."""
    latency: float = 0.0
    """How much later everything arrives between dispatchers and business systems, in seconds: so much more is on its way at any time."""
    rest: float = 60.0
    """Seconds without any progress after which a run will not come to rest any more."""


class Outcome(msgspec.Struct):
    """What came of a run."""

    judged: Judged
    faults: Counter[str]
    log: list[str]
    """A line about each fault."""
    deaths: list[str]
    """Processes that ended unasked."""
    repeats: int = 0
    decided: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.judged.ok


def run(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Play one run in an empty folder and judge it."""
    with ExitStack() as stack:
        made = engine(plan.log, plan.state, folder, stack)
        return asyncio.run(Run(plan, folder, made, say).play())


class Run:
    """One run."""

    def __init__(self, plan: Plan, folder: Path, made: Engine, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._folder = folder
        self._engine = made
        self._say = say
        self._erps = {grade.value: Erp(grade, folder, plan.seed) for grade in plan.grades}
        self._config = folder / "synchromesh.toml"
        self._plants = named(plan.plants, plan.seed, datetime.now(UTC), plan.rate, [grade.value for grade in plan.grades])
        each = 1 if made.alone else plan.each
        counts = {"worker": each, "dispatcher": each, "gateway": each}
        self._fleet = Fleet(folder, counts, dict(plan.sabotage))
        self._sources = [Source(plant, self._erps[plant.erp], self._fleet.of("gateway"), plan.seed) for plant in self._plants]
        self._operator = Operator(self._fleet.of("gateway"), {plant.name: self._erps[plant.erp] for plant in self._plants}, plan.patience)

    async def play(self) -> Outcome:
        """From the first start to the verdict."""
        began = time.monotonic()
        await self._engine.start()
        for erp in self._erps.values():
            await erp.start()
            erp.line.latency = self._plan.latency
        settings = self._configured()
        await asyncio.gather(*(self._open(source) for source in self._sources))
        await asyncio.to_thread(prepare, settings)  # lines to log and state are carried by this loop
        await self._fleet.start()
        chaos = Chaos(self._fleet, list(self._erps.values()), self._engine, self._plan.seed, self._plan.pause, self._plan.faults)
        try:
            await self._rage(chaos, settings)
        finally:
            await self._fleet.end()
            for erp in self._erps.values():
                await erp.end()
        self._say("judging")
        books = {name: erp.books for name, erp in self._erps.items()}
        judged = await asyncio.to_thread(judge, settings, books, {source.plant: source.heard for source in self._sources})
        deaths = [f"{member.name} ended with {code}" for member in self._fleet.members for code in member.deaths]
        repeats = sum(source.repeats for source in self._sources)
        return Outcome(judged, chaos.done, chaos.said, deaths, repeats, self._operator.decided, time.monotonic() - began)

    def _configured(self) -> Settings:
        """One configuration for all. Where every process may be on a host of its own, it has a folder of its own."""
        tables = [self._engine.config(), *(erp.config() for erp in self._erps.values())]
        tables += [PLANT.format(name=plant.name, zone=plant.zone, erp=plant.erp) for plant in self._plants]
        for config, data in [(self._config, "data"), *((member.config, f"data/{member.name}") for member in self._fleet.members)]:
            config.write_text(HEAD.format(data="data" if self._engine.alone else data) + "".join(tables), "utf-8")
        return read_settings(self._config)

    async def _open(self, source: Source) -> None:
        """A plant's ERP knows its world."""
        await source.open()
        erp = self._erps[source.plant.erp]
        await erp.stock([StockSet(line.item, line.location, line.quantity, line.lot) for line in source.plant.opening()])

    async def _rage(self, chaos: Chaos, settings: Settings) -> None:
        """Tell under faults for so long as is planned; then let everything come to rest."""
        begin = datetime.now(UTC)
        until = begin + timedelta(seconds=self._plan.seconds)
        for source in self._sources:
            source.begin(begin)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)) as session:
            raging = asyncio.create_task(chaos.rage())
            working = asyncio.create_task(self._operator.work(session))
            telling = asyncio.gather(*(source.tell(session, until) for source in self._sources))
            # No longer than planned: on a slow machine faults could else come faster than anybody gets up again.
            await asyncio.wait([raging, working, telling], timeout=self._plan.seconds, return_when=asyncio.FIRST_COMPLETED)
            await endless(raging)
            chaos.clocks()
            await telling
            await chaos.end()
            self._say(f"{sum(source.heard.facts for source in self._sources)} facts told; coming to rest")
            for source in self._sources:
                await source.rest()
            await self._rest(session, settings)
            await endless(working)

    async def _rest(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        """Until everything that is in the log has come to its end, or nothing moves any more: then it is judged as it is."""
        last, moved = "", time.monotonic()
        while time.monotonic() - moved < self._plan.rest:
            summary = await self._summary(session)
            if summary is not None:
                rested = not summary.waiting and not any(summary.fates.get(fate) for fate in OPEN)
                if rested and await asyncio.to_thread(_folded, settings):
                    return
                if (now := f"{summary.facts} {summary.fates} {summary.documents} {summary.waiting}") != last:
                    last, moved = now, time.monotonic()
                    self._say(f"  {last}")
            await asyncio.sleep(2.0)
        self._say(f"it does not come to rest: {last}")

    async def _summary(self, session: aiohttp.ClientSession) -> Summary | None:
        for gateway in self._fleet.of("gateway"):
            assert gateway.line is not None, "it is a gateway"
            try:
                async with session.get(f"http://127.0.0.1:{gateway.line.port}/v1/summary") as answer:
                    if answer.status == 200:
                        return _summary(await answer.read())
            except (aiohttp.ClientError, OSError, TimeoutError):
                continue
        return None


def _folded(settings: Settings) -> bool:
    """Whether the state is at the end of the log."""
    stores = Stores(settings)
    log, reading = stores.log(), stores.reading()
    try:
        positions = reading.positions()
        return all(positions.get(partition, 0) >= head for partition, head in log.head().items())
    finally:
        reading.close()
        log.close()


__all__ = ["Outcome", "Plan", "Plant", "Run", "run"]
