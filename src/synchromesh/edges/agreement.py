"""The agreement of an edge: receive, hand on with a way to acknowledge, stop.

An edge makes a `Message` from what came over its protocol and hands it to the intake. Only when the intake returns may the edge tell its
source "received": the message is then in the log and survives a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from synchromesh.model.message import Message


class Busy(Exception):
    """The intake takes nothing more just now: the source shall try again in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many messages are waiting to be stored; try again in {retry_after:g} s")
        self.retry_after = retry_after


class Intake(Protocol):
    """The way into the log: appends of many callers become few commits."""

    async def accept(self, messages: Sequence[Message]) -> list[int]:
        """Store the messages, all or none, and return their positions once they are durable.

        Raises `Busy` when too much is waiting, `log.agreement.LogFull` and `LogError` when the log can't; nothing was stored then.
        """
        ...


class Edge(Protocol):
    """One way in. Started once, stopped once."""

    async def start(self, intake: Intake) -> None:
        """Begin to receive. Raises `OSError` or `ValueError` saying what is wrong with address or settings."""
        ...

    async def stop(self) -> None:
        """Finish what was accepted, take nothing more, let go."""
        ...
