"""The agreement of a state store, checked by the contract suite in `tests/contracts/state.py` on every implementation.

A store holds, per partition: entities (opaque bytes by kind and name), facts (one row per message that a source told, by position),
identities (source and id of every message still inside its horizon), postings and their outbox, documents, exceptions, messages to
forward to other partitions, and the log position through which all of that is true. One `commit` moves all of it, or none.

Times are integers: microseconds since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from synchromesh.model.message import Message

EntityKey = tuple[str, str]
"""Kind and name, such as ('order', '4711')."""

Identity = tuple[str, str]
"""Source and the message's own id."""

PostingId = tuple[int, int]
"""Position of the causing message and ordinal among its postings: where a posting stands in its partition."""


class FactRow(msgspec.Struct, array_like=True):
    """What became of one message that a source told.

    `fate` and `reference` say where it is now (see `plant.fates`); `group` is the position whose postings book it, 0 for none.
    `previous` and `previous_of_lot` are the positions of the fact before it of the same order and lot, 0 for none: the chains that a
    trace walks, so that no index grows with history. `told` is the canonical events as JSON.
    """

    position: int
    source: str
    id: str
    type: str
    received: int
    occurred: int
    order: str
    lot: str
    fate: str
    reference: str
    group: int
    previous: int
    previous_of_lot: int
    told: bytes


class PostingRow(msgspec.Struct, array_like=True):
    """A posting, decided at `position` as its `ordinal`-th; `content` is the JSON of `model.posting.Posting`.

    `state` is one of waiting, ready, posted, rejected, in doubt, parked, reversed, reversed outside, withdrawn. `waits_for` says in
    words what a waiting one waits for. `group` and `facts`: which facts it books and how many. `refusal` is JSON or empty.
    """

    position: int
    ordinal: int
    key: str
    kind: str
    state: str
    target: str
    lane: str
    order: str
    group: int
    facts: int
    content: bytes
    decided: int
    waits_for: str = ""
    document: str = ""
    link: str = ""
    settled: int = 0
    refusal: bytes = b""
    successor: str = ""
    """The key of the posting that took this one's place: sent again after a refusal, or rebooked after a correction."""


class ExceptionRow(msgspec.Struct, array_like=True):
    """Something that a person must look at, opened by the message at `position` as its `ordinal`-th.

    `state` is open, resolved or dismissed. `posting` is the key of the posting it is about, or ''.
    """

    position: int
    ordinal: int
    category: str
    subject: str
    sentence: str
    remedy: str
    state: str
    order: str
    posting: str
    opened: int
    detail: str = ""
    closed: int = 0


class Changes(msgspec.Struct):
    """All that one batch changes in one partition. Rows are written by their key, whether they were there or not."""

    partition: str
    position: int
    entities: dict[EntityKey, bytes | None] = {}
    facts: dict[int, FactRow] = {}
    identities: dict[Identity, int] = {}
    postings: dict[PostingId, PostingRow] = {}
    outbox_added: dict[PostingId, tuple[str, str]] = {}
    """Postings that became ready: (target, lane)."""
    outbox_removed: set[PostingId] = set()
    documents: dict[str, PostingId] = {}
    exceptions: dict[PostingId, ExceptionRow] = {}
    forwards: list[Message] = []
    """For other partitions; identified by their own source and id, so that a repeat is harmless."""
    forwarded: int = 0
    """How many of the oldest pending forwards have been appended where they belong and are forgotten with this commit."""
    now: int = 0
    """The partition's time after the batch: identity segments are dated by it."""
    forget_identities_before: int = 0
    """Whole identity segments whose newest entry is older than this are dropped."""


class StateError(Exception):
    """The store can't do what was asked; nothing changed. The text says what, where and what to do."""


class StateFull(StateError):
    """There is no room to commit (a full disk). Nothing changed; it may work later."""


class StateCorrupt(StateError):
    """The stored state is damaged, or of a newer program. It is never repaired silently."""


class Fenced(StateError):
    """Another worker has taken over: this one may write nothing any more."""


class State(Protocol):
    """The store as its one writer sees it. All loads are of committed state; missing keys are left out of the answer."""

    def lease(self, owner: str) -> int:
        """Take over as the writer and return the new epoch; every older epoch is fenced from now on."""
        ...

    def positions(self) -> dict[str, int]:
        """The committed position of every partition that has one."""
        ...

    def load(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]: ...

    def known(self, partition: str, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions at which these identities were first told."""
        ...

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]: ...

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]: ...

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]: ...

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]: ...

    def forwards(self, limit: int) -> list[tuple[str, Message]]:
        """The oldest messages still to be forwarded, each with the partition that sends it."""
        ...

    def commit(self, epoch: int, batch: Sequence[Changes]) -> None:
        """Commit the changes of several partitions, durably and all or none. Raises `Fenced`, `StateFull` or `StateError`."""
        ...

    def rows(self, partition: str) -> Iterator[tuple[str, str, bytes]]:
        """Every row of a partition that a fold decides, as (table, key, value bytes), in one fixed order: two stores with the same
        rows hold the same state. Claims, epochs and identity segments' layout are not part of it; identities are."""
        ...

    def close(self) -> None: ...


class Ready(msgspec.Struct, frozen=True):
    """One posting in the outbox. `attempt` counts claims so far; a claimed one that its claimant did not finish is in doubt."""

    partition: str
    position: int
    ordinal: int
    target: str
    lane: str
    content: bytes
    claimed_at: int = 0


class Outbox(Protocol):
    """The store as a dispatcher sees it, beside the worker and perhaps in another process."""

    def take(self, target: str, claimant: str, limit: int, now: int) -> list[Ready]:
        """Claim up to `limit` of the oldest unclaimed ready postings of a target, durably, and return them. An entry that is claimed
        stays so until the worker removes it with its outcome."""
        ...

    def orphans(self, target: str, claimant: str) -> list[Ready]:
        """Entries that somebody else than `claimant` claimed and nobody finished: each is in doubt. They now belong to `claimant`."""
        ...

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        """Give back claims of postings that certainly were not sent: (partition, position, ordinal)."""
        ...

    def wait(self, timeout: float) -> bool:
        """Block until there may be something new to take, at most `timeout` seconds; whether there may be."""
        ...

    def close(self) -> None: ...


class Reading(Protocol):
    """The store as people ask it. Answers are of one committed moment each."""

    def positions(self) -> Mapping[str, int]: ...

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]: ...

    def fact(self, partition: str, position: int) -> FactRow | None: ...

    def identity(self, partition: str, source: str, id: str) -> int | None: ...

    def find_identity(self, id: str) -> list[tuple[str, int]]:
        """Facts told under this id by any source: (partition, position). May scan; for people, not for the fold."""
        ...

    def recent(self, limit: int) -> list[tuple[str, FactRow]]:
        """The newest facts by received time, newest first, with their partitions."""
        ...

    def postings_of(self, partition: str, position: int) -> list[PostingRow]:
        """Postings that the message at `position` caused, by ordinal."""
        ...

    def document(self, number: str) -> list[tuple[str, PostingRow]]:
        """Postings booked under a document number, with their partitions."""
        ...

    def exceptions(self, state: str, limit: int) -> list[tuple[str, ExceptionRow]]:
        """The newest exceptions in a state, newest first, with their partitions."""
        ...

    def waiting(self) -> int:
        """How many postings stand in the outbox."""
        ...

    def close(self) -> None: ...
