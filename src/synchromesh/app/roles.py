"""The roles of an installation, and what must be true before any of them starts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app import process
from synchromesh.app.adapters import Adapters, deciding
from synchromesh.app.dispatcher import connector_of, run_dispatcher
from synchromesh.app.gateway import drops, run_gateway
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.app.worker import run_worker
from synchromesh.edges.files.folder import check
from synchromesh.engine.activation import activations, in_force
from synchromesh.log.agreement import LogError
from synchromesh.plant.policy import Policy
from synchromesh.state.agreement import Reading


def prepare(settings: Settings) -> None:
    """Open the stores once, so that they exist and are of this program's schema, and activate what has changed since the last start.

    Raises `LogError`, `StateError`, `ManifestError` or `ValueError` saying what is wrong, before anything is taken in.
    """
    stores = Stores(settings)
    log, state = stores.log(), stores.state()
    reading, outbox = stores.reading(), stores.outbox()
    try:
        heads = log.head()
        _same_history(heads, reading.positions(), settings.synchromesh.data)
        lost = outbox.begin(heads)
        differences = {name: connector_of(erp).abilities.differences for name, erp in settings.erps.items()}
        adapters = Adapters(settings)
        for drop in drops(settings):
            check(drop, adapters)
        series = {plant.id: _series(reading, plant.id, lost) for plant in settings.plants}
        messages = activations(reading, deciding(settings, adapters, differences, series), datetime.now(UTC))
        if messages:
            log.append(messages)
    finally:
        outbox.close()
        reading.close()
        state.close()
        log.close()


def _same_history(heads: Mapping[str, int], positions: Mapping[str, int], data: Path) -> None:
    """Refuse a log that is missing or older than the state: what it is told from now on would stand at positions that the state has
    passed, and never be folded. Raises `LogError`."""
    for plant, position in positions.items():
        if heads.get(plant, 0) < position:
            raise LogError(
                f"the log in {data} ends at position {heads.get(plant, 0)} of {plant}, but the state knows it up to {position}: the log is "
                "missing or an older copy; nothing was taken in: put back log and archive that belong to this state, or the data "
                "folder as a whole from one backup"
            )


def _series(reading: Reading, plant: str, lost: bool) -> str:
    """The series of the plant's log: a new one at its first start, and where it was `lost` what was sent: the log may be an older copy, and
    the business system has seen keys of its next positions already."""
    known = in_force(reading, plant, "policy", plant)
    return secrets.token_hex(4) if known is None or lost else msgspec.json.decode(known.content, type=Policy).series


def _worker(settings: Settings) -> None:
    run_worker(settings, process.stop_event())


def _gateway(settings: Settings) -> None:
    process.run_loop(run_gateway(settings))


def _dispatcher(settings: Settings) -> None:
    process.run_loop(run_dispatcher(settings))


ROLES: Final[dict[str, Callable[[Settings], None]]] = {"worker": _worker, "dispatcher": _dispatcher, "gateway": _gateway}
"""Every role by name, in the order of starting: who takes in starts last."""
