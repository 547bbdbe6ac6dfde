"""The whole system: `synchromesh serve` in its default configuration between a load driver and a stub ERP, all as processes.

A fact counts when its outcome is in state: the totals that the console tells hold the number of booked documents.
"""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from benchmarks import erp
from benchmarks.figures import Figure
from benchmarks.http_driver import Load, Result, drive
from benchmarks.plant import PLANT, Size, load, posts
from benchmarks.processes import cpu, family, resident, running

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.stores import Stores
from synchromesh.state.agreement import Reading
from synchromesh.state.sqlite.reading import SqliteReading

BATCH = 100
"""Events in one post, where posts are batches."""
SINGLES = 4_000
BATCHES = 7_000
OFFERED = 1.5
"""How much more than the target is offered: enough to show more, and no backlog that grows without end."""
RATE = 1_000.0
PATIENCE = 120.0
"""Seconds without any progress after which a measurement has failed."""

CONFIG = """\
[synchromesh]
data = "data"

[http]
port = 0

[[plant]]
id = "{plant}"
zone = "UTC"
erp = "stub"

[erp.stub]
connector = "sandbox"
url = "{url}"
"""


class _Totals(msgspec.Struct):
    """Of a summary, what is counted here."""

    facts: int = 0
    documents: int = 0


class System:
    """One running installation."""

    def __init__(self, pid: int, address: str, data: Path) -> None:
        self.pid = pid
        self.address = address
        self.data = data
        self.peak = 0.0

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def totals(self) -> _Totals:
        with urllib.request.urlopen(f"{self.address}/v1/summary", timeout=30) as answer:
            return msgspec.json.decode(answer.read(), type=_Totals)

    def weigh(self) -> None:
        """Note the memory of all processes, and keep the highest."""
        self.peak = max(self.peak, sum(resident(pid) for pid in family(self.pid).values()))

    def until(self, done: Callable[[_Totals], bool]) -> None:
        """Wait until the totals say so. Raises `RuntimeError` when nothing moves any more."""
        last, moved = self.totals(), time.monotonic()
        while not done(last):
            time.sleep(0.1)
            self.weigh()
            now = self.totals()
            if now != last:
                last, moved = now, time.monotonic()
            elif time.monotonic() - moved > PATIENCE:
                raise RuntimeError(f"nothing has moved for {PATIENCE:.0f} s: {now.facts} facts, {now.documents} documents")


def measure(size: Size) -> list[Figure]:
    """All figures of the whole system, on one store that grows from one to the next."""
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as name, running("-m", "benchmarks.erp") as (_, said):
        folder = Path(name)
        config = folder / "synchromesh.toml"
        config.write_text(CONFIG.format(plant=PLANT, url=msgspec.json.decode(said)["url"]), "utf-8")
        settings = read_settings(config)
        prepare(settings)
        log = Stores(settings).log()
        load(log, size, datetime.now(UTC))
        head = log.head()[PLANT]
        log.close()
        raw_single, raw_batch, raw_steady = _raw(folder, size)
        with serving(config) as (system, _):
            loaded(SqliteReading(system.data / "state.db"), head)
            single, single_note = _sustained(system, size, 1, SINGLES)
            batch, batch_note = _sustained(system, size, BATCH, BATCHES)
            p50, p99, steady_note = steady(system, SqliteReading(system.data / "state.db"), size)
            memory = system.peak
        with serving(config) as (_, seconds):
            restart = seconds
    return [
        Figure("end to end, single posts", single, "facts/s", SINGLES, raw=raw_single, note=single_note),
        Figure(f"end to end, {BATCH} a post", batch, "facts/s", BATCHES, raw=raw_batch, note=batch_note),
        Figure("arrival to ERP p50 at 1,000/s", p50, "ms", 15, raw=raw_steady.p50, lower=True, note=steady_note),
        Figure("arrival to ERP p99 at 1,000/s", p99, "ms", 80, raw=raw_steady.p99, lower=True),
        Figure("resident memory, all processes", memory, "MB", 500, lower=True),
        Figure("restart to ready", restart, "s", 3, lower=True),
    ]


@contextmanager
def serving(config: Path) -> Iterator[tuple[System, float]]:
    """A running installation, and the seconds until it was ready."""
    started = time.monotonic()
    with running("-u", "-m", "synchromesh.cli", "serve", "--config", str(config)) as (process, line):
        seconds = time.monotonic() - started
        yield System(process.pid, line.removeprefix("ready at "), config.parent / "data"), seconds


def loaded(reading: Reading, head: int) -> None:
    """Wait until the orders are folded; they are no facts, so the position tells."""
    try:
        while reading.positions().get(PLANT, 0) < head:
            time.sleep(0.1)
    finally:
        reading.close()


def run_load(port: int, size: Size, batch: int, rate: float = 0.0) -> Result:
    prefix = f"{batch}-{rate:.0f}-{time.time_ns():x}"
    aim = Load("127.0.0.1", port, (PLANT,), size.seconds, rate=rate, batch=batch, connections=64 if batch == 1 else 16)
    result = uvloop.run(drive(aim, posts(size, prefix, batch)))
    if result.unanswered:
        raise RuntimeError(f"{result.unanswered} posts were not answered")
    return result


def _sustained(system: System, size: Size, batch: int, target: float) -> tuple[float, str]:
    """Facts a second from the first post until the outcome of the last one is in state; and who needed how much CPU for a fact."""
    before = system.totals().documents
    family_ = family(system.pid)
    used = {role: cpu(pid) for role, pid in family_.items()}
    started = time.monotonic()
    result = run_load(system.port, size, batch, OFFERED * target)
    system.weigh()
    system.until(lambda totals: totals.documents - before >= result.events)
    seconds = time.monotonic() - started
    spent = {role: cpu(pid) - used[role] for role, pid in family_.items()} | {"driver": result.driver_cpu}
    shares = ", ".join(f"{role} {1e6 * value / result.events:.0f}" for role, value in spent.items() if role != "supervisor")
    return result.events / seconds, f"accepted {result.per_second:,.0f}/s; CPU µs a fact: {shares}"


def steady(system: System, reading: Reading, size: Size) -> tuple[float, float, str]:
    """Milliseconds from arrival at the gateway to arrival at ERP, p50 and p99, at a steady rate."""
    try:
        before, first = system.totals().documents, reading.positions()[PLANT]
        result = run_load(system.port, size, 1, RATE)
        system.until(lambda totals: totals.documents - before >= result.events)
        spans = []
        for position in range(first + 1, reading.positions()[PLANT] + 1):
            fact = reading.fact(PLANT, position)
            if fact is not None:
                spans += [(erp.arrived(row.document) - fact.received) / 1000 for row in reading.postings_of(PLANT, position)]
    finally:
        reading.close()
    spans.sort()
    note = f"{len(spans):,} facts, acknowledged p50 {result.p50:.1f} ms, p99 {result.p99:.1f} ms"
    return spans[len(spans) // 2], spans[len(spans) * 99 // 100], note


def _raw(folder: Path, size: Size) -> tuple[float, float, Result]:
    """What the machine and the driver do with a server that only stores: single posts, batches, and at the steady rate."""
    with running("-m", "benchmarks.sink", str(folder / "raw.db")) as (_, port):
        part = msgspec.structs.replace(size, seconds=min(size.seconds, 5.0))
        single, batch = run_load(int(port), part, 1), run_load(int(port), part, BATCH)
        return single.per_second, batch.per_second, run_load(int(port), part, 1, RATE)
