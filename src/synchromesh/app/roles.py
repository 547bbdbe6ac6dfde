"""The roles of an installation, and what must be true before any of them starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from synchromesh.app import process
from synchromesh.app.adapters import Adapters, deciding
from synchromesh.app.dispatcher import connector_of, run_dispatcher
from synchromesh.app.gateway import run_gateway
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.app.worker import run_worker
from synchromesh.engine.activation import activations
from synchromesh.log.agreement import LogFull
from synchromesh.observe.lines import emit
from synchromesh.observe.names import STORE_BACK, STORE_FULL
from synchromesh.state.agreement import StateFull

PAUSE: Final = 1.0
"""Seconds between two looks for room."""


def prepare(settings: Settings) -> None:
    """Open the stores once, so that they exist and are of this program's schema, and activate what has changed since the last start.

    Raises `LogError`, `StateError`, `ManifestError` or `ValueError` saying what is wrong, before anything is taken in.
    """
    stores = Stores(settings)
    log, state, reading = stores.log(), stores.state(), stores.reading()
    try:
        differences = {name: connector_of(erp).abilities.differences for name, erp in settings.erps.items()}
        messages = activations(reading, deciding(settings, Adapters(settings), differences), datetime.now(UTC))
        if messages:
            log.append(messages)
    finally:
        reading.close()
        state.close()
        log.close()


def prepare_when_there_is_room(settings: Settings, stop: threading.Event) -> bool:
    """`prepare`; where the stores have worked before and the disk is full now, say so once and wait for room. Whether it is prepared: not
    when `stop` was set meanwhile. Raises as `prepare`, `LogFull` and `StateFull` only at the first start, where a person looks on."""
    first = not Stores(settings).made
    full_since: float | None = None
    while not stop.is_set():
        try:
            prepare(settings)
        except (LogFull, StateFull) as error:
            if first:
                raise
            if full_since is None:
                full_since = time.monotonic()
                emit(STORE_FULL, error=str(error))
            stop.wait(PAUSE)
            continue
        if full_since is not None:
            emit(STORE_BACK, seconds=round(time.monotonic() - full_since, 1))
        return True
    return False


def _worker(settings: Settings) -> None:
    run_worker(settings, process.stop_event())


def _gateway(settings: Settings) -> None:
    process.run_loop(run_gateway(settings))


def _dispatcher(settings: Settings) -> None:
    process.run_loop(run_dispatcher(settings))


ROLES: Final[dict[str, Callable[[Settings], None]]] = {"worker": _worker, "dispatcher": _dispatcher, "gateway": _gateway}
"""Every role by name, in the order of starting: who takes in starts last."""
