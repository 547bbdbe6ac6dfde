"""Making an installation's state anew from its archive and its log, in whatever store it is configured to be.

That is what helps when the state is lost or damaged, and when an earlier program began it. Everything that was told is read through
before anything is changed: a history with a gap is refused, and the state stays. While the state is made nothing can start on it; an
interrupted rebuilding goes on where it was. What had still to be forwarded is told by the logs alone, so the lost state is not asked.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial

import msgspec

from synchromesh.app.alone import all_of, alone
from synchromesh.app.backup import Progress
from synchromesh.app.binding import UNFINISHED, same_history, same_log
from synchromesh.app.holding import Holding
from synchromesh.app.owners import owner
from synchromesh.app.placing import whole_only
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.handed_on import HandedOn
from synchromesh.engine.rebuild import OWNER, rebuild
from synchromesh.log.agreement import LogCorrupt, LogError
from synchromesh.state.agreement import StateAway, StateError


class Rebuilt(msgspec.Struct, frozen=True):
    """One partition: how many messages it was ever told, where its state stood before (0 where that can't be read), and where it stands."""

    partition: str
    head: int
    before: int
    position: int


class Rebuilding(msgspec.Struct, frozen=True):
    """What a rebuilding came to. `readable` tells whether the state that was there could be read; `claims_known` in which partitions it is
    known afterwards what was sent: of all others the business systems are asked."""

    finished: bool
    readable: bool
    claims_known: tuple[str, ...]
    partitions: tuple[Rebuilt, ...]


class _Found(msgspec.Struct):
    """What is there before."""

    readable: bool
    begun: bool
    positions: dict[str, int]


def rebuild_state(settings: Settings, progress: Progress, *, dry_run: bool = False) -> Rebuilding:
    """Make the state anew. Raises `RuntimeError` where somebody runs on the data folder, `StateError` where somebody works elsewhere or the
    store can't be reached, `LogError` and `LogCorrupt` where the history is not whole or not of this state; before that nothing is changed.
    A dry run reads everything through and changes nothing."""
    whole_only(settings, "rebuilding")
    holding = Holding(settings.synchromesh.data, "")
    try:
        stores = Stores(settings)
        with closing(stores.log()) as log:
            heads, id = log.head(), log.id()
        if not heads:
            raise LogError("nothing is stored here: there is nothing to make a state of")
        mark = f"{UNFINISHED}rebuild of {id}"
        found = _look(settings, stores, heads, id, mark, dry_run)
        handed_on = HandedOn()
        for partition, head in sorted(heads.items()):
            _read_through(stores, partition, head, handed_on, progress)
        if dry_run:
            told = tuple(Rebuilt(each, head, found.positions.get(each, 0), head) for each, head in sorted(heads.items()))
            return Rebuilding(False, found.readable, (), told)
        if not found.begun:
            stores.set_aside(mark)
        return _make(stores, heads, id, found, handed_on, progress)
    finally:
        holding.release()


def _look(settings: Settings, stores: Stores, heads: dict[str, int], id: str, mark: str, dry_run: bool) -> _Found:
    """What is there, which must be of this log and nobody's who works."""
    try:
        with closing(stores.reading()) as reading:
            positions = dict(reading.positions())
    except StateAway:
        raise
    except StateError:
        return _Found(False, False, {})  # it is damaged, of another schema, or not there: it is made anew whatever it is
    with ExitStack() as opened:
        state = opened.enter_context(closing(stores.state()))
        known = state.origin("")
        begun = known == mark
        if known and not begun:
            same_log(known, id)
        same_history(heads, positions, settings.synchromesh.data)
        if dry_run:
            return _Found(True, begun, positions)
        name, outbox = owner("rebuild"), opened.enter_context(closing(stores.outbox()))
        try:
            alone(state, outbox, name, all_of(settings, heads), list(settings.erps))
        finally:
            state.leave(name)
            outbox.leave(name)
    return _Found(True, begun, positions)


def _read_through(stores: Stores, partition: str, head: int, handed_on: HandedOn, progress: Progress) -> None:
    """Raise `LogCorrupt` unless every message through the head is there."""
    position = 0
    for record in stores.history(partition):
        if record.position != position + 1:
            break
        position = record.position
        handed_on.heard(record.message)
        if position % LOOK == 0 or position == head:
            progress(f"{partition}: reading", head, position)
        if position == head:
            return
    raise LogCorrupt(
        f"archive and log of {partition} do not have the message at position {position + 1}, and end at {head}; the state was not changed: "
        "put back the archive, or restore a backup"
    )


LOOK = 1_000
"""Messages between two words about the progress."""


def _make(stores: Stores, heads: dict[str, int], id: str, found: _Found, handed_on: HandedOn, progress: Progress) -> Rebuilding:
    with closing(stores.state()) as state:
        made = []
        for partition, head in sorted(heads.items()):
            said = partial(progress, f"{partition}: making", head)
            reached = rebuild(partition, stores.history(partition), head, state, said, handed_on.pending)
            made.append(Rebuilt(partition, head, found.positions.get(partition, 0), reached))
        state.leave(OWNER)
        state.rebind(id)
    with closing(stores.outbox()) as outbox:
        known = tuple(sorted(outbox.known() & heads.keys()))
    stores.worked()
    return Rebuilding(True, found.readable, known, tuple(made))
