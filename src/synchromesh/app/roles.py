"""The roles of an installation, and what must be true before any of them starts."""

from __future__ import annotations

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


def _worker(settings: Settings) -> None:
    run_worker(settings, process.stop_event())


def _gateway(settings: Settings) -> None:
    process.run_loop(run_gateway(settings))


def _dispatcher(settings: Settings) -> None:
    process.run_loop(run_dispatcher(settings))


ROLES: Final[dict[str, Callable[[Settings], None]]] = {"worker": _worker, "dispatcher": _dispatcher, "gateway": _gateway}
"""Every role by name, in the order of starting: who takes in starts last."""
