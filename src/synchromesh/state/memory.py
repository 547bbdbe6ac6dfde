"""A state store in memory: the agreement's plainest form, for tests and for the simulator.

Rows are kept encoded, as a stored state keeps them, so that nobody changes what was committed by changing a row at hand. The store outlives
the simulated processes that use it: what was committed or claimed is there whenever they crash.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from typing import Final, NamedTuple, TypeVar

from synchromesh.model.message import Message
from synchromesh.state import encoding
from synchromesh.state.agreement import (
    CauseRow,
    Changes,
    EntityKey,
    ExceptionRow,
    FactRow,
    Fenced,
    Identity,
    Moment,
    PostingId,
    PostingRow,
    Ready,
    StateCorrupt,
    StateError,
    TakenOver,
)
from synchromesh.state.fairness import fairly

SEGMENT_POSITIONS: Final = 1 << 19
"""How many positions one segment of identities spans: which identities leave together is decided by the log alone."""

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

EntryId = tuple[str, int, int]
"""A posting in the outbox: partition, position, ordinal."""


@dataclass
class _Partition:
    position: int = 0
    now: int = 0
    entities: dict[EntityKey, bytes] = field(default_factory=dict)
    facts: dict[int, bytes] = field(default_factory=dict)
    postings: dict[PostingId, bytes] = field(default_factory=dict)
    outbox: dict[PostingId, tuple[str, str]] = field(default_factory=dict)
    documents: dict[str, PostingId] = field(default_factory=dict)
    exceptions: dict[PostingId, bytes] = field(default_factory=dict)
    forwards: list[tuple[int, bytes]] = field(default_factory=list)
    identities: dict[Identity, int] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)

    def copy(self) -> _Partition:
        """The same rows, which later commits don't change."""
        rows = {each.name: getattr(self, each.name).copy() for each in fields(self) if each.name not in ("position", "now")}
        return replace(self, **rows)


@dataclass
class _Claim:
    claimant: str
    at: int


class MemoryStore:
    """One store, seen through `state()`, `outbox()` and `reading()`. Safe for threads.

    `before_commit` may raise: then nothing is committed. `after_commit` may raise: then the batch is committed and the caller does not
    know it (a crash at the worst moment).
    """

    def __init__(
        self,
        before_commit: Callable[[Sequence[Changes]], None] | None = None,
        after_commit: Callable[[Sequence[Changes]], None] | None = None,
        segment_positions: int = SEGMENT_POSITIONS,
    ) -> None:
        self.before_commit = before_commit
        self.after_commit = after_commit
        self.segment_positions = segment_positions
        self.changed = threading.Condition(threading.RLock())
        self.partitions: dict[str, _Partition] = {}
        self.claims: dict[EntryId, _Claim] = {}
        self.senders: dict[str, str] = {}
        self.leases: dict[str, tuple[int, str]] = {}
        self.log = ""
        self.troubles: dict[str, str] = {}
        self.version = 0
        self.sequence = 0

    def state(self) -> MemoryState:
        return MemoryState(self)

    def outbox(self) -> MemoryOutbox:
        return MemoryOutbox(self)

    def reading(self) -> MemoryReading:
        return MemoryReading(self)

    def of(self, partition: str) -> _Partition:
        """The partition, or an empty one that is not kept."""
        return self.partitions.get(partition) or _Partition()


class MemoryState:
    """The store as its writer sees it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._begun = False

    def attend(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        leases = self._store.leases
        with self._store.changed:
            for name in partitions:
                epoch, held_by = leases.get(name, (0, ""))
                if not self._begun or not held_by:
                    leases[name] = (epoch + 1, owner)
                elif held_by != owner:
                    raise Fenced(f"{held_by} has taken over {name}; stop this worker")
            self._begun = True
            return {name: leases[name][0] for name in partitions}

    def leave(self, owner: str) -> None:
        with self._store.changed:
            for name, (epoch, held_by) in self._store.leases.items():
                if held_by == owner:
                    self._store.leases[name] = (epoch + 1, "")

    def origin(self, log: str) -> str:
        with self._store.changed:
            self._store.log = self._store.log or log
            return self._store.log

    def rebind(self, log: str) -> None:
        with self._store.changed:
            self._store.log = log

    def positions(self) -> dict[str, int]:
        with self._store.changed:
            return {name: partition.position for name, partition in self._store.partitions.items()}

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        found = _found(self._store, self._store.of(partition).entities, [(kind, name) for name in names], bytes)
        return {name: value for (_, name), value in found.items()}

    def known(self, partition: str, identities: Sequence[Identity]) -> dict[Identity, int]:
        return _found(self._store, self._store.of(partition).identities, identities, int)

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]:
        return _found(self._store, self._store.of(partition).facts, positions, encoding.fact)

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        return _found(self._store, self._store.of(partition).postings, ids, encoding.posting)

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        return _found(self._store, self._store.of(partition).exceptions, ids, encoding.exception)

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]:
        return _found(self._store, self._store.of(partition).documents, numbers, _itself)

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        return set(_found(self._store, self._store.of(partition).outbox, ids, bool))

    def forwards(self, partitions: Collection[str], limit: int) -> list[tuple[str, Message]]:
        with self._store.changed:
            pending = sorted((sequence, name, body) for name in partitions for sequence, body in self._store.of(name).forwards)
        return [(name, encoding.message(body)) for _, name, body in pending[:limit]]

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        self.commit_meanwhile(epochs, batch, lambda: None)

    def commit_meanwhile(self, epochs: Mapping[str, int], batch: Sequence[Changes], meanwhile: Callable[[], None]) -> None:
        with self._store.changed:
            for changes in batch:
                epoch, held_by = self._store.leases.get(changes.partition, (0, ""))
                if epochs.get(changes.partition) != epoch:
                    raise Fenced(f"the epoch for {changes.partition} is over: {held_by or 'nobody'} has taken over; stop this worker")
            for changes in batch:
                _check(changes, len(self._store.of(changes.partition).forwards))
            encoded = [_encoded(changes) for changes in batch]
            meanwhile()
            if self._store.before_commit is not None:
                self._store.before_commit(batch)
            for changes, rows in zip(batch, encoded, strict=True):
                _apply(self._store, changes, rows)
            self._store.version += 1
            self._store.changed.notify_all()
        if self._store.after_commit is not None:
            self._store.after_commit(batch)

    def rows(self, partition: str) -> Iterator[encoding.Row]:
        with self._store.changed:
            return iter(_rows(self._store.of(partition)))

    def close(self) -> None:
        """Nothing to give back: the rows live as long as the store."""


def _found(store: MemoryStore, table: Mapping[K, V], keys: Iterable[K], decode: Callable[[V], R]) -> dict[K, R]:
    with store.changed:
        return {key: decode(table[key]) for key in keys if key in table}


def _itself(id: PostingId) -> PostingId:
    return id


def _check(changes: Changes, pending: int) -> None:
    if changes.forwarded > pending:
        raise StateError(f"partition {changes.partition}: {changes.forwarded} forwards can't be forgotten, only {pending} are pending")


class _Rows(NamedTuple):
    """The rows of a batch in their stored form, made before anything is written: one that can't be encoded leaves nothing half done."""

    facts: dict[int, bytes]
    postings: dict[PostingId, bytes]
    exceptions: dict[PostingId, bytes]
    forwards: list[bytes]


def _encoded(changes: Changes) -> _Rows:
    return _Rows(
        {position: encoding.encode(row) for position, row in changes.facts.items()},
        {id: encoding.encode(row) for id, row in changes.postings.items()},
        {id: encoding.encode(row) for id, row in changes.exceptions.items()},
        [encoding.encode(message) for message in changes.forwards],
    )


def _apply(store: MemoryStore, changes: Changes, rows: _Rows) -> None:
    partition = store.partitions.setdefault(changes.partition, _Partition())
    partition.position, partition.now = changes.position, changes.now
    for key, value in changes.entities.items():
        if value is None:
            partition.entities.pop(key, None)
        else:
            partition.entities[key] = value
    partition.facts |= rows.facts
    partition.postings |= rows.postings
    partition.exceptions |= rows.exceptions
    partition.documents |= changes.documents
    for id in changes.outbox_removed:
        partition.outbox.pop(id, None)
        store.claims.pop((changes.partition, *id), None)
    partition.outbox |= dict(sorted(changes.outbox_added.items()))
    del partition.forwards[: changes.forwarded]
    for body in rows.forwards:
        store.sequence += 1
        partition.forwards.append((store.sequence, body))
    _apply_identities(changes, partition, store.segment_positions)


def _apply_identities(changes: Changes, partition: _Partition, span: int) -> None:
    partition.identities |= changes.identities
    for position in changes.identities.values():
        segment = position // span
        partition.newest[segment] = max(changes.now, partition.newest.get(segment, 0))
    gone = {segment for segment, newest in partition.newest.items() if newest < changes.forget_identities_before}
    if gone:
        partition.identities = {identity: at for identity, at in partition.identities.items() if at // span not in gone}
        partition.newest = {segment: newest for segment, newest in partition.newest.items() if segment not in gone}


def _rows(partition: _Partition) -> list[encoding.Row]:
    if partition.position == 0:
        return []
    return [
        encoding.position_row(partition.position, partition.now),
        *(encoding.entity_row(key, value) for key, value in sorted(partition.entities.items())),
        *(encoding.fact_row(position, value) for position, value in sorted(partition.facts.items())),
        *(encoding.posting_row(id, value) for id, value in sorted(partition.postings.items())),
        *(encoding.outbox_row(id, target, lane) for id, (target, lane) in sorted(partition.outbox.items())),
        *(encoding.document_row(number, id) for number, id in sorted(partition.documents.items())),
        *(encoding.exception_row(id, value) for id, value in sorted(partition.exceptions.items())),
        *(encoding.forward_row(index, body) for index, (_, body) in enumerate(partition.forwards)),
        *(encoding.identity_row(identity, at) for at, identity in sorted((at, identity) for identity, at in partition.identities.items())),
    ]


class MemoryOutbox:
    """The store as a dispatcher sees it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._begun = False
        self._seen = -1
        self._turn = 0

    def known(self) -> set[str]:
        """Claims live as long as the store: none is ever lost."""
        with self._store.changed:
            return set(self._store.partitions)

    def attend(self, claimant: str, targets: Collection[str]) -> set[str]:
        senders = self._store.senders
        with self._store.changed:
            for target in targets:
                if not self._begun or not senders.get(target):
                    senders[target] = claimant
                elif senders[target] != claimant:
                    raise Fenced(f"{senders[target]} sends to {target} now; stop this dispatcher")
            self._begun = True
            return set(targets)

    def leave(self, claimant: str) -> None:
        with self._store.changed:
            for target in [target for target, sender in self._store.senders.items() if sender == claimant]:
                del self._store.senders[target]

    def disown(self, target: str, claimant: str) -> None:
        with self._store.changed:
            for entry, claim in self._store.claims.items():
                if claim.claimant == claimant and self._store.of(entry[0]).outbox[entry[1:]][0] == target:
                    claim.claimant = ""

    def tell(self, target: str, trouble: str) -> None:
        with self._store.changed:
            self._store.troubles[target] = trouble

    def sends(self, target: str, claimant: str) -> bool:
        with self._store.changed:
            return self._store.senders.get(target, claimant) == claimant

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        with self._store.changed:
            if self._store.senders.get(target, claimant) != claimant:
                raise Fenced(f"another dispatcher has begun to send to {target}; end this one")
            self._seen = self._store.version
            names = sorted(self._store.partitions.keys() - full)
            entries = fairly([self._unclaimed(name, target) for name in names], limit, self._turn + 1)
            self._turn += bool(entries)
            for entry in entries:
                self._store.claims[entry] = _Claim(claimant, now)
            return [self._ready(entry) for entry in entries]

    def _unclaimed(self, name: str, target: str) -> Iterator[EntryId]:
        # In the order in which they became ready: a dictionary keeps it.
        for id, (of, _) in self._store.partitions[name].outbox.items():
            if of == target and (name, *id) not in self._store.claims:
                yield (name, *id)

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        with self._store.changed:
            reached = [name for name in sorted(heads) if self._store.of(name).position >= heads[name]]
            left = [
                entry
                for entry, claim in sorted(self._store.claims.items())
                if entry[0] in reached and claim.claimant != claimant and self._store.of(entry[0]).outbox[entry[1:]][0] == target
            ]
            for entry in left[:limit]:
                self._store.claims[entry].claimant = claimant
            unfinished = {name for name, *_ in left[limit:]}
            return TakenOver([self._ready(entry) for entry in left[:limit]], [name for name in reached if name not in unfinished])

    def _ready(self, entry: EntryId) -> Ready:
        name, position, ordinal = entry
        partition = self._store.partitions[name]
        target, lane = partition.outbox[position, ordinal]
        body = partition.postings.get((position, ordinal))
        if body is None:
            raise StateCorrupt(f"partition {name}: the outbox names posting {position}.{ordinal}, which is not there; restore the snapshot")
        return Ready(name, position, ordinal, target, lane, encoding.posting(body).content, self._store.claims[entry].at)

    def release(self, ids: Sequence[EntryId]) -> None:
        with self._store.changed:
            for entry in ids:
                self._store.claims.pop(entry, None)
            self._store.version += 1
            self._store.changed.notify_all()

    def wait(self, timeout: float) -> bool:
        with self._store.changed:
            changed = self._store.changed.wait_for(lambda: self._store.version != self._seen, timeout)
            self._seen = self._store.version
            return changed

    def close(self) -> None:
        """Nothing to give back: claims live as long as the store."""


class MemoryReading:
    """The store as people ask it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._state = store.state()

    def moment(self) -> Moment:
        with self._store.changed:
            copy = MemoryStore()
            copy.partitions = {name: partition.copy() for name, partition in self._store.partitions.items()}
            return copy.state()

    def positions(self) -> Mapping[str, int]:
        return self._state.positions()

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]:
        return _found(self._store, self._store.of(partition).entities, keys, bytes)

    def entities_of(self, partition: str, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        with self._store.changed:
            entities = self._store.of(partition).entities
            names = sorted(name for of, name in entities if of == kind and name > after)
            return [(name, entities[kind, name]) for name in names[:limit]]

    def facts_before(self, partition: str, position: int, limit: int) -> list[FactRow]:
        with self._store.changed:
            facts = self._store.of(partition).facts
            return [encoding.fact(facts[at]) for at in sorted((at for at in facts if at < position), reverse=True)[:limit]]

    def fact(self, partition: str, position: int) -> FactRow | None:
        return self._state.facts(partition, [position]).get(position)

    def identity(self, partition: str, source: str, id: str) -> int | None:
        return self._state.known(partition, [(source, id)]).get((source, id))

    def find_identity(self, id: str) -> list[tuple[str, int]]:
        with self._store.changed:
            return sorted(
                (name, position)
                for name, partition in self._store.partitions.items()
                for identity, position in partition.identities.items()
                if identity[1] == id
            )

    def recent(self, limit: int) -> list[tuple[str, FactRow]]:
        with self._store.changed:
            newest = [
                (name, encoding.fact(partition.facts[position]))
                for name, partition in self._store.partitions.items()
                for position in sorted(partition.facts, reverse=True)[:limit]
            ]
        return sorted(newest, key=lambda each: (each[1].received, each[1].position, each[0]), reverse=True)[:limit]

    def postings_of(self, partition: str, position: int) -> list[PostingRow]:
        with self._store.changed:
            postings = self._store.of(partition).postings
            return [encoding.posting(postings[id]) for id in sorted(postings) if id[0] == position]

    def document(self, number: str) -> list[tuple[str, PostingRow]]:
        with self._store.changed:
            return [
                (name, encoding.posting(partition.postings[partition.documents[number]]))
                for name, partition in sorted(self._store.partitions.items())
                if partition.documents.get(number) in partition.postings
            ]

    def exceptions(self, state: str, limit: int) -> list[tuple[str, ExceptionRow]]:
        with self._store.changed:
            rows = [
                (name, encoding.exception(body))
                for name, partition in self._store.partitions.items()
                for body in partition.exceptions.values()
            ]
        found = [(name, row) for name, row in rows if row.state == state]
        return sorted(found, key=lambda each: (each[1].opened, each[1].position, each[1].ordinal, each[0]), reverse=True)[:limit]

    def posting(self, partition: str, id: PostingId) -> PostingRow | None:
        return self._state.postings(partition, [id]).get(id)

    def exception(self, partition: str, id: PostingId) -> ExceptionRow | None:
        return self._state.exceptions(partition, [id]).get(id)

    def causes(self) -> list[CauseRow]:
        found: dict[tuple[str, str, str], list[ExceptionRow]] = {}
        for name, row in self.exceptions("open", sys.maxsize):
            found.setdefault((name, row.category, row.subject), []).append(row)
        return [_counted(*key, rows) for key, rows in found.items()]

    def of_cause(self, partition: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionRow]:
        wanted = partition, category, subject
        rows = [row for name, row in self.exceptions("open", sys.maxsize) if (name, row.category, row.subject) == wanted]
        behind = [row for row in rows if (row.position, row.ordinal) > after]
        return sorted(behind, key=lambda row: (row.position, row.ordinal))[:limit]

    def waiting(self, target: str = "") -> int:
        with self._store.changed:
            entries = (of for partition in self._store.partitions.values() for of, _ in partition.outbox.values())
            return sum(1 for of in entries if target in ("", of))

    def troubles(self) -> dict[str, str]:
        with self._store.changed:
            return {target: trouble for target, trouble in self._store.troubles.items() if trouble}

    def close(self) -> None:
        """Nothing to give back."""


def _counted(partition: str, category: str, subject: str, rows: Sequence[ExceptionRow]) -> CauseRow:
    orders = {row.order for row in rows} - {""}
    return CauseRow(partition, category, subject, len(rows), sum(row.facts for row in rows), len(orders), min(row.opened for row in rows))
