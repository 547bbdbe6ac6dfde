"""The rows that a fold writes and a store keeps: facts, postings, exceptions, and all changes of one batch.

Times are integers: microseconds since 1970 in UTC.
"""

from __future__ import annotations

import msgspec

from synchromesh.model.message import Message

EntityKey = tuple[str, str]
"""Kind and name, such as ('order', '4711')."""

Identity = tuple[str, str]
"""Source and the message's own id."""

PostingId = tuple[int, int]
"""Position of the causing message and ordinal among its postings: where a posting stands in its partition."""


class FactRow(msgspec.Struct, array_like=True, gc=False):
    """What became of one message that a source told.

    `fate` and `reference` say where it is now (see `plant.fates`); `group` is the position whose postings book it, 0 for none.
    `previous` and `previous_of_lot` are the positions of the fact before it of the same order and lot, 0 for none: the chains that a
    trace walks, so that no index grows with history. `told` is the canonical events as JSON. `applied` is the position at which it was
    folded when that was not its own, because it had waited.
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
    applied: int = 0


class PostingRow(msgspec.Struct, array_like=True, gc=False):
    """A posting, decided at `position` as its `ordinal`-th; `content` is the JSON of `model.posting.Posting`.

    `state` is one of waiting, ready, accepted, parked, posted, rejected, in doubt, reversed, reversed outside, withdrawn. `waits_for` says
    in words what a waiting one waits for. `group` and `facts`: which facts it books and how many. `refusal` is JSON or empty.
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
    turn: int = 0
    """The position at which it was decided: later than `position` for a fact that had waited or was gathered. Lanes keep this order."""
    previous: PostingId = (0, 0)
    """The posting that entered the same lane before this one; (0, 0) for the first."""
    alone: bool = False
    """It is on its way and nothing else of its lane is open: the lane keeps no queue for it (see `View.whole`)."""


Doing = tuple[int, str, str]
"""What a person did about an exception: when, who, what."""


class ExceptionRow(msgspec.Struct, array_like=True, gc=False):
    """Something that a person must look at, opened by the message at `position` as its `ordinal`-th.

    `state` is open, resolved or dismissed. `posting` is the key of the posting it is about, or ''. `facts` says how many facts it holds
    up; `assigned` is who works on it, '' for nobody yet; `doings` is what people did about it, oldest first. Those of one category and
    subject have one cause.
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
    facts: int = 1
    assigned: str = ""
    doings: tuple[Doing, ...] = ()
    listed: bool = False
    """Whether it stands among those of its cause: one of an earlier program does not."""


class Changes(msgspec.Struct):
    """All that one batch changes in one partition. Rows are written by their key, whether they were there or not."""

    partition: str
    position: int
    entities: dict[EntityKey, bytes | None] = {}
    """None for what is gone. The fold gives a kind's names in their order, in which neighbours in a store are written together."""
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
