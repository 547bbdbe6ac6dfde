"""A message: what an edge received, as it came, with what is needed to find, order and judge it."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model.posting import Aware

ENTERPRISE: Final = "enterprise"
"""The partition of what belongs to no plant or to several."""

NATIVE: Final = "native/1"
"""The interface of canonical events: the body is the JSON of one event of `model.event`, tagged by `type`."""

OWN: Final = "synchromesh/1"
"""The interface of Synchromesh's own messages (outcomes, ticks, activations, quarantine, decisions, forwards). Bodies as in NATIVE."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One message before it has a position.

    `id` is unique within `source` and is the message's own, never made from its content. `interface` is `name/version` of the
    adapter that can read `body`. `occurred` is the source's time when the edge can know it without mapping. `correlation` ties
    messages of one story together, `causation` names the message that this one answers.
    """

    partition: str
    source: str
    id: str
    interface: str
    received: Aware
    body: bytes
    content_type: str = "application/json"
    occurred: Aware | None = None
    correlation: str = ""
    causation: str = ""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A message at its position in its partition's log. Positions start at 1 and have no gaps."""

    position: int
    message: Message
