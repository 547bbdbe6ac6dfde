"""Committed rows with what was folded since on top: a plant can go on from a moment of the store without anything being written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import TypeVar

from synchromesh.plant.rows import Changes, EntityKey, ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.plant.view import Loads

K = TypeVar("K")
R = TypeVar("R")


class Overlay:
    """`Loads` of a store as it would be after `apply`. Rows are copied on their way in and out, as a store would, so that nobody who
    changes a row at hand changes them. One partition only: what others would hear of it stays in `forwards`."""

    def __init__(self, base: Loads, partition: str) -> None:
        self.base = base
        self.partition = partition
        self.entities: dict[EntityKey, bytes | None] = {}
        self.fact_rows: dict[int, FactRow] = {}
        self.posting_rows: dict[PostingId, PostingRow] = {}
        self.exception_rows: dict[PostingId, ExceptionRow] = {}
        self.forwards: dict[str, int] = {}
        """How many messages other partitions would be told."""
        self._identities: dict[Identity, int] = {}
        self._documents: dict[str, PostingId] = {}
        self._outgoing: dict[PostingId, bool] = {}

    def apply(self, changes: Changes) -> None:
        """Put a batch's changes on top."""
        self.entities |= changes.entities
        self.fact_rows |= {position: copy(row) for position, row in changes.facts.items()}
        self.posting_rows |= {id_: copy(row) for id_, row in changes.postings.items()}
        self.exception_rows |= {id_: copy(row) for id_, row in changes.exceptions.items()}
        self._identities |= changes.identities
        self._documents |= changes.documents
        self._outgoing |= dict.fromkeys(changes.outbox_removed, False)
        self._outgoing |= dict.fromkeys(changes.outbox_added, True)
        for message in changes.forwards:
            self.forwards[message.partition] = self.forwards.get(message.partition, 0) + 1

    # --- Loads --------------------------------------------------------------------------------------------------------------

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        below = []
        found: dict[str, bytes] = {}
        for name in names:
            if (kind, name) not in self.entities:
                below.append(name)
            elif (value := self.entities[kind, name]) is not None:
                found[name] = value
        return found | self.base.load(partition, kind, below) if below else found

    def known(self, partition: str, identities: list[Identity]) -> dict[Identity, int]:
        below = [identity for identity in identities if identity not in self._identities]
        found = {identity: self._identities[identity] for identity in identities if identity in self._identities}
        return found | self.base.known(partition, below) if below else found

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]:
        return _found(self.fact_rows, positions, lambda below: self.base.facts(partition, below))

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        return _found(self.posting_rows, ids, lambda below: self.base.postings(partition, below))

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        return _found(self.exception_rows, ids, lambda below: self.base.exceptions(partition, below))

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]:
        names = list(numbers)
        below = [name for name in names if name not in self._documents]
        found = {name: self._documents[name] for name in names if name in self._documents}
        return found | self.base.documents(partition, below) if below else found

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        wanted = list(ids)
        below = [id_ for id_ in wanted if id_ not in self._outgoing]
        found = {id_ for id_ in wanted if self._outgoing.get(id_)}
        return found | self.base.outgoing(partition, below) if below else found


def _found(table: dict[K, R], keys: Iterable[K], load: Callable[[list[K]], dict[K, R]]) -> dict[K, R]:
    """Rows from the top where they are there, all others from below in one go."""
    found: dict[K, R] = {}
    below: list[K] = []
    for key in keys:
        row = table.get(key)
        if row is None:
            below.append(key)
        else:
            found[key] = copy(row)
    return found | load(below) if below else found
