"""What a plant remembers, one struct a kind. They are changed only inside a fold, through its view, and stored as MessagePack.

Amounts are exact decimals by unit, as they were told; they are converted and rounded only in a posting.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.model.event import AlternativeUnit
from synchromesh.model.tally import Tally


class Entity(msgspec.Struct, array_like=True, gc=False):
    """What all entities share: a compact encoding whose fields may only be added at the end.

    What is mostly empty is a tuple or None and no container of its own: entities are read, written and dropped all the time.
    """


class Cumulative(Entity):
    """One kind of posting line, summed since the beginning: what was reported, and what postings were decided for (law 7).

    `unit` is the unit that ERP books; `decided` is in it, rounded. `last` is the newest live posting with this line.
    """

    unit: str
    reported: Tally
    decided: Decimal = Decimal(0)
    last: tuple[int, int] = (0, 0)


class Gather(Entity):
    """Facts that become one set of documents. Its postings are caused by the message that opened it, from ordinal `base` on."""

    position: int
    base: int
    facts: int
    opened: int
    touched: int
    source: str
    effective: str
    operation: str = ""
    feeds: list[str] = []
    """Stock places whose booked balance this gather will raise."""


class Source(Entity):
    """A source of facts: the position at which it last said that its input has ended."""

    ended: int = 0


class Group(Entity):
    """Facts whose postings are under way: how many facts, how many postings without a good end, how many of these are stuck."""

    facts: int
    outstanding: int
    stuck: int = 0


class Lane(Entity):
    """Postings that must stay in order, and the sums they are cut from. The head of the queue is the only one on its way.

    A lane whose only open posting is on its way keeps neither queue nor group for it: the posting says so itself (`PostingRow.alone`), and
    its good end need not touch the lane.
    """

    queue: tuple[tuple[int, int], ...] = ()
    groups: dict[int, Group] = {}
    sums: dict[str, Cumulative] = {}
    open: dict[str, None] = {}
    """Lines with something reported and not yet decided, in the order they were touched."""
    gather: Gather | None = None
    seconds: dict[str, list[int]] | None = None
    """By operation: labour and machine seconds reported, labour and machine seconds decided."""
    confirmed: tuple[str, ...] = ()
    """Operations whose confirmation is due."""
    last: tuple[int, int] = (0, 0)
    """The newest posting; each names the one before it in its lane."""


class OperationState(Entity):
    """One operation of an order: what was reported there, by unit."""

    good: Tally = {}
    scrap: Tally | None = None
    held: Tally | None = None
    rework: Tally | None = None
    reports: int = 0
    completed: bool = False


class ComponentState(Entity):
    """A component of an order. `decided` is what backflushing has posted so far, in the item's unit."""

    item: str
    amount: Decimal
    unit: str
    location: str
    backflush: bool


class Terms(Entity):
    """What ERP said of an order before the position `until`, as far as it decides what a report means."""

    until: int
    location: str
    routing: tuple[tuple[str, bool], ...]
    components: tuple[ComponentState, ...]


class Order(Entity):
    """A production order: what ERP says of it, what the plant reported, and its lane."""

    order: str
    item: str
    amount: Decimal
    unit: str
    status: str
    location: str
    routing: tuple[tuple[str, bool], ...]
    components: tuple[ComponentState, ...]
    operations: dict[str, OperationState] = {}
    made: Tally = {}
    """Output that components went into: the yield and what is held. Backflushing is in proportion to it."""
    lane: Lane = msgspec.field(default_factory=Lane)
    waiting: int = 0
    """Facts of this order that wait for something unknown: completion comes after them."""
    completed: bool = False
    completion: bool = False
    last_fact: int = 0
    earlier: tuple[Terms, ...] = ()
    """Terms that earlier reports were applied by, oldest first."""
    centres: tuple[tuple[str, str], ...] = ()
    """Work centres: of the whole order under '', and of the operations that have one of their own."""

    def centre(self, operation: str) -> str:
        """Where an operation is done, or the order if that is not said."""
        known = dict(self.centres)
        return known.get(operation) or known.get("", "")

    def as_of(self, position: int) -> Order | Terms:
        """The terms that a fact applied at this position was applied by; those of now for 0."""
        if not position or not self.earlier:
            return self
        return next((terms for terms in self.earlier if position < terms.until), self)


class Item(Entity):
    """An item as its owner has it. `observed`: ERP's balances of it are known, so that issues can wait for stock."""

    item: str
    unit: str
    decimals: int
    alternatives: tuple[AlternativeUnit, ...]
    lot_controlled: bool
    description: str
    observed: bool = False


class Balance(Entity):
    """Stock at one place in both ledgers. `claimed`: booked out by postings on their way; `pending`: on its way in; all in ERP's unit
    except `reported`, which is as told. `queue`: postings that wait for stock here, with what they need."""

    reported: Tally = {}
    unit: str = ""
    booked: Decimal = Decimal(0)
    claimed: Decimal = Decimal(0)
    pending: Decimal = Decimal(0)
    queue: tuple[tuple[int, int, Decimal], ...] = ()
    feeders: tuple[str, ...] = ()
    """Lanes whose open gather will raise this balance."""
    opening: Decimal = Decimal(0)
    """What ERP's books held when they were first read."""
    outside: Decimal = Decimal(0)
    """What documents of others have moved since."""
    unbooked: Decimal = Decimal(0)
    """What was reported and shall not be booked by us: dismissed by a person, or recorded only by the plant's policy."""
    dismissed: tuple[tuple[int, int], ...] = ()
    """The newest postings that were dismissed here."""


class Lot(Entity):
    """A lot and the lots it was made from. Those made from it are the list `children:` + its name, since they may be many. `told` says of
    each parent how many facts tell of it; of those that an earlier program noted, the first ones, nobody knows."""

    item: str
    lot: str
    parents: tuple[str, ...] = ()
    last_fact: int = 0
    told: tuple[int, ...] = ()


class Said(Entity):
    """What the message of a fact said at first, where the fact was told anew since: a repeat of the message says it again."""

    told: bytes


class Pages(Entity):
    """A list of names kept in pages of their own: `first` is the oldest page, `last` the newest, `count` how many names are left.

    `since` is when the oldest that still counts was added; `late` is the position whose exception says that it is too old, 0 for none, and
    `ordinal` which of that position's; `gone` is how many of the names need nothing any more.
    """

    first: int = 0
    last: int = 0
    count: int = 0
    since: int = 0
    late: int = 0
    gone: int = 0
    ordinal: int = 0


class Names(Entity):
    """A short list of names, or one page of a long one."""

    names: list[str] = []


class Expected(Entity):
    """Names that something waits for and that only this list leads to: facts that a correction has named before they were told, as
    `source/id`; units of an item without a conversion."""

    names: dict[str, None] = {}


class Cause(Entity):
    """Exceptions of one category and subject. Their ids are the list `cause:` + its name, oldest first, with some that are closed
    already; `open` is how many are not.

    While `verb` says something, it is being done to all that were listed then, through the list's page `through`: "retry" or "dismiss".
    """

    open: int = 0
    verb: str = ""
    by: str = ""
    reason: str = ""
    through: int = -1


class Proposal(Entity):
    """A decision that a second person must approve: the event as JSON, and when it was proposed."""

    event: bytes
    at: int


class Location(Entity):
    """A known place."""

    description: str


class Periods(Entity):
    """ERP's posting periods: (first day, last day, open), ISO dates, the newest word last; and the days that postings wait for, each
    with a list `period:` + the day."""

    periods: list[tuple[str, str, bool]] = []
    waiting: dict[str, None] = {}


class Outside(Entity):
    """A document that others booked in ERP, as it moved the booked ledger, so that its cancellation can move it back."""

    kind: str
    order: str
    lines: bytes
    day: str = ""
    """ISO date, '' where ERP does not tell."""


class OutsideTotals(Entity):
    """What documents of others have booked for one order, by kind, item and unit (joined by the separator of keys), and their numbers."""

    sums: Tally = {}
    documents: tuple[str, ...] = ()


class SnapshotLine(Entity):
    """What one system said of one place, at a time in microseconds, by the message at `position`."""

    amount: Decimal
    unit: str
    as_of: int
    position: int


class SnapshotScope(Entity):
    """What one system spoke of as a whole: lines of it there that are older are gone."""

    as_of: int
    position: int


class Run(Entity):
    """One reconciliation that was kept: when, how many things were compared, how many differed beyond tolerance, how many of these anew."""

    position: int
    at: int
    compared: int
    beyond: int
    anew: int
    scheduled: bool


class Reconciliation(Entity):
    """The kept runs of one scope, oldest first, the differences that the last one found, in its order, and the exception about them."""

    runs: tuple[Run, ...] = ()
    found: tuple[str, ...] = ()
    exception: tuple[int, int] = (0, 0)


class Found(Entity):
    """A difference that stands: found first at `since` (microseconds), last by the run at `position`. `proposal` is JSON or empty;
    `decided` is the position at which it was approved, `stale` the one at which it was and did not fit any more."""

    since: int
    position: int
    sentence: str
    amount: Decimal
    unit: str
    proposal: bytes = b""
    decided: int = 0
    stale: int = 0
    by: str = ""


class Clock(Entity):
    """A partition's time, in microseconds, which never goes back, and what is due: buckets of 10 s with something in them."""

    now: int = 0
    due: list[int] = []
    horizon: int = 0
    """The longest horizon of any interface so far, in seconds; -1 keeps identities for ever."""
    resuming: list[str] = []
    """Lists whose names are worked off a step at a time, one step a tick."""
    observed: bool = False
    """ERP's stock has been read: an item that comes to be known from now on starts with none."""
    fold: int = 0
    """Which fold began this partition's state (see `plant.version`); 0 for one of before that was noted."""


class Totals(Entity):
    """Facts by fate, which sum to `facts`, and messages that are no facts; documents booked and exceptions open."""

    fates: dict[str, int] = {}
    others: int = 0
    facts: int = 0
    documents: int = 0
    exceptions: int = 0


class Decision(Entity):
    """Something activated: its kind and name are its key. `earlier` is what a policy was before, by the position of its activation."""

    digest: str
    content: str
    position: int
    earlier: list[tuple[int, str]] = []

    def as_of(self, position: int) -> str | None:
        """What decided at a position; None before the first activation."""
        known = [content for since, content in (*self.earlier, (self.position, self.content)) if since <= position]
        return known[-1] if known else None


KINDS: Final[dict[str, type[Entity]]] = {
    "order": Order,
    "lane": Lane,
    "item": Item,
    "stock": Balance,
    "lot": Lot,
    "lot.items": Names,
    "list": Pages,
    "list.page": Names,
    "location": Location,
    "periods": Periods,
    "outside": Outside,
    "outside.order": OutsideTotals,
    "snapshot.line": SnapshotLine,
    "snapshot.scope": SnapshotScope,
    "reconciliation": Reconciliation,
    "difference": Found,
    "clock": Clock,
    "agenda": Names,
    "totals": Totals,
    "expected": Expected,
    "cause": Cause,
    "source": Source,
    "said": Said,
    "proposal": Proposal,
    "decision": Decision,
}
"""Every kind of entity by the name it is stored under."""
