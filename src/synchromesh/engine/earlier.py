"""States that an earlier program began: they lack what a plant did not keep then, until they are made again from the log."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.plant.entities import Clock
from synchromesh.plant.version import FOLD
from synchromesh.state.agreement import Reading

WHAT_TO_DO: Final = (
    "its state was begun by an earlier program and lacks what that did not keep (such as opening balances and causes): stop serve, "
    "and make it anew with `synchromesh rebuild` (docs/how-to/recover.md)"
)

_clock: Final = msgspec.msgpack.Decoder(Clock).decode


def begun_earlier(reading: Reading) -> list[str]:
    """The partitions whose state an earlier program began."""
    found = []
    for partition in sorted(reading.positions()):
        value = reading.entities(partition, [("clock", "")]).get(("clock", ""))
        if value is not None and _clock(value).fold < FOLD:
            found.append(partition)
    return found
