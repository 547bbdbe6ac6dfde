"""Why something waits: from a fact, an order, a lot, a posting or a message down to the thing that somebody must fix.

The answer is a tree of sentences. Its leaves are roots (an exception with its remedy, something unknown, a closed period, an approval, a
business system that does not answer) or things that wait for nothing any more. A node is told once: where it comes up again it is only
named, so no circle can arise, and a tree has an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from synchromesh.engine.inflows import Inflows, moved_by
from synchromesh.engine.views import SystemView
from synchromesh.model.posting import Refusal
from synchromesh.plant import periods, stock, waiting
from synchromesh.plant.corrections import CANCELLED, CORRECTED
from synchromesh.plant.entities import KINDS, Balance, Clock, Entity, Lane, Lot, Names, Order, Pages
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of, plant_of
from synchromesh.plant.lanes import HOLDS, open_in
from synchromesh.plant.paged import page_key
from synchromesh.plant.rows import FactRow, PostingId, PostingRow
from synchromesh.state.agreement import Reading

NODES: Final = 300
"""The most that one answer tells."""

BESIDE: Final = 20
"""The most that is told of many of a kind: the facts of a lot, the postings of an order."""

DEPTH: Final = 40
"""How far down causes are followed."""

DIGITS: Final = 16
"""More than any position has."""

_decoders: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in KINDS.items()}
_refusal: Final = msgspec.json.Decoder(Refusal).decode
_STUCK: Final = frozenset({"rejected", "in doubt", "reversed outside"})
_SETTLED: Final = frozenset({"posted", "withdrawn", "reversed"})


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing and what it waits for. `name` finds it again: a posting's key, `plant:position` of a fact, an order. `root` says that this
    is what is to be fixed, and `remedy` how; `again` that it is told elsewhere in the tree."""

    kind: str
    name: str
    sentence: str
    remedy: str = ""
    root: bool = False
    again: bool = False
    because: tuple[Node, ...] = ()


_Below = Callable[[], Iterable[Node]]
"""What tells the causes of a node, when it is their turn."""


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: a tree for each thing that was found under the name, and the roots of all of them, each once. `more` is true when
    there was more than an answer tells."""

    query: str
    trees: tuple[Node, ...] = ()
    roots: tuple[Node, ...] = ()
    more: bool = False


class Asking:
    """Asks one store. `systems` tells which business systems answer."""

    def __init__(self, plants: Sequence[str], reading: Reading, systems: Callable[[], Iterable[SystemView]]) -> None:
        self._plants = tuple(plants)
        self._reading = reading
        self._systems = systems

    def why(self, query: str) -> Why:
        """Why this waits; without trees when nothing is known under the name."""
        silent = frozenset(system.name for system in self._systems() if not system.reachable)
        trees: list[Node] = []
        more = False
        for plant in self._plants:
            tree = _Tree(self._reading, plant, silent)
            trees += tree.of(query)
            more = more or tree.cut
        roots: dict[tuple[str, str], Node] = {}
        for node in trees:
            for root in _roots(node):
                roots.setdefault((root.kind, root.name), root)
        return Why(query, tuple(trees), tuple(roots.values()), more)


def _roots(node: Node) -> Iterator[Node]:
    if node.root:
        yield node
    for each in node.because:
        yield from _roots(each)


class _Tree:
    """One plant, and what of it was told already."""

    def __init__(self, reading: Reading, plant: str, silent: frozenset[str]) -> None:
        self._reading = reading
        self._plant = plant
        self._silent = silent
        self._inflows = Inflows(reading, plant)
        self._told: set[tuple[str, str]] = set()
        self._depth = 0
        self._left = NODES
        self.cut = False

    # --- finding --------------------------------------------------------------------------------------------------------

    def of(self, query: str) -> Iterator[Node]:
        """A node for each thing of this name."""
        posting = self._posting_of(query)
        if posting is not None:
            yield self._posting(posting)
        plant, _, position = query.rpartition(":")
        if plant == self._plant and position.isascii() and position.isdigit() and len(position) < DIGITS:
            yield from self._facts([int(position)])
        order = self._entity("order", query)
        if isinstance(order, Order) or self._listed(f"order {query}"):
            yield self._order(query)
        yield from self._lots(query)
        yield from self._facts([position for plant, position in self._reading.find_identity(query) if plant == self._plant])
        yield from (self._posting(row) for plant, row in self._reading.document(query) if plant == self._plant)

    def _posting_of(self, key: str) -> PostingRow | None:
        try:
            id_ = id_of(key)
        except ValueError:
            return None
        known = plant_of(key) == self._plant and 0 < id_[0] < 10**DIGITS
        row = self._reading.posting(self._plant, id_) if known else None
        return row if row is not None and row.key == key else None

    def _lots(self, name: str) -> Iterator[Node]:
        items = self._entity("lot.items", name)
        for key in [f"{item}/{name}" for item in items.names] if isinstance(items, Names) else [name]:
            lot = self._entity("lot", key)
            if isinstance(lot, Lot):
                yield self._lot(key, lot)

    # --- telling --------------------------------------------------------------------------------------------------------

    def _node(self, kind: str, name: str, sentence: str, because: _Below = tuple, remedy: str = "", root: bool = False) -> Node:
        """A node; told once, and not beyond the bounds."""
        if (kind, name) in self._told:
            return Node(kind, name, sentence, remedy, root, again=True)
        self._told.add((kind, name))
        self._left -= 1
        if self._left <= 0 or self._depth >= DEPTH:
            self.cut = True
            return Node(kind, name, sentence, remedy, root)
        self._depth += 1
        try:
            below = []
            for each in because():
                if self._left <= 0:
                    self.cut = True
                    break
                below.append(each)
        finally:
            self._depth -= 1
        return Node(kind, name, sentence, remedy, root, because=tuple(below))

    def _some(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """The first of many."""
        for count, node in enumerate(nodes):
            if count >= BESIDE:
                self.cut = True
                return
            yield node

    # --- facts -----------------------------------------------------------------------------------------------------------

    def _facts(self, positions: Iterable[int]) -> Iterator[Node]:
        for position in positions:
            row = self._reading.fact(self._plant, position)
            if row is not None:
                yield self._fact(row)

    def _fact(self, row: FactRow) -> Node:
        name = f"{self._plant}:{row.position}"
        what = f"Fact {row.position} ({row.type or 'not understood'}, {row.source}/{row.id})"
        match row.fate:
            case Fate.WAITING:
                return self._node("fact", name, f"{what} waits for {row.reference}.", lambda: self._thing(row.reference))
            case Fate.EXCEPTION:
                return self._node("fact", name, f"{what} is an exception.", lambda: self._exception(row.position, 0))
            case Fate.DUPLICATE:
                return self._node("fact", name, f"{what} was told before.", lambda: self._facts([int(row.reference)]))
            case Fate.DISMISSED:
                return self._node("fact", name, f"{what} was dismissed ({row.reference}).")
            case _:
                return self._node("fact", name, f"{what} {self._standing(row)}", lambda: self._booked(row))

    def _standing(self, row: FactRow) -> str:
        unsettled = [posting for posting in self._group(row) if posting.state not in _SETTLED]
        if unsettled:
            return f"is booked by {len(unsettled)} posting{'s' if len(unsettled) != 1 else ''} still on the way."
        gather = self._gather_of(row)
        if gather is not None:
            return f"is gathered with {gather - 1} more of order {row.order}, and that is not closed yet."
        if row.reference.startswith((CORRECTED, CANCELLED)):
            return f"was {row.reference}."
        documents = sorted({posting.document for posting in self._group(row) if posting.document})
        if documents:
            return f"is booked as {', '.join(documents)}."
        return f"waits for nothing: {row.reference or 'nothing was left to book'}."

    def _booked(self, row: FactRow) -> Iterator[Node]:
        """What stands between a fact and the books."""
        for posting in self._group(row):
            if posting.state not in _SETTLED:
                yield self._posting(posting)
        if self._gather_of(row) is not None:
            yield self._gather(row.order)
        if row.reference.startswith((CORRECTED, CANCELLED)):
            yield from self._facts([int(row.reference.rpartition(" ")[2])])

    def _group(self, row: FactRow) -> list[PostingRow]:
        """The postings that book a fact, and those sent in their place."""
        found: dict[str, PostingRow] = {}
        for posting in self._reading.postings_of(self._plant, row.group) if row.group else ():
            each: PostingRow | None = posting
            while each is not None and each.key not in found:
                found[each.key] = each
                each = self._reading.posting(self._plant, id_of(each.successor)) if each.successor else None
        return list(found.values())

    def _gather_of(self, row: FactRow) -> int | None:
        """How many facts the open gather has that this fact is in."""
        order = self._entity("order", row.order) if row.order else None
        gather = order.lane.gather if isinstance(order, Order) else None
        return gather.facts if gather is not None and row.group and gather.position == row.group else None

    def _gather(self, order: str) -> Node:
        return self._node(
            "gather", order, f"The facts of order {order} are gathered until their gather closes.",
            remedy="It closes as the plant's policy says: by an event, a quantity, a silence, or when somebody waits for what it holds.",
            root=True,
        )  # fmt: skip

    # --- names that are waited for ------------------------------------------------------------------------------------------

    def _thing(self, name: str) -> Iterator[Node]:
        """Something that facts wait for by name."""
        if waiting.WAITING + name in self._resuming():
            yield self._node("name", name, f"{name[:1].upper()}{name[1:]} has come; what waited for it is being worked off.")
        elif name.startswith(waiting.REST):
            yield from self._some(self._open_facts(name.removeprefix(waiting.REST).partition(" ")[2]))
        else:
            source, _, id_ = name.removeprefix("fact ").partition("/")
            told = self._reading.identity(self._plant, source, id_) if name.startswith("fact ") else None
            if told is not None:
                yield from self._facts([told])
                return
            pages = self._listed(name)
            late = self._exception(pages.late, pages.ordinal) if pages is not None and pages.late else ()
            yield self._node("name", name, f"{name[:1].upper()}{name[1:]} is not known yet.", lambda: late, _remedy_of(name), root=True)

    def _open_facts(self, order: str) -> Iterator[Node]:
        """Facts of an order that still wait: what its end comes after."""
        known = self._entity("order", order)
        position = known.last_fact if isinstance(known, Order) else 0
        while position:
            row = self._reading.fact(self._plant, position)
            if row is None:
                break
            if row.fate == Fate.WAITING and not row.reference.startswith(waiting.REST):
                yield self._fact(row)
            position = row.previous
        yield from self._waiting_facts(f"order {order}")

    def _waiting_facts(self, name: str) -> Iterator[Node]:
        pages = self._listed(name)
        for number in range(pages.first, pages.last + 1) if pages is not None else ():
            page = self._entity("list.page", page_key(waiting.WAITING + name, number))
            yield from self._facts(int(text) for text in (page.names if isinstance(page, Names) else ()))

    def _listed(self, name: str) -> Pages | None:
        pages = self._entity("list", waiting.WAITING + name)
        return pages if isinstance(pages, Pages) else None

    def _resuming(self) -> list[str]:
        clock = self._entity("clock", "")
        return clock.resuming if isinstance(clock, Clock) else []

    # --- orders and lots -----------------------------------------------------------------------------------------------------

    def _order(self, name: str) -> Node:
        order = self._entity("order", name)
        if not isinstance(order, Order):
            return self._node("order", name, f"Order {name} is not known yet.", lambda: self._thing(f"order {name}"))
        queue = open_in(order.lane, self._row)
        if not queue and not order.waiting and order.lane.gather is None:
            return self._node("order", name, f"Order {name} ({order.status}) waits for nothing.")
        parts = [f"{len(queue)} posting{'s' if len(queue) != 1 else ''} on the way"] if queue else []
        parts += [f"{order.waiting} fact{'s' if order.waiting != 1 else ''} waiting"] if order.waiting else []
        parts += ["an open gather"] if order.lane.gather is not None else []
        return self._node("order", name, f"Order {name} ({order.status}) has {', '.join(parts)}.", lambda: self._of_order(name, order))

    def _of_order(self, name: str, order: Order) -> Iterator[Node]:
        yield from self._some(self._postings(open_in(order.lane, self._row)))
        if order.waiting:
            yield from self._some(self._open_facts(name))
        if order.lane.gather is not None:
            yield self._gather(name)

    def _lot(self, key: str, lot: Lot) -> Node:
        return self._node(
            "lot", key, f"Lot {lot.lot} of item {lot.item}: what was told of it and waits.", lambda: self._some(self._of_lot(lot))
        )

    def _of_lot(self, lot: Lot) -> Iterator[Node]:
        """The facts of a lot that are not at their end, newest first."""
        position, looked = lot.last_fact, 0
        while position and looked < NODES:
            row = self._reading.fact(self._plant, position)
            if row is None:
                return
            if (
                row.fate in (Fate.WAITING, Fate.EXCEPTION)
                or self._gather_of(row)
                or any(posting.state not in _SETTLED for posting in self._group(row))
            ):
                yield self._fact(row)
            position, looked = row.previous_of_lot, looked + 1

    # --- postings --------------------------------------------------------------------------------------------------------------

    def _row(self, id_: PostingId) -> PostingRow | None:
        return self._reading.posting(self._plant, id_)

    def _postings(self, ids: Iterable[PostingId]) -> Iterator[Node]:
        for id_ in ids:
            row = self._row(id_)
            if row is not None:
                yield self._posting(row)

    def _posting(self, row: PostingRow) -> Node:
        what = f"The {row.kind} {row.key}" + (f" of order {row.order}" if row.order else "")
        if row.successor and row.state in _SETTLED:
            return self._node("posting", row.key, f"{what} was given up for another one.", lambda: self._postings([id_of(row.successor)]))
        if row.state in _SETTLED:
            booked = f"is booked as {row.document}" if row.state == "posted" else f"is {row.state}"
            return self._node("posting", row.key, f"{what} {booked}.")
        if row.state in _STUCK:
            return self._node("posting", row.key, f"{what} is {row.state}.", lambda: self._exception(row.position, row.ordinal))
        if row.state == "parked":
            remedy = f"Approve or reject it in {row.target}."
            return self._node("posting", row.key, f"{what} waits for an approval in {row.target}.", remedy=remedy, root=True)
        if row.state == "ready":
            return self._node("posting", row.key, f"{what} is on its way to {row.target}.", lambda: self._system(row.target))
        return self._node("posting", row.key, f"{what} waits.", lambda: self._waits(row))

    def _system(self, target: str) -> Iterator[Node]:
        if target in self._silent:
            yield self._node(
                "system", target, f"{target} does not answer.", root=True,
                remedy=f"Get {target} to answer, and its connection; everything is sent by itself then.",
            )  # fmt: skip

    def _exception(self, position: int, ordinal: int) -> Iterator[Node]:
        known = self._reading.exception(self._plant, (position, ordinal))
        if known is not None and known.state == "open":
            name = f"{self._plant}:{position}.{ordinal}"
            sentence = f"{known.category}: {known.sentence}"
            yield self._node("exception", name, sentence, remedy=known.remedy, root=True)

    def _waits(self, row: PostingRow) -> Iterator[Node]:
        """What a posting waits for: things by name, and what stands before it in its lane."""
        for hold in filter(None, row.waits_for.split(HOLDS)):
            yield from self._hold(row, hold)
        queue = open_in(self._lane(row), self._row)
        id_ = (row.position, row.ordinal)
        before = queue[: queue.index(id_)] if id_ in queue else ()
        if before:
            yield self._before(row, before)

    def _before(self, row: PostingRow, before: Sequence[PostingId]) -> Node:
        """What stands before a posting in its lane: the head is on its way or stuck, and others may wait for something themselves."""
        count = f"{len(before)} posting{'s' if len(before) != 1 else ''}"
        sentence = f"{count} of {_lane_in_words(row.lane)} must be booked before it."

        def those() -> Iterator[Node]:
            for index, id_ in enumerate(before):
                other = self._reading.posting(self._plant, id_)
                if other is not None and (index == 0 or other.waits_for or other.state in _STUCK):
                    yield self._posting(other)

        return self._node("lane", f"{row.lane} before {row.key}", sentence, lambda: self._some(those()))

    def _lane(self, row: PostingRow) -> Lane:
        order = self._entity("order", row.order) if row.lane.startswith("order:") else None
        lane = order.lane if isinstance(order, Order) else self._entity("lane", row.lane)
        return lane if isinstance(lane, Lane) else Lane()

    def _hold(self, row: PostingRow, hold: str) -> Iterator[Node]:
        place = next(
            (each for each, amount, _ in moved_by(self._reading, self._plant, row) if amount < 0 and stock.hold(each) == hold), None
        )
        if place is not None:
            yield self._stock(place, row)
            return
        day = hold.removeprefix("the period of ").removesuffix(" to open")
        if hold == periods.hold(day):
            sentence, remedy = f"The posting period of {day} is closed.", "Open the period in ERP; what waits goes on by itself."
            yield self._node("period", day, sentence, remedy=remedy, root=True)
        else:
            yield self._node("name", hold, f"It waits for {hold}.", root=True)

    def _stock(self, place: str, row: PostingRow) -> Node:
        balance = self._entity("stock", place)
        known = balance if isinstance(balance, Balance) else Balance()
        sentence = (
            f"Stock of {stock.named(place)} does not cover it: {known.booked:f} {known.unit} booked, {known.claimed:f} claimed, "
            f"{known.pending:f} on the way."
        )
        # Where nothing is on the way in, nobody is looked for: no index leads from a place to the postings that bring something there.
        found = self._inflows.to(place) if known.pending else []
        coming = [each for each in found if (each.position, each.ordinal) != (row.position, row.ordinal)]
        unseen = bool(known.pending) and not self._inflows.complete
        self.cut = self.cut or unseen
        nothing = not coming and not known.feeders and not unseen
        remedy = (
            "Nothing on its way brings it: report the receipt, or book the stock in ERP. After a while it is sent anyway."
            if nothing
            else ""
        )
        return self._node("stock", stock.named(place), sentence, lambda: self._bringing(coming, known), remedy, root=nothing)

    def _bringing(self, coming: Sequence[PostingRow], balance: Balance) -> Iterator[Node]:
        yield from self._some(self._posting(each) for each in coming)
        for lane in balance.feeders:
            if lane.startswith("order:"):
                yield self._gather(lane[6:])

    def _entity(self, kind: str, name: str) -> Entity | None:
        value = self._reading.entities(self._plant, [(kind, name)]).get((kind, name))
        return None if value is None else _decoders[kind].decode(value)


def _remedy_of(name: str) -> str:
    if name.startswith("release of "):
        return f"Release {name.removeprefix('release of ')} in its system of record; what waits goes on by itself."
    if name.startswith("fact "):
        return "Send the fact that is named, or dismiss what waits for it."
    return f"Create {name} in its system of record, or correct the reports; what waits goes on by itself."


def _lane_in_words(lane: str) -> str:
    kind, _, name = lane.partition(":")
    return f"{kind} {name}"
