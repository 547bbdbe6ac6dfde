"""Rebuilding a plant from its log, and comparing: `rebuild` is the one function behind verification, replay and preview.

A plant is a pure function of its log, so a state that differs from its rebuilding was changed by something else: a damaged disk, a hand in
the database, or a fold that is not the one that ran.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, dropwhile, islice
from typing import Final

import msgspec

from synchromesh.engine.folding import Folding
from synchromesh.model.message import Message, Record
from synchromesh.plant.entities import Clock
from synchromesh.plant.rows import Changes
from synchromesh.plant.view import View
from synchromesh.state.agreement import State

BATCH: Final = 1000
OWNER: Final = "rebuild"
"""Under which name a store is rebuilt."""
NEVER: Final = frozenset({"forward"})
"""Tables that depend on what other partitions have taken over, and so not on this log alone."""

Row = tuple[str, str, bytes]


class Difference(msgspec.Struct, frozen=True):
    """One row that is not what the log makes of it: in which table, under which key, and what is wrong."""

    partition: str
    table: str
    key: str
    problem: str


def rebuild(
    partition: str,
    history: Iterable[Record],
    through: int,
    into: State,
    progress: Callable[[int], None] = lambda position: None,
    pending: Callable[[Message], bool] = lambda message: False,
) -> int:
    """Fold a partition's history through a position into a store that is empty, or where an earlier rebuilding was interrupted; the
    position reached. Nothing leaves the store: what was forwarded or sent stays as it was. The store has to forward what is `pending`."""
    position = into.positions().get(partition, 0)
    folding = Folding(partition, into, lambda record, error: None)
    records = dropwhile(partial(_through, position), history)
    while position < through and (batch := list(islice(records, min(BATCH, through - position)))):
        changes = folding.fold(batch)
        changes.forwards[:] = filter(pending, changes.forwards)
        into.commit(into.attend(OWNER, [partition]), [changes])
        folding.view.committed()
        position = changes.position
        progress(position)
    return position


def _through(position: int, record: Record) -> bool:
    return record.position <= position


def restore_forwards(partition: str, pending: Sequence[Message], into: State) -> None:
    """Let a rebuilt partition have these to forward, as the store had that it was rebuilt after; once, also when it is said again."""
    if not pending or into.forwards([partition], 1):
        return
    clock = View(partition, into).of(Clock, "clock", "")
    changes = Changes(partition, into.positions()[partition], forwards=list(pending), now=clock.now if clock is not None else 0)
    into.commit(into.attend(OWNER, [partition]), [changes])


def fingerprint(rows: Iterable[Row]) -> str:
    """A SHA-256 over rows: two stores with the same one hold the same."""
    digest = hashlib.sha256()
    for table, key, value in rows:
        head = f"{table}\0{key}\0{len(value)}\0".encode("utf-8", "surrogatepass")
        digest.update(head)
        digest.update(value)
    return digest.hexdigest()


def differences(partition: str, kept: Iterator[Row], rebuilt: Iterator[Row]) -> Iterator[Difference]:
    """Compare two states row by row; both come in the one order that every store keeps."""
    left, right = _comparable(kept), _comparable(rebuilt)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if one is not None and other is not None and one[:2] == other[:2]:
            if one[2] != other[2]:
                yield Difference(partition, one[0], one[1], "the stored row is not what the log makes of it")
            one, other = next(left, None), next(right, None)
            continue
        # Tables come in one order and keys within them in another; the row that the other side will still have is looked for ahead.
        ahead = list(islice(left, LOOK_AHEAD))
        left = chain(ahead, left)
        if other is not None and any(row[:2] == other[:2] for row in ahead):
            assert one is not None, "there is a row ahead of it"
            yield Difference(partition, one[0], one[1], "the row is stored, and the log does not make it")
            one = next(left, None)
        elif other is not None:
            yield Difference(partition, other[0], other[1], "the log makes this row, and it is not stored")
            other = next(right, None)
        else:
            assert one is not None, "one of the two is a row"
            yield Difference(partition, one[0], one[1], "the row is stored, and the log does not make it")
            one = next(left, None)


LOOK_AHEAD: Final = 1000


def _comparable(rows: Iterator[Row]) -> Iterator[Row]:
    return (row for row in rows if row[0] not in NEVER)
