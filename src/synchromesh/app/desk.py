"""The desk of one installation, for the command line and the gateway: decisions go into its log, beside the running system."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from synchromesh.app.settings import Settings
from synchromesh.engine.desk import Desk
from synchromesh.log.agreement import Log
from synchromesh.state.agreement import Reading

PATIENCE: Final = 5.0
"""Seconds that an answer waits for the worker, so that it can say what came of a decision."""

LOOK: Final = 0.01


def desk_of(settings: Settings, reading: Reading, log: Log) -> Desk:
    """A desk over this log and state. Where no worker runs, a decision is stored and takes effect at the next start."""

    def settled(plant: str, position: int) -> bool:
        end = time.monotonic() + PATIENCE
        while reading.positions().get(plant, 0) < position:
            if time.monotonic() > end:
                return False
            time.sleep(LOOK)
        return True

    return Desk([plant.id for plant in settings.plants], reading, log, now=lambda: datetime.now(UTC), settled=settled)
