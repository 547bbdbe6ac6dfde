"""The business systems of a run: sandboxes of each grade, each a process behind a line, killed and brought back on its books."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from tests.chaos.fleet import ROOT
from tests.chaos.line import Line

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox import books as sandbox
from synchromesh.connectors.sandbox.journal import Journal
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, Rules, StockSet
from synchromesh.model.event import Event, ItemChanged, LocationChanged, OrderChanged
from synchromesh.sim.evidence import Books
from synchromesh.sim.sandboxed import books_of
from synchromesh.sim.told import Known

RATES: Final = "locked=0.01,unavailable=0.005,dropped=0.005,lost=0.005,late=0.003"
"""What every one of them does wrong by itself."""

LATEST: Final = 1.0
"""Seconds after which nothing that was given up is still booked."""

CONFIG: Final = """
[erp.{name}]
connector = "sandbox"
url = "http://127.0.0.1:{port}"
grade = "{grade}"
settle_seconds = 3.0
timeout_seconds = 5.0
"""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Erp:
    """One sandbox. `line` is how dispatchers reach it; who enters master data goes past the line."""

    def __init__(self, grade: Grade, folder: Path, seed: int) -> None:
        self.name = grade.value
        self.grade = grade
        self.line = Line(f"erp {self.name}")
        self._folder = folder / f"erp-{self.name}"
        self._seed = seed
        self._process: Process | None = None
        self._here = asyncio.Event()

    async def start(self) -> None:
        if not self.line.port:
            await self.line.open()
        command = [sys.executable, "-m", "tests.chaos.mortal", "synchromesh.connectors.sandbox", "--port", "0", "--data", str(self._folder)]
        command += ["--grade", self.grade.value, "--seed", str(self._seed), "--rates", RATES, "--delay", str(LATEST)]
        self._process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, start_new_session=True, cwd=ROOT)
        assert self._process.stdout is not None, "asked for above"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox {self.name} did not start; its last lines above say why")
        self.line.to = int(msgspec.json.decode(line)["url"].rpartition(":")[2])
        self._here.set()

    async def kill(self) -> None:
        """As a power cut: what it had answered is in its books."""
        self._here.clear()
        self.line.to = 0
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    async def end(self) -> None:
        await self.kill()
        self.line.close()

    def config(self) -> str:
        return CONFIG.format(name=self.name, port=self.line.port, grade=self.grade.value)

    async def learn(self, known: Sequence[Known]) -> None:
        """It comes to know all of this, as soon as it lives."""
        for one in known:
            match one.event:
                case ItemChanged():
                    await self._enter("items", [one.event])
                case LocationChanged(location=location, description=description):
                    await self._enter("locations", [ErpLocation(location, description, plant=one.plant)])
                case OrderChanged():
                    fields = {name: getattr(one.event, name) for name in one.event.__struct_fields__}
                    await self._enter("orders", [ErpOrder(**fields, plant=one.plant)])

    async def stock(self, sets: Sequence[StockSet]) -> None:
        await self._enter("stock", sets)

    async def documents(self, key: str) -> list[str]:
        """The documents of a key, as a person finds them on ERP's screen."""
        return msgspec.json.decode(await self._ask("GET", f"/admin/keys/{key}", b""), type=list[str])

    async def _enter(self, what: str, entries: Sequence[Event | StockSet]) -> None:
        await self._ask("POST", f"/admin/{what}", _encode(entries))

    async def _ask(self, method: str, path: str, body: bytes) -> bytes:
        """Ask until it answers: people wait when the system is down."""
        while True:
            await self._here.wait()
            try:
                async with aiohttp.request(method, f"http://127.0.0.1:{self.line.to}{path}", data=body) as answer:
                    told = await answer.read()
                    if answer.status == 200:
                        return told
                    if answer.status < 500:
                        raise RuntimeError(f"the sandbox {self.name} refused {path}: {told.decode()}")
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.1)

    def books(self) -> Books:
        """Its books, from its journal, once it has ended."""
        rules = Rules(grade=self.grade)
        books, journal = sandbox.Books(rules), Journal(self._folder / "books.sqlite", rules)
        try:
            journal.replay(books)
        finally:
            journal.close()
        return books_of(books)
