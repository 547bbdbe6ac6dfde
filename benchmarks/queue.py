"""The exception queue on SQLite: listing very many exceptions by their cause, and releasing one large cause."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.plant import PLANT, SERIES, Size, encode, load, order_name
from benchmarks.working import BATCH, NOW, as_the_worker, drain

from synchromesh.engine.queue import Queue
from synchromesh.engine.worker import Worker, own_message
from synchromesh.log.sqlite import SqliteLog
from synchromesh.model.event import CauseReleased, OutcomesReported, ProductionReported
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Category, Fate, Outcome, Refusal
from synchromesh.model.quantity import Quantity
from synchromesh.plant.keys import key_of, stem_of
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState

CAUSES = 40
LIST_TARGET = 100.0
"""Milliseconds for the grouped list of 50,000 exceptions."""
RELEASE_TARGET = 10.0
"""Seconds for a cause with a fifth of them."""
LOOKS = 15
GROUP = 500


def measure(size: Size) -> list[Figure]:
    """Milliseconds of a listing, and seconds from the decision until everything of a cause was sent again."""
    count = min(50_000, size.orders)
    with tempfile.TemporaryDirectory(prefix="synchromesh-bench-") as name:
        folder = Path(name)
        log, state = SqliteLog(folder / "log.db"), SqliteState(folder / "state.db")
        load(log, size, NOW)
        worker = Worker(log, state, [PLANT], "bench", now=lambda: NOW, batch=BATCH)
        drain(worker)
        head = worker.positions[PLANT]
        log.append([_report(number) for number in range(count)])
        log.append([_refused(head, first, min(GROUP, count - first + 1), count) for first in range(1, count + 1, GROUP)])
        with as_the_worker():
            drain(worker)
            reading = SqliteReading(folder / "state.db")
            queue = Queue([PLANT], reading, log, now=lambda: NOW)
            listing = statistics.median(_timed(lambda: queue.causes(CAUSES)) for _ in range(LOOKS))
            assert sum(each.exceptions for each in queue.causes(CAUSES)) == count, "every report was refused"
            event = CauseReleased(Category.UNKNOWN_ITEM, "item 0", "bench")
            log.append([own_message(PLANT, "release", event, NOW)])
            releasing = _timed(lambda: _through(worker))
            assert len(queue.causes(CAUSES)) == CAUSES - 1, "the released cause has gone"
        reading.close()
        state.close()
        log.close()
    return [
        Figure(f"list of {count:,} exceptions by cause", listing * 1000, "ms", LIST_TARGET, lower=True),
        Figure(f"release of a cause of {count // 5:,}", releasing, "s", RELEASE_TARGET, lower=True),
    ]


def _report(number: int) -> Message:
    """The one report of an order."""
    event = ProductionReported(order_name(number), good=Quantity(Decimal(1), "EA"))
    return Message(PLANT, "mes", f"m-{number}", NATIVE, NOW, encode(event), occurred=NOW)


def _refused(head: int, first: int, count: int, of: int) -> Message:
    """ERP knows no item of these reports. A fifth of all has one cause; the others share the rest."""
    stem = stem_of(PLANT, SERIES)
    outcomes = []
    for number in range(first, first + count):
        cause = 0 if number <= of // 5 else 1 + number % (CAUSES - 1)
        refusal = Refusal(Category.UNKNOWN_ITEM, f"item {cause}", f"Item {cause} does not exist.", "Create the item.")
        outcomes.append(Outcome(key_of(stem, head + number, "receipt", 1), Fate.REJECTED, NOW, refusal=refusal))
    return own_message(PLANT, f"refused-{first}", OutcomesReported(tuple(outcomes)), NOW)


def _timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _through(worker: Worker) -> None:
    """Fold, with a tick for each page that is left."""
    while worker.step() or worker.tick() is not None:
        pass
