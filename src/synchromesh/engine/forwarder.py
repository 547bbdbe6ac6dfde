"""From an edge's own log to the installation's: what a plant told while the line was cut goes on, in order, when it is there again.

What is forwarded is remembered after the append, so a crash between the two forwards some messages again. Their identity is what it was,
and the plant they belong to tells a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from synchromesh.log.agreement import Log

BATCH: Final = 2_000
"""Messages that are forwarded with one append at the most."""


class Forwarder:
    """Takes from `own` what is behind `sent` and appends it to `to`. `remember` stores the new positions durably."""

    def __init__(self, own: Log, to: Log, sent: Mapping[str, int], remember: Callable[[Mapping[str, int]], None]) -> None:
        self._own = own
        self._to = to
        self._remember = remember
        self.sent = dict(sent)
        """Through where each partition is in the installation's log."""

    def step(self) -> int:
        """Forward one batch, if there is one; how many messages it had. Raises `LogError`; the next step begins with the same messages."""
        batch = self._own.read(self._behind(), BATCH)
        messages = [record.message for records in batch.values() for record in records]
        if not messages:
            return 0
        self._to.append(messages)
        sent = {**self.sent, **{partition: records[-1].position for partition, records in batch.items()}}
        self._remember(sent)
        self.sent = sent
        return len(messages)

    def wait(self, timeout: float) -> bool:
        """Wait for something to forward, at most so many seconds."""
        return self._own.wait(self._behind(), timeout)

    def _behind(self) -> dict[str, int]:
        return {partition: self.sent.get(partition, 0) for partition in self._own.head()}
