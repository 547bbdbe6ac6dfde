"""What partitions have handed on to each other, told by the logs alone.

A partition hands on in order, so the last message of it that any log has tells through where it has come. What it made later is still
to be handed on, also where its state, which remembered that, is lost.
"""

from __future__ import annotations

from synchromesh.model.message import ENTERPRISE, Message
from synchromesh.plant.decisions import REPAIR


class HandedOn:
    """Hears every message of every log once, and knows then what is still to be handed on."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        """By partition that hands on: the position of the last message that caused what some log has."""
        self._there: dict[str, set[tuple[str, str]]] = {}
        """What the logs have of what that message caused, as (partition, id): it may have caused more than one."""

    def heard(self, message: Message) -> None:
        """A log has this message."""
        if message.source not in (ENTERPRISE, REPAIR):
            return
        sender, cause = _origin(message)
        if cause > self._last.get(sender, 0):
            self._last[sender] = cause
            self._there[sender] = set()
        if cause == self._last.get(sender, 0):
            self._there[sender].add((message.partition, message.id))

    def pending(self, message: Message) -> bool:
        """Whether a message that a partition makes has still to be handed on."""
        sender, cause = _origin(message)
        last = self._last.get(sender, 0)
        return cause > last or (cause == last and (message.partition, message.id) not in self._there.get(sender, ()))


def _origin(message: Message) -> tuple[str, int]:
    """Which partition made a message, and at which of its positions."""
    sender = ENTERPRISE if message.source == ENTERPRISE else message.partition
    cause = message.id.partition("/")[0]
    return sender, int(cause) if cause.isdecimal() else 0
