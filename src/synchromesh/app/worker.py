"""The worker as a process: folds until it is told to stop, ticks when something is due, trims the log behind itself."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from synchromesh.app.owners import owner
from synchromesh.app.pages import keep_large
from synchromesh.app.placing import DEFAULT
from synchromesh.app.process import Ready, announcing
from synchromesh.app.room import LATER, Room
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.worker import Worker
from synchromesh.log.agreement import Log
from synchromesh.observe.lines import emit
from synchromesh.observe.names import FENCED, SHARE
from synchromesh.state.agreement import ATTEND_SECONDS, LEASE_SECONDS, Fenced

IDLE: Final = ATTEND_SECONDS
"""The longest wait for news, in seconds."""

LONGEST_STEP: Final = LEASE_SECONDS / 3
"""Seconds that a batch may take: a third of the time after which another one may have taken over."""

PAUSE: Final = 1.0
"""Between two tries to store when there is no room."""

SEGMENT: Final = 50_000
"""Messages that are archived and trimmed at a time."""

EARLIEST_LOOK: Final = 60.0
LATEST_LOOK: Final = 600.0
"""Seconds between two looks for cycles in memory: when there is nothing to do, and while there is."""

TRIM_PAUSE: Final = 10.0


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Fold its share until `stop`, and give it back. Returns as well where another worker has taken everything over. Where the state is
    in several databases each has a thread of its own, so that one which is away stops only the plants that lie there."""
    gc.freeze()
    gc.disable()
    stores = Stores(settings)
    name = owner("worker")
    threading.Thread(target=keep_large, args=(stop,), name="pages", daemon=True).start()
    ready = announcing(Ready("worker"))
    if stores.placing.whole:
        _run_part(settings, stores, DEFAULT, name, stop, ready)
        return
    with ThreadPoolExecutor(len(stores.placing.parts)) as threads:
        running = [threads.submit(_run_when_there, settings, stores, part, name, stop, ready) for part in stores.placing.parts]
        for each in running:
            each.result()


def _run_when_there(settings: Settings, stores: Stores, part: str, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Run a part from when it can be opened, whatever the others do; when one ends, all do."""
    room = Room()

    def there() -> None:
        room.there()
        ready()

    try:
        while not stop.is_set():
            try:
                _run_part(settings, stores, part, name, stop, there)
            except LATER as error:
                room.gone(error)
                stop.wait(PAUSE)
    finally:
        stop.set()


def _run_part(settings: Settings, stores: Stores, part: str, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Fold what lies in one part of the state. Raises what may work later only while it is opened and when it is given back."""
    with closing(stores.log()) as log, closing(stores.state(part)) as state:
        plants = stores.placing.partitions(part)
        worker = Worker(log, state, plants, name, now=lambda: datetime.now(UTC), batch=settings.limits.batch)
        trimmer = threading.Thread(target=_trim, args=(log, worker, settings.log.keep, stop), name="trim", daemon=True)
        trimmer.start()
        ready()
        try:
            _fold(log, worker, name, stop)
        except Fenced:
            emit(FENCED, owner=name)
        else:
            worker.leave()
        finally:
            stop.set()
            trimmer.join()


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


class _Attendance:
    """When the worker attends: about every `ATTEND_SECONDS`, and at once when it heard that it has lost something."""

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker = worker
        self._name = name
        self._attended = -ATTEND_SECONDS
        self._share = sorted(worker.positions)

    def keep(self) -> None:
        """Attend when it is time. Raises as `Worker.attend`."""
        now = time.monotonic()
        if now - self._attended < ATTEND_SECONDS:
            return
        self._worker.attend()
        self._attended = now
        if (share := sorted(self._worker.positions)) != self._share:
            self._share = share
            emit(SHARE, owner=self._name, names=" ".join(share))

    def lost(self) -> None:
        """Something that it had is another one's now."""
        self._attended = -ATTEND_SECONDS


class _Stride:
    """How much the worker folds at a time: no more than it commits while its lease lasts, however slow machine and store are just now. Who
    takes longer has lost everything by then, and two such workers would take each other's work away for ever."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._most = worker.batch
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def end(self, folded: int) -> None:
        """A step is over, with so many messages: what took too long is halved, and what was quick may grow again."""
        seconds, batch = time.monotonic() - self._began, self._worker.batch
        if seconds > LONGEST_STEP:
            self._worker.batch = max(1, min(batch, folded or batch) // 2)
        elif seconds < LONGEST_STEP / 4 and batch < self._most:
            self._worker.batch = min(self._most, batch * 2)


def _step(worker: Worker, attendance: _Attendance, stride: _Stride) -> tuple[int, float | None]:
    folded = 0
    stride.begin()
    try:
        folded = worker.step()
        return folded, worker.tick()
    except Fenced:
        attendance.lost()
        return 1, None
    finally:
        stride.end(folded)


def _fold(log: Log, worker: Worker, name: str, stop: threading.Event) -> None:
    cycles = _Cycles()
    room = Room()
    attendance = _Attendance(worker, name)
    stride = _Stride(worker)
    while not stop.is_set():
        try:
            attendance.keep()
            folded, soonest = _step(worker, attendance, stride)
            if not folded:
                log.wait(worker.positions, IDLE if soonest is None else max(0.0, min(IDLE, soonest)))
        except LATER as error:
            room.gone(error)
            stop.wait(PAUSE)
            continue
        room.there()
        cycles.look(idle=not folded)


def _trim(log: Log, worker: Worker, keep: int, stop: threading.Event) -> None:
    """Archive what is folded and older than what is kept, a segment at a time. Without room for the archive it is tried again later."""
    trimmed: dict[str, int] = {}
    while not stop.wait(TRIM_PAUSE):
        for partition, position in dict(worker.positions).items():
            through = trimmed.get(partition, 0) + SEGMENT
            if position - keep >= through:
                try:
                    log.trim(partition, through)
                except LATER:
                    break  # the worker says so itself
                trimmed[partition] = through
