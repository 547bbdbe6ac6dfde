"""Reconciliation in a process: the desk of an installation, and the runs that the schedule asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from synchromesh.app.plugins import connector_of
from synchromesh.app.settings import Plant, Settings
from synchromesh.connectors.agreement import Connector, ConnectorError
from synchromesh.engine.reconcile.reconciler import Reconciler
from synchromesh.engine.reconcile.schedule import due
from synchromesh.log.agreement import Log, LogError
from synchromesh.observe.lines import emit
from synchromesh.observe.names import RECONCILED, RECONCILIATION_FAILED
from synchromesh.state.agreement import Reading, StateError

LOOK: Final = 30.0
"""Seconds between two looks whether a run is due."""

AGAIN: Final = 300.0
"""Seconds after a run that failed before it is tried again."""


def reconciler_of(settings: Settings, reading: Reading, log: Log) -> Reconciler:
    """The reconciler of this installation."""

    def connect(name: str) -> Connector:
        return connector_of(settings.erps[name])

    plants = {plant.id: plant.erp for plant in settings.plants}
    return Reconciler(plants, reading, log, connect, now=lambda: datetime.now(UTC))


async def keep_reconciling(
    desk: Reconciler, plants: list[Plant], stop: asyncio.Event, now: Callable[[], datetime] = lambda: datetime.now(UTC), look: float = LOOK
) -> None:
    """Compare what is due until told to stop, one plant after another, in a thread: sending goes on meanwhile."""
    failed: dict[tuple[str, str], datetime] = {}
    while not stop.is_set():
        for plant in plants:
            for scope in plant.reconcile.what:
                last_failure = failed.get((plant.id, scope))
                if last_failure is not None and (now() - last_failure).total_seconds() < AGAIN:
                    continue
                if not stop.is_set() and await _run_if_due(desk, plant, scope, now()):
                    failed.pop((plant.id, scope), None)
                else:
                    failed[plant.id, scope] = now()
        with suppress(TimeoutError):
            async with asyncio.timeout(look):
                await stop.wait()


async def _run_if_due(desk: Reconciler, plant: Plant, scope: str, now: datetime) -> bool:
    """False when a run that was due failed: it is tried again later."""
    schedule = plant.reconcile
    try:
        last = desk.last_run(scope, plant.id)
        if desk.begun(plant.id) and due(last, now, plant.zone, schedule.every_hours, schedule.at):
            report = await asyncio.to_thread(lambda: asyncio.run(desk.run(scope, plant.id, scheduled=True)))
            emit(RECONCILED, plant=plant.id, scope=scope, compared=report.compared, beyond=report.beyond)
    except Exception as error:  # noqa: BLE001 (also a defect in comparing must not end the sending)
        known = isinstance(error, ConnectorError | LogError | StateError)
        emit(RECONCILIATION_FAILED, plant=plant.id, scope=scope, error=str(error) if known else f"{type(error).__name__}: {error}")
        return False
    return True
