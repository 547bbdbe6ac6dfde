"""The demonstration: two simulated plants, an ERP, and the whole system between them, in one command.

What is shown is the path that users run: real processes, HTTP in, HTTP out. At the end the auditor compares ERP's books with what
the plants truly did.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from synchromesh.app.demo_erp import DemoErp
from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.app.supervisor import Supervisor
from synchromesh.engine.views import Summary
from synchromesh.model.message import Message
from synchromesh.sim.auditor import audit
from synchromesh.sim.evidence import Books
from synchromesh.sim.faults import Rates, disturb
from synchromesh.sim.told import Known, Told
from synchromesh.sim.verdict import Verdict
from synchromesh.sim.witness import Witness

REPEATS: Final = Rates(repeated=0.05, repeated_late=0.02, delayed=0.0, delay=0, damaged_then_told=0.0, damaged=0.0, reused=0.0)
"""What the network does wrong: it delivers some messages twice, some of them much later."""

GROUP: Final = 50
"""Facts in one request, when nobody watches."""

PATIENCE: Final = 20.0
"""Seconds without any progress after which what is left is judged as it is."""

SETTLED: Final = ("booking", "gathered", "waiting")

CONFIG: Final = """\
[synchromesh]
name = "demo"
data = "data"

[http]
port = {port}

[[plant]]
id = "oslo"
zone = "Europe/Oslo"
erp = "{erp}"

[[plant]]
id = "lyon"
zone = "Europe/Paris"
erp = "{erp}"

[erp.{erp}]
connector = "{erp}"
{settings}
"""


LOG: Final = "log.txt"
"""Where the processes write their log lines: whoever watches the totals need not read them."""


class Demo:
    """One run, with everything of it in a temporary folder; `erp` makes the ERP in a folder of its own."""

    def __init__(self, erp: Callable[[Path], DemoErp], seed: int, port: int) -> None:
        self._erp = erp
        self._seed = seed
        self._port = port
        self.address = ""

    async def run(self, facts: int | None, watch: Callable[[Summary], Awaitable[None]], stop: asyncio.Event) -> Verdict | None:
        """Tell `facts` facts (0: as many as suit the ERP), or go on until `stop` (None); `watch` is shown the totals twice a second. The
        verdict, when it came to an end. Raises `OSError`, `RuntimeError` or `ConnectorError` when something of it can't work."""
        with tempfile.TemporaryDirectory(prefix="synchromesh-demo-") as folder:
            erp = self._erp(Path(folder) / "erp")
            try:
                return await self._with_erp(Path(folder), erp, erp.facts if facts == 0 else facts, watch, stop)
            finally:
                await erp.stop()

    async def _with_erp(
        self, folder: Path, erp: DemoErp, facts: int | None, watch: Callable[[Summary], Awaitable[None]], stop: asyncio.Event
    ) -> Verdict | None:
        config = folder / "synchromesh.toml"
        config.write_text(CONFIG.format(port=self._port, erp=erp.name, settings=_lines(await erp.start())))
        plants = _Plants(erp, self._seed)
        await erp.open_books(plants.stream.masters(), plants.stream.scene)
        prepare(read_settings(config))
        supervisor = Supervisor(config, log=folder / LOG)
        try:
            await supervisor.start()
        except RuntimeError as error:
            raise RuntimeError(f"{error}:\n{(folder / LOG).read_text()[-2000:]}") from error
        self.address = supervisor.address
        try:
            quiet = await self._tell(plants, facts, watch, stop)
        finally:
            await supervisor.stop()
        if facts is None or (stop.is_set() and not quiet):
            return None
        return self._judge(config, await erp.books(), plants)

    async def _tell(self, plants: _Plants, facts: int | None, watch: Callable[[Summary], Awaitable[None]], stop: asyncio.Event) -> bool:
        """Let the plants tell, until the end or `stop`; whether everything then came to rest."""
        async with aiohttp.ClientSession() as session:
            watching = asyncio.create_task(self._watch(session, watch))
            telling = asyncio.create_task(plants.tell(_Line(session, self.address), facts))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([telling, stopped, watching], return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            quiet = await self._quiet(session, stop, plants.facts) if not stop.is_set() else False
            for task in (watching, stopped):
                task.cancel()
            for task in (telling, watching):
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        return quiet

    async def _watch(self, session: aiohttp.ClientSession, watch: Callable[[Summary], Awaitable[None]]) -> None:
        while True:
            await watch(await _summary(session, self.address))
            await asyncio.sleep(0.5)

    async def _quiet(self, session: aiohttp.ClientSession, stop: asyncio.Event, facts: int) -> bool:
        """Wait until all these facts are in and have come to their end, or nothing has moved for long."""
        last, moved = (-1, -1), time.monotonic()
        while time.monotonic() - moved < PATIENCE and not stop.is_set():
            summary = await _summary(session, self.address)
            if summary.facts >= facts and not summary.waiting and not any(summary.fates.get(fate) for fate in SETTLED):
                return True
            if (summary.documents, summary.facts) != last:
                last, moved = (summary.documents, summary.facts), time.monotonic()
            await asyncio.sleep(0.2)
        return False

    def _judge(self, config: Path, books: Books, plants: _Plants) -> Verdict:
        stores = Stores(read_settings(config))
        log = stores.log()
        try:
            witness = Witness(stores, log, books, tuple(plants.stream.scene.zones))
            return audit(plants.stream.scene, plants.told, witness.evidence(plants.acknowledged, frozenset()))
        finally:
            log.close()


class _Line:
    """The line from the plants to the gateway."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages of one plant as a source does: again until "received" is heard."""
        body = b"[%b]" % b",".join(map(_event, messages))
        url = f"{self._address}/v1/plants/{messages[0].partition}/events"
        while True:
            async with self._session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                if answer.status == 202:
                    return
                if answer.status not in (429, 503, 507):
                    raise RuntimeError(f"the gateway refused a fact: {await answer.text()}")
            await asyncio.sleep(1)


class _Plants:
    """The simulated plants, telling the gateway what they do, and ERP's people, who enter orders as they come."""

    def __init__(self, erp: DemoErp, seed: int) -> None:
        self._erp = erp
        self._seed = seed
        self.stream = erp.story(seed, datetime.now(UTC) - timedelta(minutes=1))
        self.told: list[Told] = []
        self.acknowledged: list[Message] = []

    @property
    def facts(self) -> int:
        """How many facts were acknowledged, repeats among them; the end of an input is none."""
        return sum(b'"synchromesh.input.ended"' not in message.body for message in self.acknowledged)

    async def tell(self, line: _Line, facts: int | None) -> None:
        if facts is None:
            await self._live(line)
        else:
            await self._all(line, facts)

    async def _live(self, line: _Line) -> None:
        """Tell at the pace at which it happens, some of it twice, for ever."""
        start = time.monotonic()
        for count, happening in enumerate(self.stream.happenings()):
            if isinstance(happening, Known):
                await self._erp.learn(happening)
                continue
            await asyncio.sleep(max(0.0, start + count / self.stream.rate - time.monotonic()))
            message = happening.message(datetime.now(UTC))
            await line.send([message])
            if count % 20 == 0:
                await line.send([message])

    async def _all(self, line: _Line, facts: int) -> None:
        """Tell so many facts as fast as they are taken, through a network that repeats."""
        for happening in self._happenings(facts):
            if isinstance(happening, Known):
                await self._erp.learn(happening)
            else:
                self.told.append(happening)
        for known in self.stream.rest():
            await self._erp.learn(known)
        arrivals = iter(disturb(self.told, self._seed, REPEATS).messages)
        while group := list(islice(arrivals, GROUP)):
            for plant in dict.fromkeys(message.partition for message in group):
                mine = [message for message in group if message.partition == plant]
                await line.send(mine)
                self.acknowledged += mine

    def _happenings(self, facts: int) -> Iterator[Known | Told]:
        told = 0
        for happening in self.stream.happenings():
            if isinstance(happening, Told):
                told += 1
                if told > facts:
                    return
            yield happening


def _event(message: Message) -> bytes:
    """A message of the simulation as native JSON."""
    head, _, rest = message.body.partition(b",")
    type_ = msgspec.json.decode(head + b"}")["type"]
    assert message.occurred is not None, "every simulated fact has its time"
    event = {"id": message.id, "source": message.source, "type": type_, "time": message.occurred, "data": msgspec.Raw(b"{" + rest)}
    return msgspec.json.encode(event)


async def _summary(session: aiohttp.ClientSession, address: str) -> Summary:
    async with session.get(f"{address}/v1/summary") as answer:
        return msgspec.json.decode(await answer.read(), type=Summary)


def _lines(settings: Mapping[str, object]) -> str:
    """Settings as lines of the configuration file."""
    return "\n".join(f"{key} = {_value(value)}" for key, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return msgspec.json.encode(value).decode()
