"""Two workers, each on a plant of its own in one PostgreSQL database, beside one alone: what they cost each other.

Each is a process of its own. Its facts and their outcomes are in a log that only it reads, so that the figure is that of the state.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from benchmarks.figures import Figure
from benchmarks.plant import Size, load, reports
from benchmarks.processes import ROOT
from benchmarks.working import BATCH, NOW, as_the_worker, drain, interleave
from benchmarks.working_postgres import SETTINGS
from tests.postgres.server import Server

from synchromesh.engine.worker import Worker
from synchromesh.log.sqlite import SqliteLog
from synchromesh.postgres.database import database
from synchromesh.state.postgres.store import PostgresState

PLANTS: Final = ("oslo", "rome")
LEAST_CPU: Final = 0.8
LEAST_WALL: Final = 1.3
"""Of what one worker does: each of two in a second of its own computing, and both together in a second."""


class Told(msgspec.Struct, frozen=True):
    """What one worker needed for its facts: seconds, and seconds of computing."""

    seconds: float
    cpu: float


def measure(size: Size) -> list[Figure]:
    """Facts per second of computing and per second, as shares of one worker's; the median of pairs."""
    server = Server(durable=True, settings=SETTINGS)
    shares, rates = [], []
    try:
        for _ in range(size.pairs):
            alone, both = _round(server, size, PLANTS[:1]), _round(server, size, PLANTS)
            shares.append(alone[0].cpu / statistics.mean(each.cpu for each in both))
            rates.append(len(both) * alone[0].seconds / max(each.seconds for each in both))
    finally:
        server.close()
    note = f"{size.facts:,} facts each, {size.pairs} pairs; load of the machine {os.getloadavg()[0]:.1f}"
    return [
        Figure("two workers, facts per worker-CPU-second / one's", statistics.median(shares), "", LEAST_CPU, note=note),
        Figure("two workers, facts per second / one's", statistics.median(rates), "", LEAST_WALL),
    ]


def _round(server: Server, size: Size, plants: tuple[str, ...]) -> list[Told]:
    """Workers that begin at one time."""
    with server.fresh() as name:
        started = [_Process(server.address(name), plant, size) for plant in plants]
        try:
            for each in started:
                each.heard()
            server.run("VACUUM ANALYZE", name=name)
            for each in started:
                each.go()
            return [msgspec.json.decode(each.heard(), type=Told) for each in started]
        finally:
            for each in started:
                each.end()


class _Process:
    """One worker: it says when it has folded its orders, waits for a line, and tells what it needed."""

    def __init__(self, address: str, plant: str, size: Size) -> None:
        words = [sys.executable, "-m", "benchmarks.workers", address, plant, msgspec.json.encode(size).decode()]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def heard(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise RuntimeError(f"a worker ended with {self._process.wait()}; its lines above say why")

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.communicate()


def _work(address: str, plant: str, size: Size) -> None:
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
        log, state = SqliteLog(Path(folder) / "log.db"), PostgresState(database(address), "bench", lease_seconds=600)
        load(log, size, NOW, plant)
        worker = Worker(log, state, [plant], plant, now=lambda: NOW, batch=BATCH)
        drain(worker)
        interleave(log, reports(size, 1, size.facts, NOW, plant=plant), worker.positions[plant], plant=plant)
        with as_the_worker():
            _say("ready")
            sys.stdin.readline()
            started, spent = time.perf_counter(), time.process_time()
            drain(worker)
            told = Told(time.perf_counter() - started, time.process_time() - spent)
        _say(msgspec.json.encode(told).decode())
        state.close()
        log.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], msgspec.json.decode(sys.argv[3], type=Size))
