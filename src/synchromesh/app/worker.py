"""The worker as a process: folds until it is told to stop, ticks when something is due, trims the log behind itself."""

from __future__ import annotations

import gc
import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from synchromesh.app.pages import keep_large
from synchromesh.app.process import Ready, announce
from synchromesh.app.room import Room
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.worker import Worker
from synchromesh.log.agreement import Log, LogFull
from synchromesh.model.message import ENTERPRISE
from synchromesh.observe.lines import emit
from synchromesh.observe.names import FENCED
from synchromesh.state.agreement import Fenced, StateFull

IDLE: Final = 1.0
"""The longest wait for news, in seconds."""

PAUSE: Final = 1.0
"""Between two tries to store when there is no room."""

SEGMENT: Final = 50_000
"""Messages that are archived and trimmed at a time."""

EARLIEST_LOOK: Final = 60.0
LATEST_LOOK: Final = 600.0
"""Seconds between two looks for cycles in memory: when there is nothing to do, and while there is."""

TRIM_PAUSE: Final = 10.0


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Fold until `stop`. Returns as well when another worker has taken over."""
    gc.freeze()
    gc.disable()
    stores = Stores(settings)
    log, state = stores.log(), stores.state()
    plants = [ENTERPRISE, *(plant.id for plant in settings.plants)]
    worker = Worker(log, state, plants, f"worker-{os.getpid()}", now=lambda: datetime.now(UTC), batch=settings.limits.batch)
    trimmer = threading.Thread(target=_trim, args=(log, worker, settings.log.keep, stop), name="trim", daemon=True)
    trimmer.start()
    threading.Thread(target=keep_large, args=(stop,), name="pages", daemon=True).start()
    announce(Ready("worker"))
    try:
        _fold(log, worker, stop)
    except Fenced:
        emit(FENCED, owner=f"worker-{os.getpid()}")
    stop.set()
    trimmer.join()
    state.close()
    log.close()


class _Cycles:
    """When the garbage collector looks for cycles. A fold makes many values that live for a while and no cycles: looking for some all the
    time costs a tenth of the worker's speed. So it looks when there is nothing else to do, or at the latest after `LATEST_LOOK`."""

    def __init__(self) -> None:
        self._looked = time.monotonic()

    def look(self, *, idle: bool) -> None:
        """Look for cycles when it is time."""
        if time.monotonic() - self._looked > (EARLIEST_LOOK if idle else LATEST_LOOK):
            gc.collect()
            gc.freeze()  # what is left is no cycle, and the next look is shorter without it
            self._looked = time.monotonic()


def _fold(log: Log, worker: Worker, stop: threading.Event) -> None:
    cycles = _Cycles()
    room = Room()
    while not stop.is_set():
        try:
            folded = worker.step()
            soonest = worker.tick()
        except (StateFull, LogFull) as error:
            room.gone(error)
            stop.wait(PAUSE)
            continue
        room.there()
        cycles.look(idle=not folded)
        if not folded:
            log.wait(worker.positions, IDLE if soonest is None else max(0.0, min(IDLE, soonest)))


def _trim(log: Log, worker: Worker, keep: int, stop: threading.Event) -> None:
    """Archive what is folded and older than what is kept, a segment at a time. Without room for the archive it is tried again later."""
    trimmed: dict[str, int] = {}
    while not stop.wait(TRIM_PAUSE):
        for partition, position in dict(worker.positions).items():
            through = trimmed.get(partition, 0) + SEGMENT
            if position - keep >= through:
                with suppress(LogFull):  # the worker says so itself when it has no room
                    log.trim(partition, through)
                    trimmed[partition] = through
