"""A store with a long history beside an empty one, timed alternately: the median of the pairs says what history costs."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.plant import PLANT, Size, load, reports
from benchmarks.working import NOW, booked, drain, interleave

from synchromesh.engine.worker import Worker
from synchromesh.log.agreement import Log
from synchromesh.log.sqlite import SqliteLog
from synchromesh.state.agreement import State
from synchromesh.state.sqlite.store import SqliteState

TARGET = 0.85
BLOCK = 50_000
"""Facts of history that are appended at a time."""
BATCH = 4_000


class _Store:
    """One installation's log, state and worker."""

    def __init__(self, folder: Path, size: Size) -> None:
        folder.mkdir()
        self.folder = folder
        self.size = size
        self.log: Log = SqliteLog(folder / "log.db")
        self.state: State = SqliteState(folder / "state.db")
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
        self.state.close()
        self.log.close()
        assert booked(self.folder) == self.told, "every fact is booked"


def measure(size: Size) -> Figure:
    """The speed with history as a share of the speed without."""
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as folder:
        old, new = _Store(Path(folder) / "old", size), _Store(Path(folder) / "new", size)
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
    return Figure("speed with history / without", statistics.median(shares), "", TARGET, note=note)
