"""Moving an installation to other engines: every message keeps its position, the state is made again and compared row by row, and what was
claimed stays claimed.

Until everything is there and compared, the target can't be started; then the source is told that it has moved, and only after that the
target may be used. So at no moment can both send, whatever is interrupted; a repetition goes on where it was. A log or a state that
both configurations name stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice

import msgspec

from synchromesh.app.alone import all_of, alone
from synchromesh.app.backup import ALL, Progress
from synchromesh.app.binding import MOVED, UNFINISHED, same_history, same_log
from synchromesh.app.holding import Holding
from synchromesh.app.owners import owner
from synchromesh.app.placing import whole_only
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.app.verifying import SHOWN
from synchromesh.engine.claims import carry_claims
from synchromesh.engine.rebuild import OWNER, Difference, differences, fingerprint, rebuild, restore_forwards
from synchromesh.log.agreement import Log, LogError
from synchromesh.log.carrying import History, carry, carry_archive, history_of
from synchromesh.state.agreement import Outbox, State, StateError


class Moved(msgspec.Struct, frozen=True):
    """One partition: through where its log is in the target, at which position the state stands there, and what differs."""

    partition: str
    head: int
    position: int
    differences: tuple[Difference, ...] = ()


class Move(msgspec.Struct, frozen=True):
    """What a move came to. `finished`: only the target can be started any more. `log` and `state` tell which of them moved,
    `claims` how many claims went with them; `already` that all of it had been done before."""

    finished: bool
    log: bool
    state: bool
    claims: int = 0
    already: bool = False
    partitions: tuple[Moved, ...] = ()


class _Side:
    """One of the two installations, opened."""

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self.settings = settings
        self.stores = Stores(settings)
        self.log: Log = opened.enter_context(closing(self.stores.log()))
        self.state: State = opened.enter_context(closing(self.stores.state()))
        self.outbox: Outbox = opened.enter_context(closing(self.stores.outbox()))
        self.id = self.log.id()


def move(source: Settings, target: Settings, progress: Progress) -> Move:
    """Move everything that the source has to what the target names. Raises `RuntimeError` where somebody runs on one of the data folders,
    `LogError` and `StateError` where somebody works elsewhere or the target has something in it; before that nothing is written there."""
    for settings in (source, target):
        whole_only(settings, "moving")
    with _held(source, target), ExitStack() as opened:
        one, other = _Side(source, opened), _Side(target, opened)
        return _Moving(one, other, progress).move()


@contextmanager
def _held(*all_settings: Settings) -> Iterator[None]:
    with ExitStack() as held:
        for folder in sorted({settings.synchromesh.data.resolve() for settings in all_settings}):
            held.callback(Holding(folder, "").release)
        yield


class _Moving:
    """One move, from its first look to its end."""

    def __init__(self, source: _Side, target: _Side, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._name = owner("move")
        self._logs = source.id != target.id
        self._states = source.stores.state_address != target.stores.state_address
        self._mark = f"{UNFINISHED}move from {source.id}"
        self._left = MOVED + target.id

    def move(self) -> Move:
        source, target = self._source, self._target
        if not self._logs and not self._states:
            raise LogError("both configurations name the same log and the same state: there is nothing to move")
        known = source.state.origin(source.id)
        if self._states and known == self._left and target.state.origin("") == target.id:
            return Move(True, self._logs, self._states, already=True)
        if not self._states and known == target.id:
            return Move(True, self._logs, self._states, already=True)
        if known != self._left:
            same_log(known, source.id)
        heads, positions = source.log.head(), source.state.positions()
        same_history(heads, positions, source.settings.synchromesh.data)
        self._target_is_free(heads)
        self._alone(source, heads)
        try:
            return self._carry(heads, positions)
        finally:
            self._leave()

    def _carry(self, heads: Mapping[str, int], positions: Mapping[str, int]) -> Move:
        source, target = self._source, self._target
        for partition, head in sorted(heads.items()):
            history = history_of(source.log, source.stores.archive, partition, source.log.chain(partition), head)
            self._carry_log(history)
        moved = [self._carry_state(partition, head, positions.get(partition, 0)) for partition, head in sorted(heads.items())]
        if any(each.differences for each in moved):
            return Move(False, self._logs, self._states, partitions=tuple(moved))
        claims = self._carry_claims(positions) if self._states else 0
        self._finish(heads)
        target.stores.worked()
        return Move(True, self._logs, self._states, claims, partitions=tuple(moved))

    # --- before ---------------------------------------------------------------------------------------------------------------

    def _target_is_free(self, heads: Mapping[str, int]) -> None:
        """Mark an empty target as the one that is filled. Raises `LogError` for one that has something in it."""
        log, state = self._target.log, self._target.state
        has = log.head() if self._logs else {}
        if has.keys() - heads.keys():
            raise LogError(
                f"the log to move to has partitions of its own ({', '.join(sorted(has.keys() - heads.keys()))}); name an empty one"
            )
        if not self._states:
            return  # a log that has the beginning of this one's messages is an earlier try; what it has is compared
        known = state.origin("")
        if known == self._mark:
            return
        if known or has or state.positions() or self._target.outbox.known():
            raise LogError(
                "the installation to move to has something in it; nothing was changed: name an empty data folder, an empty database and a "
                "stream of its own"
            )
        state.rebind(self._mark)

    def _alone(self, side: _Side, heads: Mapping[str, int]) -> None:
        try:
            alone(side.state, side.outbox, self._name, all_of(side.settings, heads), list(side.settings.erps))
        except StateError:
            self._leave()
            raise

    def _leave(self) -> None:
        for side in (self._source, self._target):
            side.state.leave(self._name)
            side.state.leave(OWNER)
            side.outbox.leave(self._name)

    # --- the parts ------------------------------------------------------------------------------------------------------------

    def _carry_log(self, history: History) -> None:
        progress = partial(self._progress, f"{history.partition}: log", history.head)
        if self._logs:
            carry(history, self._target.log, self._target.stores.archive, progress)
        else:
            carry_archive(history, self._target.stores.archive, progress)

    def _carry_state(self, partition: str, head: int, position: int) -> Moved:
        if not self._states or not position:
            return Moved(partition, head, position)
        source, target = self._source.state, self._target.state
        progress = partial(self._progress, f"{partition}: state", position)
        reached = rebuild(partition, self._target.stores.history(partition), position, target, progress)
        restore_forwards(partition, [message for _, message in source.forwards([partition], ALL)], target)
        if fingerprint(source.rows(partition)) == fingerprint(target.rows(partition)):
            return Moved(partition, head, reached)
        found = tuple(islice(differences(partition, source.rows(partition), target.rows(partition)), SHOWN))
        return Moved(partition, head, reached, found or (Difference(partition, "forward", "", "what is to be forwarded is not the same"),))

    def _carry_claims(self, positions: Mapping[str, int]) -> int:
        source, target = self._source, self._target
        systems = list(source.settings.erps)
        target.outbox.attend(self._name, systems)
        return carry_claims(source.outbox, target.outbox, self._name, systems, positions)

    # --- the end --------------------------------------------------------------------------------------------------------------

    def _finish(self, heads: Mapping[str, int]) -> None:
        """The source can be started no more, and then the target can."""
        source, target = self._source, self._target
        self._unchanged(heads)
        if not self._states:
            target.state.rebind(target.id)  # this one step tells the state of the source that it has another log
            return
        source.state.rebind(self._left)
        try:
            self._unchanged(heads)
            self._alone(source, heads)
        except BaseException:
            source.state.rebind(source.id)
            raise
        target.state.rebind(target.id)

    def _unchanged(self, heads: Mapping[str, int]) -> None:
        if (now := self._source.log.head()) != heads:
            changed = sorted(name for name in now if now[name] != heads.get(name))
            raise LogError(f"the log that moves was told more meanwhile ({', '.join(changed)}); stop everything that appends, and repeat")
