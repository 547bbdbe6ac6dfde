"""The worker: reads a batch, maps it, folds it, and commits changes, outgoing work and positions in one transaction (law 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.engine.folding import Folding
from synchromesh.engine.reader import SOURCE
from synchromesh.engine.timetable import Timetable
from synchromesh.log.agreement import MOST_PARTITIONS, Log
from synchromesh.model.event import DecisionEvent, OwnEvent, Quarantined, Tick
from synchromesh.model.instant import micros
from synchromesh.model.message import OWN, Message, Record
from synchromesh.observe.lines import emit
from synchromesh.observe.names import QUARANTINED
from synchromesh.plant import agenda
from synchromesh.plant.entities import Clock
from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import Overlapping, State

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


def own_message(partition: str, id_: str, event: OwnEvent | DecisionEvent, now: datetime) -> Message:
    """A message of Synchromesh itself."""
    return Message(partition, SOURCE, id_, OWN, now, _encode(event))


class Worker:
    """The owner of its share of `partitions`, which may change whenever it attends. Whoever gets a partition fences who had it before.

    `now` gives the time for ticks only: no fact is judged by it. After an error of log or state, `Fenced` among them, the next step goes on
    from what is committed; where the store has one writer, attending raises `Fenced` for one that was followed, and it ends.
    """

    def __init__(
        self, log: Log, state: State, partitions: Iterable[str], owner: str, *, now: Callable[[], datetime], batch: int = 1000
    ) -> None:
        self._log = log
        self._state = state
        self._now = now
        self.batch = batch
        """How many messages are folded and committed together at the most; whoever drives the worker may change it between two steps."""
        self._owner = owner
        self._partitions = list(partitions)
        self._epochs: dict[str, int] = {}
        self._unsure = False
        self._ahead: dict[str, list[Record]] = {}
        """The next batch, where it was read while the one before it was being committed."""
        self.positions: dict[str, int] = {}
        """Through where each partition of its share is folded."""
        self._foldings: dict[str, Folding] = {}
        self._ticked: dict[str, int] = {}
        self._timetable = Timetable()
        self._changed: set[str] = set()
        """Partitions of which it must be asked anew when they are due."""
        self._to_forward = False
        self.attend()
        self._forward()

    def attend(self) -> None:
        """Keep its share, give up and take over what it is told: to be called about every `ATTEND_SECONDS`, between two steps."""
        epochs = self._state.attend(self._owner, self._partitions)
        if epochs == self._epochs:
            return
        for partition in self._foldings.keys() - {name for name, epoch in epochs.items() if self._epochs.get(name) == epoch}:
            del self._foldings[partition]
            self._ticked.pop(partition, None)
            self._timetable.note(partition, None)
        gained = epochs.items() - self._epochs.items()
        self._epochs = epochs
        self._look()
        self._changed = (self._changed | dict(gained).keys()) & epochs.keys()
        self._to_forward = self._to_forward or bool(gained)

    def leave(self) -> None:
        """Give every partition back: another worker may go on at once."""
        self._state.leave(self._owner)
        self._epochs, self._foldings, self.positions, self._ahead = {}, {}, {}, {}
        self._changed.clear()

    def step(self) -> int:
        """Fold one batch, if there is one; how many messages it had."""
        if self._unsure:
            self._look()
        if self._to_forward:
            self._forward()  # an error ended it the last time
        batch, self._ahead = self._ahead or self._log.read(self.positions, self.batch), {}
        if not batch:
            return 0
        changes = []
        try:
            for partition, records in batch.items():
                changes.append(self._folding(partition).fold(records))
            self._commit(changes, sum(map(len, batch.values())))
        except BaseException:
            for folding in self._foldings.values():
                folding.forget()
            self._unsure = True
            self._changed.update(self._epochs)
            raise
        for each in changes:
            self.positions[each.partition] = each.position
            self._changed.add(each.partition)
        if any(each.forwards for each in changes):
            self._to_forward = True
            self._forward()
        return sum(len(records) for records in batch.values())

    def _commit(self, changes: Sequence[Changes], messages: int) -> None:
        """Commit, and use the time that the disk takes when there is a backlog, as a batch tells that is half full."""
        if messages * 2 >= self.batch and isinstance(self._state, Overlapping):
            self._state.commit_meanwhile(self._epochs, changes, lambda: self._go_ahead(changes))
        else:
            self._state.commit(self._epochs, changes)
            self._keep(changes)

    def _go_ahead(self, changes: Sequence[Changes]) -> None:
        """Make room in memory and read the next batch. When the commit fails, all of it is forgotten."""
        self._keep(changes)
        after = self.positions | {each.partition: each.position for each in changes}
        self._ahead = self._log.read(after, self.batch)
        for partition, records in self._ahead.items():
            self._folding(partition).look_ahead(records)

    def _keep(self, changes: Sequence[Changes]) -> None:
        for each in changes:
            self._foldings[each.partition].view.committed()

    def _look(self) -> None:
        """Go on from what is committed: a commit that raised may have happened."""
        self._ahead = {}
        committed = self._state.positions()
        self.positions = {partition: committed.get(partition, 0) for partition in self._epochs}
        self._unsure = False

    def tick(self) -> float | None:
        """Append a tick where one is due; in how many seconds the next one will be, None for none."""
        for partition in self._changed:
            clock = self._folding(partition).view.of(Clock, "clock", "")
            self._timetable.note(partition, agenda.next_tick(clock))
        self._changed.clear()
        now = self._now()
        # One whose last tick is not folded yet is asked again when it is.
        due = [each for each in self._timetable.due(micros(now)) if self.positions[each] >= self._ticked.get(each, 0)]
        if due:
            self._append_ticks(due, now)
            return 0.0
        soonest = self._timetable.soonest()
        return None if soonest is None else (soonest - micros(now)) / 1_000_000

    def _append_ticks(self, partitions: list[str], now: datetime) -> None:
        self._changed.update(partitions)  # until they are appended: an error must not make them forgotten
        for first in range(0, len(partitions), MOST_PARTITIONS):
            some = partitions[first : first + MOST_PARTITIONS]
            messages = [own_message(partition, f"tick:{micros(now)}", Tick(now), now) for partition in some]
            self._ticked.update(zip(some, self._log.append(messages), strict=True))
            self._changed.difference_update(some)

    def _folding(self, partition: str) -> Folding:
        known = self._foldings.get(partition)
        if known is None:

            def quarantined(record: Record, error: str) -> None:
                event = Quarantined(record.position, error)
                self._log.append([own_message(partition, f"quarantine:{record.position}", event, record.message.received)])
                emit(QUARANTINED, plant=partition, position=record.position, error=error)

            known = self._foldings[partition] = Folding(partition, self._state, quarantined)
        return known

    def _forward(self) -> None:
        """Append what partitions send to each other. A crash between append and commit repeats them, and their identity tells."""
        while pending := self._state.forwards(self._epochs.keys(), self.batch):
            self._log.append([message for _, message in pending])
            counts: dict[str, int] = {}
            for partition, _ in pending:
                counts[partition] = counts.get(partition, 0) + 1
            self._state.commit(
                self._epochs,
                [
                    Changes(partition=partition, position=self.positions[partition], forwarded=count, now=self._time(partition))
                    for partition, count in counts.items()
                ],
            )
        self._to_forward = False

    def _time(self, partition: str) -> int:
        clock = self._folding(partition).view.of(Clock, "clock", "")
        return clock.now if clock is not None else 0
