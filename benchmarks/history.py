"""A store with a long history beside an empty one, timed alternately: the median of the pairs says what history costs. On every engine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size, load, reports
from benchmarks.working import NOW, documents, drain, interleave

from synchromesh.engine.worker import Worker
from synchromesh.log.agreement import Log
from synchromesh.log.sqlite import SqliteLog
from synchromesh.state.agreement import Reading, State
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState

TARGET = 0.85
BLOCK = 50_000
"""Facts of history that are appended at a time."""
BATCH = 4_000
LEASE: Final = 600.0
"""Seconds: nobody attends while facts are folded here."""

Opening = Callable[[Path], tuple[Log, State, Reading]]
"""Opens the log and the state of an installation that has a folder of this name."""


class _Store:
    """One installation's log, state and worker."""

    def __init__(self, folder: Path, size: Size, opening: Opening) -> None:
        folder.mkdir()
        self.size = size
        self.log, self.state, self.reading = opening(folder)
        load(self.log, size, NOW)
        self.worker = Worker(self.log, self.state, [PLANT], "bench", now=lambda: NOW, batch=BATCH)
        drain(self.worker)
        self.told = 0

    def tell(self, count: int) -> float:
        """Fold so many more facts and their outcomes; the seconds that it took."""
        self.told += count
        prefix = f"t{self.told}"
        messages = reports(self.size, self.told, count, NOW, prefix)
        interleave(self.log, messages, self.worker.positions[PLANT], prefix)
        started = time.perf_counter()
        drain(self.worker)
        taken = time.perf_counter() - started
        self.log.trim(PLANT, max(0, self.worker.positions[PLANT] - BLOCK))
        return taken

    def close(self) -> None:
        assert documents(self.reading) == self.told, "every fact is booked"
        self.reading.close()
        self.state.close()
        self.log.close()


def measure(size: Size) -> Figure:
    """The speed with history as a share of the speed without, on the files of one machine."""
    return _beside(size, "", _sqlite)


def on_servers(size: Size) -> list[Figure]:
    """The same with the state in PostgreSQL, and the log there or in JetStream. Both installations are on the same servers."""
    figures = []
    for name, opening in (("PostgreSQL", _postgres), ("JetStream and PostgreSQL", _jetstream)):
        with opening() as opened:
            figures.append(_beside(size, f" on {name}", opened))
    return figures


def _sqlite(folder: Path) -> tuple[Log, State, Reading]:
    return SqliteLog(folder / "log.db"), SqliteState(folder / "state.db"), SqliteReading(folder / "state.db")


@contextmanager
def _state() -> Iterator[Callable[[Path], tuple[str, State, Reading]]]:
    """States in one server: each folder's in a database of its own, whose address is told too."""
    from benchmarks.working_postgres import SETTINGS  # noqa: PLC0415 (its server comes with what the tests need)
    from tests.postgres.server import Server  # noqa: PLC0415

    from synchromesh.postgres.database import database  # noqa: PLC0415
    from synchromesh.state.postgres.reading import PostgresReading  # noqa: PLC0415
    from synchromesh.state.postgres.store import PostgresState  # noqa: PLC0415

    server = Server(durable=True, settings=SETTINGS)

    def opened(folder: Path) -> tuple[str, State, Reading]:
        server.run(f"CREATE DATABASE {folder.name}")
        where = database(server.address(folder.name))
        state = PostgresState(where, "bench", lease_seconds=LEASE)
        return server.address(folder.name), state, PostgresReading(where)

    try:
        yield opened
    finally:
        server.close()


@contextmanager
def _postgres() -> Iterator[Opening]:
    from synchromesh.log.postgres.log import PostgresLog  # noqa: PLC0415
    from synchromesh.postgres.database import database  # noqa: PLC0415

    with _state() as state:

        def opening(folder: Path) -> tuple[Log, State, Reading]:
            address, its_state, reading = state(folder)
            return PostgresLog(database(address), folder, "bench"), its_state, reading

        yield opening


@contextmanager
def _jetstream() -> Iterator[Opening]:
    from tests.nats.server import Server  # noqa: PLC0415

    from synchromesh.log.jetstream import JetStreamLog, Options  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as name, Server(Path(name) / "nats") as server, _state() as state:

        def opening(folder: Path) -> tuple[Log, State, Reading]:
            _, its_state, reading = state(folder)
            return JetStreamLog(server.address, folder, options=Options(stream=folder.name, replicas=1)), its_state, reading

        yield opening


def _beside(size: Size, name: str, opening: Opening) -> Figure:
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
        old, new = _Store(Path(folder) / "old", size, opening), _Store(Path(folder) / "new", size, opening)
        while old.told < size.history:
            old.tell(min(BLOCK, size.history - old.told))
        each = max(100, size.facts // 4)
        new.tell(each)
        shares = []
        for _ in range(size.pairs):
            without, having = new.tell(each), old.tell(each)
            shares.append(without / having)
        old.close()
        new.close()
    note = f"{size.history:,} facts of history, {size.pairs} pairs"
    return Figure(f"speed with history / without{name}", statistics.median(shares), "", TARGET, note=note)
