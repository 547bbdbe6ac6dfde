"""Being the only one at work on an installation, for what can't be done beside others, wherever those may run."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Final

from synchromesh.app.settings import Settings
from synchromesh.model.message import ENTERPRISE
from synchromesh.state.agreement import ATTEND_SECONDS, LEASE_SECONDS, Outbox, State, StateError

TRIES: Final = round(4 * LEASE_SECONDS / ATTEND_SECONDS)
"""How often a share is asked for before somebody else is known to be at work: a dead one's share is free before that."""


def alone(state: State, outbox: Outbox, name: str, partitions: Sequence[str], systems: Sequence[str]) -> None:
    """Take everything over; raises `StateError` while somebody else is at work and keeps a share. Whoever called leaves afterwards."""
    for _ in range(TRIES):
        share = state.attend(name, partitions)
        sends = outbox.attend(name, systems)
        if len(share) == len(partitions) and len(sends) == len(systems):
            return
        threading.Event().wait(ATTEND_SECONDS)
    raise StateError("workers or dispatchers still run on this installation; stop all of its processes first")


def all_of(settings: Settings, heads: Collection[str]) -> list[str]:
    """Every partition there is or may be."""
    return sorted({ENTERPRISE, *heads, *(plant.id for plant in settings.plants)})
