"""Who answers questions about one installation, for the command line and the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from synchromesh.app.settings import Settings
from synchromesh.engine.inquiry import Inquiry
from synchromesh.engine.views import SystemView
from synchromesh.log.agreement import Log
from synchromesh.state.agreement import Reading


def inquiry_of(settings: Settings, reading: Reading, log: Log, systems: Callable[[], tuple[SystemView, ...]] = tuple) -> Inquiry:
    """The inquiry over this log and state. `systems` says how the business systems are, where that is known."""
    plants = [plant.id for plant in settings.plants]
    name = settings.synchromesh.name
    return Inquiry(name, plants, reading, log, systems, now=lambda: datetime.now(UTC), clock=time.monotonic)
