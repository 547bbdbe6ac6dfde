"""The worker: reads a batch, maps it, folds it, and commits changes, outgoing work and positions in one transaction (law 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.engine import foresight
from synchromesh.engine.reader import SOURCE, Reader
from synchromesh.log.agreement import Log
from synchromesh.model.event import OwnEvent, Quarantined, Tick
from synchromesh.model.message import OWN, Message, Record
from synchromesh.observe.lines import emit
from synchromesh.observe.names import QUARANTINED
from synchromesh.plant import agenda
from synchromesh.plant.entities import Clock
from synchromesh.plant.fact import Told
from synchromesh.plant.fold import fold, micros
from synchromesh.plant.rows import Changes
from synchromesh.plant.view import View
from synchromesh.state.agreement import State

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
ATTEMPTS: Final = 2
"""How often a message may crash the fold before it is set aside (law 5)."""


def own_message(partition: str, id_: str, event: OwnEvent, now: datetime) -> Message:
    """A message of Synchromesh itself."""
    return Message(partition, SOURCE, id_, OWN, now, _encode(event))


class Worker:
    """The one writer of a store, and the owner of `partitions`. Taking the lease fences every worker before it.

    `now` gives the time for ticks only: no fact is judged by it. After an error of log or state nothing of the batch is true and the same
    batch is read again at the next step; `Fenced` ends the worker.
    """

    def __init__(
        self, log: Log, state: State, partitions: Iterable[str], owner: str, *, now: Callable[[], datetime], batch: int = 1000
    ) -> None:
        self._log = log
        self._state = state
        self._now = now
        self._batch = batch
        self._epoch = state.lease(owner)
        committed = state.positions()
        self.positions = {partition: committed.get(partition, 0) for partition in partitions}
        self._views: dict[str, tuple[View, Reader]] = {}
        self._crashes: dict[tuple[str, int], str] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._ticked: dict[str, int] = {}
        for partition in self.positions:
            self._view(partition)
        self._forward()

    def step(self) -> int:
        """Fold one batch, if there is one; how many messages it had."""
        batch = self._log.read(self.positions, self._batch)
        if not batch:
            return 0
        changes = []
        try:
            for partition, records in batch.items():
                changes.append(self._fold(partition, records))
            self._state.commit(self._epoch, changes)
        except BaseException:
            for view, _ in self._views.values():
                view.forget()
            raise
        for each in changes:
            self._views[each.partition][0].committed()
            self.positions[each.partition] = each.position
        if any(each.forwards for each in changes):
            self._forward()
        return sum(len(records) for records in batch.values())

    def tick(self) -> float | None:
        """Append a tick where one is due; in how many seconds the next one will be, None for none."""
        now = self._now()
        soonest: float | None = None
        due = []
        for partition, (view, _) in self._views.items():
            when = agenda.next_tick(view.of(Clock, "clock", ""))
            if when is None or self.positions[partition] < self._ticked.get(partition, 0):
                continue
            wait = (when - micros(now)) / 1_000_000
            if wait <= 0:
                due.append(partition)
            soonest = wait if soonest is None else min(soonest, wait)
        if due:
            messages = [own_message(partition, f"tick:{micros(now)}", Tick(now), now) for partition in due]
            self._ticked.update(zip(due, self._log.append(messages), strict=True))
        return soonest

    def _view(self, partition: str) -> tuple[View, Reader]:
        known = self._views.get(partition)
        if known is None:
            view = View(partition, self._state)
            known = self._views[partition] = (view, Reader(view))
        return known

    def _fold(self, partition: str, records: Sequence[Record]) -> Changes:
        """Fold records of one partition; a message that crashes the fold twice is set aside and the others go on."""
        view, reader = self._view(partition)
        while True:
            record = records[0]
            try:
                reader.batch()
                told = []
                for record in records:
                    told.append(self._set_aside(partition, record) or reader.read(record))
                foresight.prefetch(view, told)
                for record, each in zip(records, told, strict=True):  # noqa: B007 - as above
                    fold(view, each)
                return view.flush()
            except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
                view.forget()
                self._crashed(partition, record, error)

    def _crashed(self, partition: str, record: Record, error: Exception) -> None:
        key = (partition, record.position)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] >= ATTEMPTS:
            if key in self._crashes:
                raise error
            text = f"{type(error).__name__}: {error}"[:500]
            event = Quarantined(record.position, text)
            self._log.append([own_message(partition, f"quarantine:{record.position}", event, record.message.received)])
            self._crashes[key] = text
            emit(QUARANTINED, plant=partition, position=record.position, error=text)

    def _set_aside(self, partition: str, record: Record) -> Told | None:
        crash = self._crashes.get((partition, record.position))
        if crash is None:
            return None
        message = record.message
        refused = f"The message crashed the fold and was set aside ({crash})."
        return Told(
            record.position, message.source, message.id, message.interface, message.received, None, (), message.body, refused=refused
        )

    def _forward(self) -> None:
        """Append what partitions send to each other. A crash between append and commit repeats them, and their identity tells."""
        while pending := self._state.forwards(self._batch):
            self._log.append([message for _, message in pending])
            counts: dict[str, int] = {}
            for partition, _ in pending:
                counts[partition] = counts.get(partition, 0) + 1
            self._state.commit(
                self._epoch,
                [Changes(partition=partition, position=self.positions[partition], forwarded=count) for partition, count in counts.items()],
            )

    def _time(self, partition: str) -> int:
        clock = self._view(partition)[0].of(Clock, "clock", "")
        return clock.now if clock is not None else 0
