"""A real Tryton, a real dispatcher process, and a line between them that breaks: nothing may be lost, nothing booked twice.

`python -m tests.connectors.tryton.soak --runs 50 --seed 1` plays so many runs against a Tryton with the module, and as many against one
without. In each run facts are told about an order of its own, one call of a posting meets the run's fault, and in the end Tryton's books
are compared with what was told. Which fault meets which call comes from the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec
from tests.connectors.tryton.erp import Books, furnished

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.tryton.provision import Part, Provisioner
from synchromesh.connectors.tryton.server import TrytonServer
from synchromesh.model.event import MaterialConsumed, PlantEvent, ProductionReported, amount
from synchromesh.model.message import NATIVE, Message
from synchromesh.state.agreement import PostingRow

PLANT: Final = "oslo"
PATIENCE: Final = 120.0
TIMEOUT: Final = 3.0
"""The connector's time for one call, and without the module the settle time: short, so that a run is."""

CONFIG: Final = """\
[synchromesh]
data = "data"
[[plant]]
id = "oslo"
zone = "UTC"
erp = "main"
[erp.main]
connector = "tryton"
url = "{url}"
database = "{database}"
user = "{user}"
password = {{ env = "SOAK_PASSWORD" }}
module = {module}
timeout = {timeout}
"""

_START: Final = (
    "import sys; from pathlib import Path; from synchromesh.app import roles; from synchromesh.app.reading import read_settings; "
)
_ROLE: Final = _START + "roles.ROLES[sys.argv[1]](read_settings(Path(sys.argv[2])))"

MODULE: Final = (b"model.synchromesh.posting.post",)
STEPS: Final = (b"model.stock.move.create", b"model.ir.note.create", b"model.stock.move.write", b"model.stock.move.do")
"""The calls of a posting, with the module and without."""


class Strike(enum.StrEnum):
    """What happens at the chosen call."""

    CUT = "connection cut before commit"
    REPLY_LOST = "reply lost after commit"
    LATE = "commit long after the reply was given up"
    KILLED_BEFORE = "dispatcher killed, then commit"
    KILLED_AFTER = "dispatcher killed between commit and record"
    ASLEEP = "dispatcher stopped, followed, and continued"
    ERP_KILLED = "ERP killed and restarted"


class Plan(NamedTuple):
    """One run: what happens, at which call, and after how many seconds where that matters."""

    strike: Strike
    call: bytes
    delay: float


class Line:
    """The line to Tryton. The next call that holds `call` meets `strike`; everything else passes."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server
        self.plan: Plan | None = None
        self.struck = asyncio.Event()
        self.on_kill: Callable[[], None] = lambda: None
        self.on_sleep: Callable[[], None] = lambda: None
        self.url = ""
        self._late: set[asyncio.Task[bytes]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener:
            yield self

    async def settle(self) -> None:
        """Wait for what was held back."""
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plan = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
            request = head + await reader.readexactly(length)
            plan = self.plan if self.plan is not None and self.plan.call in request else None
            if plan is not None:
                self.plan = None
            answer = await (self._pass(request) if plan is None else self._meet(plan, request))
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # Tryton is away, or the dispatcher is
        finally:
            if plan is not None:
                self.struck.set()
            writer.close()

    async def _meet(self, plan: Plan, request: bytes) -> bytes:
        """The answer that comes back, b'' for none."""
        match plan.strike:
            case Strike.CUT:
                return b""
            case Strike.REPLY_LOST:
                await self._pass(request)
            case Strike.LATE:
                self._hold(request, plan.delay)
            case Strike.KILLED_BEFORE:
                self.on_kill()
                self._hold(request, plan.delay)
            case Strike.KILLED_AFTER:
                await self._pass(request)
                self.on_kill()
            case Strike.ASLEEP:
                self.on_sleep()
                return await self._pass(request)
            case Strike.ERP_KILLED:
                self._hold(request, 0.0)
                await asyncio.sleep(plan.delay / 10)
                await asyncio.to_thread(self._server.kill)
                await asyncio.to_thread(self._server.restart)
        return b""

    def _hold(self, request: bytes, delay: float) -> None:
        async def later() -> bytes:
            await asyncio.sleep(delay)
            return await self._pass(request)

        self._late.add(asyncio.create_task(later()))

    async def _pass(self, request: bytes) -> bytes:
        back, forth = await asyncio.open_connection("127.0.0.1", int(self._server.url.rpartition(":")[2]))
        try:
            forth.write(request)
            return await back.read()
        finally:
            forth.close()


class Outcome(NamedTuple):
    """What came of all runs of one variant."""

    runs: int
    strikes: Counter[str]
    postings: int
    wrong: list[str]


class Soak:
    """One installation in a folder: log and state here, worker and dispatcher as processes of their own."""

    def __init__(self, folder: Path, server: TrytonServer, module: bool, seed: int) -> None:
        self._folder = folder
        self._server = server
        self._module = module
        self._random = Random(f"{seed}/{module}")
        self._line = Line(server)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._postings = 0

    async def play(self, strikes: Sequence[Strike]) -> Outcome:
        """Play a run for each strike, one after another."""
        runs, wrong = len(strikes), list[str]()
        async with self._line.open() as line:
            settings = self._configured(line.url)
            await self._orders(runs)
            prepare(settings)
            stores = Stores(settings)
            self._log, self._reading = stores.log(), stores.reading()
            try:
                self._start("worker")
                self._dispatcher = self._start("dispatcher")
                line.on_kill, line.on_sleep = self._kill, self._send_to_sleep
                await self._until(lambda: self._known(f"SOAK-{runs}"), "the orders")
                for number, strike in enumerate(strikes, 1):
                    call = self._random.choice(MODULE if self._module else STEPS)
                    plan = Plan(strike, call, self._random.uniform(0.2, TIMEOUT * 0.8))
                    wrong += [f"run {number}, {plan.strike} at {plan.call.decode()}: {each}" for each in await self._run(number, plan)]
            finally:
                for process in self._processes:
                    process.kill()
                    process.wait()
                self._log.close()
                self._reading.close()
        return Outcome(runs, Counter(strikes), self._postings, wrong)

    async def _run(self, number: int, plan: Plan) -> list[str]:
        """One run; what is wrong in the end."""
        order = f"SOAK-{number}"
        goods = [self._random.randint(1, 9) for _ in range(2)]
        used = self._random.randint(1, 9)
        self._line.struck.clear()
        self._line.plan = plan
        events: list[PlantEvent] = [ProductionReported(order, good=amount(good, "EA")) for good in goods]
        events.append(MaterialConsumed(order, "RM", amount(used, "EA"), location="STO"))
        positions = [self._tell(event, f"{order}/{at}") for at, event in enumerate(events)]
        await asyncio.wait_for(self._line.struck.wait(), PATIENCE)
        if plan.strike in (Strike.KILLED_BEFORE, Strike.KILLED_AFTER, Strike.ASLEEP):
            sleeper, self._dispatcher = self._dispatcher, self._start("dispatcher")
        await self._until(lambda: all(self._done(self._rows(at)) for at in positions), f"the end of {plan}")
        if plan.strike is Strike.ASLEEP:
            sleeper.send_signal(signal.SIGCONT)
            await asyncio.to_thread(sleeper.wait, PATIENCE)  # it finds that it is followed, and ends by itself
        await self._line.settle()
        rows = [row for at in positions for row in self._rows(at)]
        self._postings += len(rows)
        return [*self._compared(rows), *await self._audited(order, sum(goods), used, len(rows))]

    @staticmethod
    def _compared(rows: list[PostingRow]) -> list[str]:
        return [f"{row.key} is {row.state}: {row.refusal.decode()}" for row in rows if row.state != "posted"]

    async def _audited(self, order: str, good: int, used: int, documents: int) -> list[str]:
        """Tryton's books of the order, past the connector, against what was told."""
        books = Books(self._server)
        try:
            (production,) = await books.ids("production", ["reference", "=", order])
            received = await books.moved(["production_output", "=", production], ["to_location.type", "=", "storage"])
            issued = await books.moved(["production_input", "=", production], ["from_location.type", "=", "storage"])
            of_order = ["OR", ["production_output", "=", production], ["production_input", "=", production]]
            moves = len(await books.ids("stock.move", of_order, ["state", "=", "done"]))
            keys = len(await books.ids("synchromesh.posting", ["production", "=", production])) if self._module else documents
        finally:
            await books.close()
        said = [("received", received, Decimal(good)), ("issued", issued, Decimal(used)), ("moves", moves, 3), ("keys", keys, documents)]
        return [f"{what}: Tryton has {have} where {true} is true" for what, have, true in said if have != true]

    # --- the installation ---------------------------------------------------------------------------------------------

    def _configured(self, url: str) -> Settings:
        path = self._folder / "synchromesh.toml"
        server = self._server
        os.environ["SOAK_PASSWORD"] = server.password
        module = "true" if self._module else "false"
        path.write_text(CONFIG.format(url=url, database=server.database, user=server.user, module=module, timeout=TIMEOUT), "utf-8")
        return read_settings(path)

    async def _orders(self, runs: int) -> None:
        provisioner = Provisioner(self._server.settings())
        try:
            for number in range(1, runs + 1):
                await provisioner.create_order(f"SOAK-{number}", "FG", amount(100, "EA"), [Part("RM", amount(100, "EA"))])
        finally:
            await provisioner.close()

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        """A process of this role, without the lock that keeps a second one from starting: a sleeper is followed here."""
        with (self._folder / f"{role}.log").open("ab") as lines:
            process = subprocess.Popen(
                [sys.executable, "-c", _ROLE, role, str(self._folder / "synchromesh.toml")],
                stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def _kill(self) -> None:
        self._dispatcher.kill()
        self._dispatcher.wait()

    def _send_to_sleep(self) -> None:
        self._dispatcher.send_signal(signal.SIGSTOP)

    def _tell(self, event: PlantEvent, id: str) -> int:
        now = datetime.now(UTC)
        body = msgspec.json.Encoder(decimal_format="string").encode(event)
        return self._log.append([Message(PLANT, "soak", id, NATIVE, now, body, occurred=now)])[0]

    def _known(self, order: str) -> bool:
        return bool(self._reading.entities(PLANT, [("order", order)]))

    def _rows(self, position: int) -> list[PostingRow]:
        return list(self._reading.postings_of(PLANT, position))

    @staticmethod
    def _done(rows: list[PostingRow]) -> bool:
        return bool(rows) and all(row.state in ("posted", "rejected", "in doubt") for row in rows)

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE
        while not true():
            if asyncio.get_running_loop().time() > end:
                lines = (self._folder / "dispatcher.log").read_text("utf-8", "replace")[-2000:]
                raise TimeoutError(f"waited in vain for {what}: {lines}")
            await asyncio.sleep(0.05)


def soak(folder: Path, module: bool, strikes: Sequence[Strike], seed: int) -> Outcome:
    """Play these runs on a fresh Tryton."""
    with furnished(folder / "erp", module=module) as server:
        return asyncio.run(Soak(folder, server, module, seed).play(strikes))


def chosen(runs: int, random: Random) -> list[Strike]:
    """So many strikes: all in turn, each round in an order of chance, so that few runs meet many of them."""
    return [strike for _ in range(runs) for strike in random.sample(list(Strike), len(Strike))][:runs]


def main() -> int:
    """Both variants, and what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50, help="runs with the module, and as many without")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    broken = 0
    for module in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            outcome = soak(Path(folder), module, chosen(asked.runs, Random(f"{asked.seed}/{module}")), asked.seed)
        words = ", ".join(f"{count} x {what}" for what, count in sorted(outcome.strikes.items()))
        name = "with the module (unique)" if module else "plain (askable)"
        sys.stdout.write(f"Tryton {name}: {outcome.runs} runs, {outcome.postings} postings; {words}\n")
        sys.stdout.write("".join(f"  {each}\n" for each in outcome.wrong) or "  nothing lost, nothing twice\n")
        broken += len(outcome.wrong)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
