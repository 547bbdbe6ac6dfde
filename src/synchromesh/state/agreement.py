"""The agreement of a state store, checked by the contract suite in `tests/contracts/state.py` on every implementation.

A store holds, per partition: entities (opaque bytes by kind and name), facts (one row per message that a source told, by position),
identities (source and id of every message still inside its horizon), postings and their outbox, documents, exceptions, messages to
forward to other partitions, and the log position through which all of that is true. One `commit` moves all of it, or none.

Times are integers: microseconds since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from synchromesh.model.message import Message
from synchromesh.plant.rows import Changes, EntityKey, ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.plant.view import Loads

__all__ = [
    "CauseRow",
    "Changes",
    "EntityKey",
    "ExceptionRow",
    "FactRow",
    "Fenced",
    "Identity",
    "Moment",
    "Outbox",
    "Overlapping",
    "PostingId",
    "PostingRow",
    "Reading",
    "Ready",
    "Snapshots",
    "State",
    "StateAway",
    "StateCorrupt",
    "StateError",
    "StateFull",
    "TakenOver",
]


LEASE_SECONDS: Final = 3.0
"""How long a share outlives its owner's last attendance."""

ATTEND_SECONDS: Final = 0.5
"""How often an owner attends."""


class StateError(Exception):
    """The store can't do what was asked; nothing changed. The text says what, where and what to do."""


class StateFull(StateError):
    """There is no room to commit (a full disk). Nothing changed; it may work later."""


class StateAway(StateError):
    """The store can't be reached just now. Nothing changed, unless the answer to a commit was lost; it may work later."""


class StateCorrupt(StateError):
    """The stored state is damaged, or of a newer program. It is never repaired silently."""


class Fenced(StateError):
    """Another worker or dispatcher has taken over: this one may write, claim and send nothing any more."""


class State(Protocol):
    """The store as its one writer sees it. All loads are of committed state; missing keys are left out of the answer."""

    def attend(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        """Say that `owner` is at work, and get its share of the partitions, each with the epoch in which it may write. An epoch lasts until
        its owner leaves, gives the partition up here because others came, or does not attend for `LEASE_SECONDS`; who has the partition
        next has a higher one. To be called between commits, every `ATTEND_SECONDS` or sooner.

        A store of one machine has one writer: the first call of a `State` takes everything over at once, and an earlier one that only
        stood still hears `Fenced`. Elsewhere owners share alike and a dead one's partitions wait until its time is over."""
        ...

    def leave(self, owner: str) -> None:
        """Give everything back at once: whoever attends next may have it."""
        ...

    def origin(self, log: str) -> str:
        """The id of the log whose positions these are: `log` from now on, where nothing was known. With '' it is only asked, and '' is the
        answer where nothing is known."""
        ...

    def rebind(self, log: str) -> None:
        """Let these be positions of the log `log` from now on, durably, whatever was known: for a state that moves with its log."""
        ...

    def positions(self) -> dict[str, int]:
        """The committed position of every partition that has one."""
        ...

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        """The entities of one kind by name."""
        ...

    def known(self, partition: str, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions at which these identities were first told."""
        ...

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]: ...

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]: ...

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]: ...

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]: ...

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        """Which of these postings stand in the outbox."""
        ...

    def forwards(self, partitions: Collection[str], limit: int) -> list[tuple[str, Message]]:
        """The oldest messages that these partitions have still to forward, each with the partition that sends it."""
        ...

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        """Commit the changes of several partitions, durably and all or none, each in the epoch that `attend` gave. Raises `Fenced` when one
        of these epochs is over, `StateFull` or `StateError`."""
        ...

    def rows(self, partition: str) -> Iterator[tuple[str, str, bytes]]:
        """Every row of a partition that a fold decides, as (table, key, value bytes), in one fixed order: two stores with the same
        rows hold the same state. Claims, epochs and identity segments' layout are not part of it; identities are."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Overlapping(Protocol):
    """A `State` that does not need its writer's time for making a batch durable."""

    def commit_meanwhile(self, epochs: Mapping[str, int], batch: Sequence[Changes], meanwhile: Callable[[], None]) -> None:
        """`commit`, and call `meanwhile` once, when all is written and the disk is waited for. It must ask nothing of this store and leave
        the batch as it is. What it raises is raised when the commit has its end; the batch may be committed then."""
        ...


class Snapshots(Protocol):
    """A store that can be looked at as it is at one moment, at length and row by row, while others go on."""

    def frozen(self, folder: Path) -> State:
        """The store at one committed moment, only to be read; to be closed. A store that has to copy itself puts the copy into `folder`."""
        ...


class Ready(msgspec.Struct, frozen=True):
    """One posting in the outbox. A claimed one that its claimant did not finish is in doubt."""

    partition: str
    position: int
    ordinal: int
    target: str
    lane: str
    content: bytes
    claimed_at: int = 0


class TakenOver(msgspec.Struct):
    """What a dispatcher took over: `entries`, each in doubt, and the `partitions` in which there is nothing more to take over."""

    entries: list[Ready]
    partitions: list[str]


class Outbox(Protocol):
    """The store as a dispatcher sees it, beside the worker and perhaps in another process. It takes over before it takes."""

    def known(self) -> set[str]:
        """Partitions of which it is known what was claimed. Of any other one the claims are lost, if there were any, and not taken over
        yet."""
        ...

    def attend(self, claimant: str, targets: Collection[str]) -> set[str]:
        """Say that `claimant` is at work, and get its share of the targets: those that it alone sends to. An earlier one that only stood
        still is fenced: it gets nothing more, and what it has claimed is not its to send. Shares, times and the store of one machine are
        as in `State.attend`."""
        ...

    def leave(self, claimant: str) -> None:
        """Give all targets back at once. What is claimed stays so."""
        ...

    def disown(self, target: str, claimant: str) -> None:
        """What `claimant` claimed before is nobody's from now on: taken over like that of others. For one that begins anew with a target,
        as after it had lost and got it back, and no longer knows what it had sent."""
        ...

    def tell(self, target: str, trouble: str) -> None:
        """Say why a target does not answer, '' when it does: for those who ask with `Reading.troubles`."""
        ...

    def sends(self, target: str, claimant: str) -> bool:
        """Whether no other one has begun since. Asked before each sending, so it is cheap."""
        ...

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        """Claim up to `limit` unclaimed postings of a target, durably, and return them: those that became ready first, fairly among the
        partitions that are not `full`, and beginning with another one each time: also small limits are fair. An entry that is claimed
        stays so until the worker removes it with its outcome; it enters the outbox only once, since what is sent again is a new posting
        with a new key. Raises `Fenced` for a claimant that another one has followed (`attend`)."""
        ...

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        """Entries that may have been sent and have no outcome, up to `limit`: somebody else than `claimant` claimed them, or it is not
        known who claimed what. They now belong to `claimant`.

        `heads` are the log's heads when the claimants before were gone. A partition whose state has not reached its head is left out: the
        log may hold outcomes of its entries. It is asked for again until it is among the answer's `partitions`; others than those of
        `heads` are not looked at."""
        ...

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        """Give back claims of postings that certainly were not sent: (partition, position, ordinal)."""
        ...

    def wait(self, timeout: float) -> bool:
        """Block until there may be something new to take since the last `take` or `wait`, at most `timeout` seconds; whether there may be.
        What could not be taken then is not told of again, so that who has no room is not called all the time."""
        ...

    def close(self) -> None: ...


class Moment(Loads, Protocol):
    """The store as it was at one committed moment, by key, whatever is committed since. Nothing can be written through it."""

    def positions(self) -> dict[str, int]:
        """The committed position of every partition at that moment."""
        ...

    def close(self) -> None:
        """Let the moment go. To be closed soon: a store may keep what is overwritten meanwhile."""
        ...


class CauseRow(msgspec.Struct, frozen=True):
    """How many exceptions of one category and subject are open in a partition, how many facts and orders they hold up, and since when."""

    partition: str
    category: str
    subject: str
    exceptions: int
    facts: int
    orders: int
    oldest: int


class Reading(Protocol):
    """The store as people ask it. Answers are of one committed moment each."""

    def moment(self) -> Moment:
        """The store as it is now, to be asked many questions that must fit together."""
        ...

    def positions(self) -> Mapping[str, int]: ...

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]: ...

    def entities_of(self, partition: str, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """The first `limit` entities of one kind whose names come after `after`, in the order of their names' code points."""
        ...

    def fact(self, partition: str, position: int) -> FactRow | None: ...

    def facts_before(self, partition: str, position: int, limit: int) -> list[FactRow]:
        """The newest facts of one partition before a position, newest first by position."""
        ...

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

    def posting(self, partition: str, id: PostingId) -> PostingRow | None:
        """One posting, whatever became of it."""
        ...

    def exception(self, partition: str, id: PostingId) -> ExceptionRow | None:
        """One exception, open or not."""
        ...

    def causes(self) -> list[CauseRow]:
        """Open exceptions counted by cause and partition, in no order. Quick also when very many are open."""
        ...

    def of_cause(self, partition: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionRow]:
        """The open exceptions of one cause behind `after`, in their order: position, then ordinal."""
        ...

    def waiting(self, target: str = "") -> int:
        """How many postings stand in the outbox, of all targets or of one."""
        ...

    def troubles(self) -> dict[str, str]:
        """Which targets do not answer just now, and why."""
        ...

    def close(self) -> None: ...
