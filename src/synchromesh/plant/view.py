"""The fold's view of a plant: committed state plus the batch's own changes, loaded on demand, cached with a bound.

The view is also where changes collect. `flush` turns them into one `Changes` for the store; then `committed` says that the cache
may keep them, or `forget` that nothing of the batch is true.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from synchromesh.model.message import Message
from synchromesh.model.posting import Posting
from synchromesh.plant.entities import KINDS, Balance, Clock, Decision, Entity, Group, Item, Lane, Lot, Order, Totals
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import stem_of
from synchromesh.plant.policy import DEFAULT, Policy
from synchromesh.plant.rows import Changes, ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.plant.version import FOLD

E = TypeVar("E", bound=Entity)
K = TypeVar("K")
V = TypeVar("V")
Effect = tuple[str, Decimal, str]
"""What a posting does to one balance: its place, a signed amount, and the amount's unit."""

AHEAD: Final = 86_400_000_000
"""How far, in microseconds, a source's clock may be ahead: a message of a later time can't be told from a repeat for ever."""

_encode: Final = msgspec.msgpack.Encoder(decimal_format="string").encode
_decoders: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in KINDS.items()}
_posting_decode: Final = msgspec.json.Decoder(Posting).decode
_policy_decode: Final = msgspec.json.Decoder(Policy).decode


class Loads(Protocol):
    """What the view needs of a store: committed rows by key; missing keys are left out."""

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]: ...

    def known(self, partition: str, identities: list[Identity]) -> dict[Identity, int]: ...

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]: ...

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]: ...

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]: ...

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]: ...

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]: ...


class View:
    """One partition as the fold sees it. `bound` is how many entities the cache keeps between batches."""

    def __init__(self, partition: str, store: Loads, bound: int = 30_000) -> None:
        self.partition = partition
        self.store = store
        self.bound = bound
        self.position = 0
        self._ordinal = 0
        self.forget()

    def forget(self) -> None:
        """Drop every change and everything cached: the next look loads what is committed."""
        # A table a kind: a name alone is found in half the time of a pair, and this is asked some twenty times a fact.
        self._tables: dict[str, dict[str, Entity | None]] = {kind: {} for kind in KINDS}
        self._orders = cast("dict[str, Order | None]", self._tables["order"])
        self._items = cast("dict[str, Item | None]", self._tables["item"])
        self._lots = cast("dict[str, Lot | None]", self._tables["lot"])
        self._balances = cast("dict[str, Balance | None]", self._tables["stock"])
        self._postings: dict[PostingId, PostingRow] = {}
        self._contents: dict[PostingId, Posting] = {}
        self.effects: dict[PostingId, list[Effect]] = {}
        """What postings do to balances, as `stock.effects` has worked it out."""
        self.policy: Policy = DEFAULT
        """The policy in force at this position."""
        self.stem = self.partition
        """What the keys of postings begin with under this policy."""
        self._policy_known = False
        self._start_batch()

    def _start_batch(self) -> None:
        self._changed: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
        self._facts: dict[int, FactRow] = {}
        self._known: dict[Identity, int] = {}
        self._outgoing: dict[PostingId, bool] = {}
        self._exceptions: dict[PostingId, ExceptionRow] = {}
        self._documents: dict[str, PostingId] = {}
        self.changes = Changes(partition=self.partition, position=self.position)
        self._clock: Clock | None = None
        self._totals: Totals | None = None

    # --- one message --------------------------------------------------------------------------------------------------

    def begin(self, position: int) -> None:
        """From here on changes are caused by the message at `position`."""
        self.position = position
        self._ordinal = 0
        if not self._policy_known:
            decision = self.of(Decision, "decision", "policy/" + self.partition)
            self.policy = DEFAULT if decision is None else _policy_decode(decision.content)
            self.stem = stem_of(self.partition, self.policy.series)
            self._policy_known = True

    def next_ordinal(self) -> int:
        """The next ordinal of a posting that a decision at this position causes; other messages count their own."""
        self._ordinal += 1
        return self._ordinal

    # --- entities -----------------------------------------------------------------------------------------------------

    def prefetch(self, kind: str, names: Iterable[str]) -> None:
        """Load in few statements what the batch is about to need of one kind."""
        table = self._tables[kind]
        missing = dict.fromkeys([name for name in names if name not in table])
        if missing:
            found = self.store.load(self.partition, kind, missing)
            decode = _decoders[kind].decode
            for name in missing:
                value = found.get(name)
                table[name] = None if value is None else decode(value)

    def prefetch_rows(self, identities: list[Identity], postings: Iterable[PostingId]) -> None:
        """Load which identities were told, and these postings."""
        if identities:
            self._known.update(self.store.known(self.partition, identities))
        wanted = dict.fromkeys([id_ for id_ in postings if id_ not in self._postings])
        if wanted:
            self._postings.update(self.store.postings(self.partition, wanted))

    def prefetch_outgoing(self, postings: Iterable[PostingId]) -> None:
        """Load which of these postings are on their way."""
        wanted = set(postings)
        if wanted:
            self._outgoing.update(dict.fromkeys(wanted, False))
            self._outgoing.update(dict.fromkeys(self.store.outgoing(self.partition, wanted), True))

    def get(self, kind: str, name: str) -> Entity | None:
        """The entity, or None. The caller marks it with `touch` before it changes it."""
        table = self._tables[kind]
        try:
            return table[name]
        except KeyError:
            self.prefetch(kind, (name,))
            return table[name]

    def of(self, type_: type[E], kind: str, name: str) -> E | None:
        """`get` for callers who know the kind's struct."""
        table = self._tables[kind]
        if name not in table:
            self.prefetch(kind, (name,))
        return table[name]  # type: ignore[return-value]  # the kind says which struct

    def made(self, type_: type[E], kind: str, name: str) -> E:
        """The entity, made new if there was none, and marked as changed. Only for structs whose fields all have defaults."""
        entity = self.of(type_, kind, name)
        if entity is None:
            entity = type_()
            self._tables[kind][name] = entity
        self._changed[kind][name] = None
        return entity

    def touch(self, kind: str, name: str) -> None:
        self._changed[kind][name] = None

    def put(self, kind: str, name: str, entity: Entity) -> None:
        if kind == "decision":
            self._policy_known = False
        self._tables[kind][name] = entity
        self._changed[kind][name] = None

    def drop(self, kind: str, name: str) -> None:
        self._tables[kind][name] = None
        self._changed[kind][name] = None

    def order(self, name: str) -> Order | None:
        orders = self._orders
        return orders[name] if name in orders else self.of(Order, "order", name)

    def item(self, name: str) -> Item | None:
        items = self._items
        return items[name] if name in items else self.of(Item, "item", name)

    def lot(self, name: str) -> Lot | None:
        lots = self._lots
        return lots[name] if name in lots else self.of(Lot, "lot", name)

    def balance(self, place: str) -> Balance:
        """The balance at a place (see `stock.place`), to be changed."""
        balance = self._balances.get(place)
        if balance is None:
            return self.made(Balance, "stock", place)
        self._changed["stock"][place] = None
        return balance

    def clock(self) -> Clock:
        """The partition's clock, to be changed; it changes with nearly every message, so it is found at once."""
        if self._clock is None:
            self._clock = self.made(Clock, "clock", "")
            if not self._clock.now:
                self._clock.fold = FOLD
        return self._clock

    def totals(self) -> Totals:
        """The partition's totals, to be changed; as the clock."""
        if self._totals is None:
            self._totals = self.made(Totals, "totals", "")
        return self._totals

    def lane(self, name: str) -> Lane:
        """The lane of this name, whole and to be changed: an order's own lane, or one that stands alone."""
        order = self.order(name[6:]) if name.startswith("order:") else None
        if order is not None:
            self._changed["order"][name[6:]] = None
            lane = order.lane
        else:
            lane = self.made(Lane, "lane", name)
        self.whole(lane)
        return lane

    def whole(self, lane: Lane) -> None:
        """Bring a posting that is on its way alone back into the lane's queue, before anything joins it or it has another end than a good
        one. The caller has marked the lane as changed."""
        row = self.posting(lane.last) if not lane.queue and lane.last[0] and self.outgoing(lane.last) else None
        if row is not None and row.alone:
            row.alone = False
            self.put_posting(row)
            lane.queue = (lane.last,)
            lane.groups[row.group] = Group(row.facts, 1)

    def count(self, fate: Fate, by: int) -> None:
        """So many facts more (or fewer) have this fate."""
        if by:
            fates = self.totals().fates
            fates[fate] = fates.get(fate, 0) + by

    def move(self, from_: Fate, to: Fate, facts: int) -> None:
        """So many facts go from one fate to another."""
        if facts and from_ is not to:
            self.count(from_, -facts)
            self.count(to, facts)

    def policy_at(self, position: int) -> Policy:
        """The policy that was in force at an earlier position; the one in force now for 0."""
        if not position:
            return self.policy
        decision = self.of(Decision, "decision", "policy/" + self.partition)
        content = decision.as_of(position) if decision is not None else None
        return DEFAULT if content is None else _policy_decode(content)

    def stem_at(self, position: int) -> str:
        """What the keys of postings begin with that the message at `position` causes: with the series that was in force there, however late
        they are decided. Where the log was copied from, they have the same keys."""
        decision = self.of(Decision, "decision", "policy/" + self.partition)
        if decision is None or position >= decision.position:
            return self.stem
        content = decision.as_of(position)
        return self.stem if content is None else stem_of(self.partition, _policy_decode(content).series)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def known(self, identity: Identity) -> int | None:
        """Where this identity was told first; `prefetch` must have been given it, so that a batch asks once."""
        return self._known.get(identity)

    def look(self, identity: Identity) -> int | None:
        """As `known`, for an identity that a fact names: loaded when it was not."""
        known = self._known.get(identity)
        if known is None:
            self._known.update(self.store.known(self.partition, [identity]))
            known = self._known.get(identity)
        return known

    def remember(self, identity: Identity, position: int) -> None:
        self._known[identity] = position
        self.changes.identities[identity] = position

    def fact(self, position: int) -> FactRow | None:
        row = self._facts.get(position)
        if row is None:
            row = self.store.facts(self.partition, (position,)).get(position)
            if row is not None:
                self._facts[position] = row
        return row

    def put_fact(self, row: FactRow) -> None:
        self._facts[row.position] = row
        self.changes.facts[row.position] = row

    def posting(self, id_: PostingId) -> PostingRow | None:
        row = self._postings.get(id_)
        if row is None:
            row = self.store.postings(self.partition, (id_,)).get(id_)
            if row is not None:
                self._postings[id_] = row
        return row

    def content(self, id_: PostingId) -> Posting:
        """The frozen content of a posting that exists."""
        content = self._contents.get(id_)
        if content is None:
            row = self.posting(id_)
            assert row is not None, f"posting {id_} is referred to and does not exist"
            content = _posting_decode(row.content)
            self._contents[id_] = content
        return content

    def put_posting(self, row: PostingRow, content: Posting | None = None) -> None:
        id_ = (row.position, row.ordinal)
        self._postings[id_] = row
        self.changes.postings[id_] = row
        if content is not None:
            self._contents[id_] = content

    def send(self, id_: PostingId, row: PostingRow) -> None:
        """The posting has changed and is ready: a dispatcher may take it as soon as this batch is committed."""
        changes = self.changes
        changes.postings[id_] = row
        changes.outbox_removed.discard(id_)
        changes.outbox_added[id_] = (row.target, row.lane)

    def unsend(self, id_: PostingId) -> None:
        """The posting has its outcome and leaves the outbox."""
        if self.changes.outbox_added.pop(id_, None) is None:
            self.changes.outbox_removed.add(id_)

    def outgoing(self, id_: PostingId) -> bool:
        """Whether the posting is on its way: it was sent and has no outcome."""
        changes = self.changes
        if id_ in changes.outbox_added or id_ in changes.outbox_removed:
            return id_ in changes.outbox_added
        if id_ not in self._outgoing:
            self.prefetch_outgoing((id_,))
        return self._outgoing[id_]

    def exception(self, id_: PostingId) -> ExceptionRow | None:
        row = self._exceptions.get(id_)
        return row if row is not None else self.store.exceptions(self.partition, (id_,)).get(id_)

    def put_exception(self, row: ExceptionRow) -> None:
        self._exceptions[(row.position, row.ordinal)] = row
        self.changes.exceptions[(row.position, row.ordinal)] = row

    def document(self, number: str) -> PostingId | None:
        id_ = self._documents.get(number)
        return id_ if id_ is not None else self.store.documents(self.partition, (number,)).get(number)

    def put_document(self, number: str, id_: PostingId) -> None:
        self._documents[number] = id_
        self.changes.documents[number] = id_

    def forward(self, message: Message) -> None:
        self.changes.forwards.append(message)

    # --- the batch ----------------------------------------------------------------------------------------------------

    def flush(self) -> Changes:
        """All changes since the last `committed`, through the position of the last message."""
        changes = self.changes
        changes.position = self.position
        for kind, names in self._changed.items():
            table = self._tables[kind]
            for name in sorted(names):
                entity = table[name]
                changes.entities[kind, name] = None if entity is None else _encode(entity)
        clock = cast("Clock | None", self._tables["clock"].get(""))
        if clock is not None:
            changes.now = clock.now
            if clock.horizon > 0:
                changes.forget_identities_before = clock.now - clock.horizon * 1_000_000 - AHEAD
        return changes

    def committed(self) -> None:
        """The last flush is in the store: keep what may be needed again, within the bound."""
        if sum(map(len, self._tables.values())) > self.bound:
            for table in self._tables.values():
                _shrink(table, len(table) * 3 // 4)
        caches: tuple[dict[PostingId, Any], ...] = (self._postings, self._contents, self.effects)
        for rows in caches:
            if len(rows) > self.bound:
                _shrink(rows, self.bound * 3 // 4)
        self._start_batch()


def _shrink(cache: dict[K, V], size: int) -> None:
    """Drop the oldest of a cache until only so many are left; what is needed again is loaded again."""
    for key in list(islice(cache, len(cache) - size)):
        del cache[key]
