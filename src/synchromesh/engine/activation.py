"""Activations: what decides is a message. A start appends what has changed since the last one, before anything else is taken in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from synchromesh.engine.worker import own_message
from synchromesh.model.event import Activated
from synchromesh.model.message import Message
from synchromesh.plant.entities import Decision
from synchromesh.state.agreement import Reading

Kind = Literal["policy", "adapter", "plants", "cursor", "copy"]
_decode: Final = msgspec.msgpack.Decoder(Decision).decode


class Deciding(msgspec.Struct, frozen=True):
    """Something that shall decide in a partition: a plant's policy, an adapter by its interface, the list of plants, a cursor."""

    partition: str
    kind: Kind
    name: str
    content: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def in_force(reading: Reading, partition: str, kind: Kind, name: str) -> Decision | None:
    """What decides now, as far as the worker has come."""
    key = ("decision", f"{kind}/{name}")
    value = reading.entities(partition, [key]).get(key)
    return None if value is None else _decode(value)


def copied_through(reading: Reading, partition: str) -> int:
    """Through which position a partition's log is a copy that went on elsewhere, 0 if it is none: what came of these messages may have been
    sent there (`Activated`)."""
    decision = in_force(reading, partition, "copy", partition)
    return int(decision.content) if decision is not None else 0


def is_copy(partition: str, name: str, through: int, now: datetime) -> Message:
    """The message which says that a partition's log is a copy. `name` tells this copying from every other one."""
    content = str(through)
    event = Activated("copy", partition, hashlib.sha256(content.encode()).hexdigest(), content)
    return own_message(partition, f"copy/{name}", event, now)


def activations(reading: Reading, wanted: Iterable[Deciding], now: datetime) -> list[Message]:
    """The messages that make `wanted` decide; none for what does so already. Activating the same twice changes nothing."""
    messages = []
    for each in wanted:
        known = in_force(reading, each.partition, each.kind, each.name)
        if known is None or known.digest != each.digest:
            event = Activated(each.kind, each.name, each.digest, each.content)
            messages.append(own_message(each.partition, f"{each.kind}/{each.name}:{each.digest[:16]}", event, now))
    return messages
