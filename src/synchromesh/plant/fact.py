"""What the fold is given: one message, already mapped."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from synchromesh.model.event import CanonicalEvent

FOR_EVER: Final = -1
"""A horizon: identities of this interface are never forgotten."""

BY_POLICY: Final = -2
"""A horizon: as the plant's policy says at this position."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """A message as the mapping understood it.

    Exactly one of `events`, `recorded` (the rule by which it is only kept) and `refused` (why it can't be understood) says
    something. `told` is the canonical JSON by which a repeat is compared in full. `horizon` is in seconds, FOR_EVER, or BY_POLICY.
    """

    position: int
    source: str
    id: str
    interface: str
    received: datetime
    occurred: datetime | None
    events: tuple[CanonicalEvent, ...]
    told: bytes
    recorded: str = ""
    refused: str = ""
    subject: str = ""
    horizon: int = FOR_EVER
    own: bool = False
    """Of Synchromesh itself: no fact, and not checked for repeats."""
