"""One plant's own books as a reconciliation reads them: in pages, so that memory holds what is open and not what ever was."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, TypeVar

import msgspec

from synchromesh.engine.reconcile import effects
from synchromesh.engine.reconcile.effects import Move
from synchromesh.model import tally
from synchromesh.model.event import CanonicalEvent
from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.unit import ItemUnits
from synchromesh.plant.entities import Clock, Decision, Entity, Item, Lane, Names, Order, Outside, Pages, SnapshotLine, SnapshotScope
from synchromesh.plant.keys import id_of
from synchromesh.plant.paged import page_key
from synchromesh.plant.policy import DEFAULT, Policy
from synchromesh.plant.postings import units_of
from synchromesh.plant.rows import ExceptionRow, FactRow, PostingId, PostingRow
from synchromesh.plant.stock import SEPARATOR
from synchromesh.plant.waiting import WAITING
from synchromesh.state.agreement import Reading

PAGE: Final = 500
"""How many entities are read at a time."""

EXCEPTIONS: Final = 1_000_000
"""The most open exceptions that are looked at."""

E = TypeVar("E", bound=Entity)
_posting: Final = msgspec.json.Decoder(Posting).decode
_policy: Final = msgspec.json.Decoder(Policy).decode
_lines: Final = msgspec.json.Decoder(tuple[Line, ...]).decode
_told: Final = msgspec.json.Decoder(tuple[CanonicalEvent, ...]).decode


class OwnBooks:
    """The committed state of one plant. Every answer is of the moment it was asked at."""

    def __init__(self, reading: Reading, plant: str) -> None:
        self.reading = reading
        self.plant = plant
        self._items: dict[str, Item | None] = {}

    # --- entities -----------------------------------------------------------------------------------------------------

    def each(self, type_: type[E], kind: str, after: str = "") -> Iterator[tuple[str, E]]:
        """All entities of a kind whose names come after `after`, in the order of their names."""
        decode = msgspec.msgpack.Decoder(type_).decode
        while page := self.reading.entities_of(self.plant, kind, after, PAGE):
            for name, value in page:
                yield name, decode(value)
            after = page[-1][0]

    def one(self, type_: type[E], kind: str, name: str) -> E | None:
        value = self.reading.entities(self.plant, [(kind, name)]).get((kind, name))
        return None if value is None else msgspec.msgpack.decode(value, type=type_)

    def some(self, type_: type[E], kind: str, names: list[str]) -> dict[str, E]:
        """Those of the named that there are."""
        found = self.reading.entities(self.plant, [(kind, name) for name in names])
        decode = msgspec.msgpack.Decoder(type_).decode
        return {name: decode(value) for (_, name), value in found.items()}

    def has(self, kind: str, name: str) -> bool:
        return bool(self.reading.entities(self.plant, [(kind, name)]))

    def policy(self) -> Policy:
        known = self.one(Decision, "decision", "policy/" + self.plant)
        return DEFAULT if known is None else _policy(known.content)

    def item(self, name: str) -> Item | None:
        if name not in self._items:
            if len(self._items) > 10 * PAGE:
                self._items.clear()
            self._items[name] = self.one(Item, "item", name)
        return self._items[name]

    def units(self, name: str) -> ItemUnits | None:
        item = self.item(name)
        return None if item is None else units_of(item)

    # --- lanes and what stands in them ----------------------------------------------------------------------------------

    def lanes(self) -> Iterator[tuple[str, Lane, Order | None]]:
        """Every lane by name, with its order where it is one's."""
        for name, order in self.each(Order, "order"):
            yield "order:" + name, order.lane, order
        for name, lane in self.each(Lane, "lane"):
            yield name, lane, None

    def undecided(self, lane: Lane) -> Iterator[tuple[str, Fraction]]:
        """What a lane has reported and not decided, in ERP's unit, by the key of its sum."""
        for key, total in lane.sums.items():
            if len(total.reported) == 1 and total.reported.get(total.unit) == total.decided:
                continue
            units = self.units(key.split(SEPARATOR)[1])
            left = tally.total(total.reported, total.unit, units) - Fraction(total.decided)
            if left:
                yield key, left

    def posting(self, id_: PostingId) -> PostingRow | None:
        return self.reading.posting(self.plant, id_)

    def content(self, row: PostingRow) -> Posting:
        return _posting(row.content)

    def moves(self, row: PostingRow) -> list[Move]:
        """What a posting moves when it is booked."""
        content = _posting(row.content)
        return effects.of_posting(content, self.original(content))

    def original(self, content: Posting) -> Posting | None:
        """What a reversal undoes."""
        if content.kind is not PostingKind.REVERSAL:
            return None
        row = self.posting(id_of(content.reverses))
        return None if row is None else _posting(row.content)

    def chain(self, last: PostingId) -> Iterator[PostingRow]:
        """The postings of a lane, from this one back to its first."""
        while last[0]:
            row = self.posting(last)
            if row is None:
                return
            yield row
            last = row.previous

    # --- exceptions, and facts that are not in the ledgers ---------------------------------------------------------------

    def exceptions(self) -> Iterator[ExceptionRow]:
        """Every open one of this plant."""
        return (row for plant, row in self.reading.exceptions("open", EXCEPTIONS) if plant == self.plant)

    def waiting(self) -> Iterator[FactRow]:
        """Every fact that waits for something."""
        for name, pages in self.each(Pages, "list", WAITING):
            if not name.startswith(WAITING):
                return
            for number in range(pages.first, pages.last + 1):
                page = self.one(Names, "list.page", page_key(name, number))
                for text in page.names if page is not None else ():
                    row = self.reading.fact(self.plant, int(text))
                    if row is not None and row.fate == "waiting" and row.reference == name.removeprefix(WAITING):
                        yield row

    def facts_back(self, until: int) -> Iterator[FactRow]:
        """Facts from the newest back to the last one that was received at `until` or later."""
        position = self.reading.positions().get(self.plant, 0) + 1
        while page := self.reading.facts_before(self.plant, position, PAGE):
            for row in page:
                if row.received < until:
                    return
                yield row
            position = page[-1].position

    # --- documents of others, snapshots, time -----------------------------------------------------------------------------

    def outside(self) -> Iterator[str]:
        """The number of every document of others that stands."""
        return (name for name, _ in self.each(Outside, "outside"))

    def outside_document(self, number: str) -> tuple[str, tuple[Line, ...]] | None:
        """The kind and the lines of a document of others; None when it is not one, or not any more."""
        known = self.one(Outside, "outside", number)
        return None if known is None else self.lines_of(known)

    def lines_of(self, document: Outside) -> tuple[str, tuple[Line, ...]]:
        """The kind and the lines of a document of others."""
        return document.kind, _lines(document.lines)

    def now(self) -> int:
        """The plant's time, in microseconds."""
        clock = self.one(Clock, "clock", "")
        return clock.now if clock is not None else 0

    def oldest_snapshot(self, stale: int) -> int:
        """The oldest moment of any snapshot's line or scope that is not older than `stale`; 0 for none."""
        since = self.now() - stale
        moments = [scope.as_of for _, scope in self.each(SnapshotScope, "snapshot.scope")]
        oldest = min((moment for moment in moments if moment >= since), default=0)
        for _, line in self.each(SnapshotLine, "snapshot.line"):
            if line.as_of >= since and (not oldest or line.as_of < oldest):
                oldest = line.as_of
        return oldest


def told(row: FactRow) -> tuple[CanonicalEvent, ...]:
    """What a fact says; nothing where it could not be understood."""
    try:
        return _told(row.told)
    except (msgspec.MsgspecError, ValueError):
        return ()
