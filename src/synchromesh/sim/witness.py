"""Gathers the evidence of a night: rows as they are stored, put into the auditor's plain records, beside ERP's books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from synchromesh.log.agreement import Log
from synchromesh.model.event import (
    Activated,
    DecisionApproved,
    DocumentBooked,
    FactCorrected,
    FactReplayed,
    MaterialConsumed,
    OrderChanged,
    PeriodChanged,
    PlantEvent,
)
from synchromesh.model.message import ENTERPRISE, NATIVE, OWN, Message, Record
from synchromesh.model.posting import Posting, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant import stock
from synchromesh.plant.entities import Balance, Clock, Lot, Names, Order, Pages, Totals
from synchromesh.plant.rows import ExceptionRow, FactRow, PostingRow
from synchromesh.sim.evidence import NOBODY, Amounts, Books, Decided, Edge, Evidence, Fated, Opened, People, Received, Rule, Term, Word
from synchromesh.sim.repairs import REPLAY
from synchromesh.sim.slips import INTERFACE
from synchromesh.sim.told import SOURCES
from synchromesh.sim.truth import Place
from synchromesh.state.agreement import Reading

_posting: Final = msgspec.json.Decoder(Posting).decode
_order: Final = msgspec.msgpack.Decoder(Order).decode
_balance: Final = msgspec.msgpack.Decoder(Balance).decode
_lot: Final = msgspec.msgpack.Decoder(Lot).decode
_names: Final = msgspec.msgpack.Decoder(Names).decode
_pages: Final = msgspec.msgpack.Decoder(Pages).decode
_event: Final[msgspec.json.Decoder[PlantEvent]] = msgspec.json.Decoder(PlantEvent)
_period: Final = msgspec.json.Decoder(PeriodChanged)
_clock: Final = msgspec.msgpack.Decoder(Clock).decode
_ordered: Final = msgspec.json.Decoder(OrderChanged)
_activated: Final = msgspec.json.Decoder(Activated)
_totals: Final = msgspec.msgpack.Decoder(Totals).decode
NOTHING: Final[Mapping[str, int]] = {}
_EVERYTHING: Final = 1_000_000


class Readable(Protocol):
    """A store that can be asked."""

    def reading(self) -> Reading: ...


class Witness:
    """Reads what log and state hold after a night, for these plants, and puts ERP's books beside it."""

    def __init__(self, store: Readable, log: Log, books: Books, plants: Sequence[str]) -> None:
        self._reading = store.reading()
        self._log = log
        self._books = books
        self._plants = plants
        self._heads = {plant: head for plant, head in log.head().items() if plant in plants}

    def evidence(
        self, acknowledged: Sequence[Message], refused: Set[str], people: People = NOBODY, turned_away: Mapping[str, int] = NOTHING
    ) -> Evidence:
        """What the auditor is shown. The rest of the arguments only people and plants can know."""
        postings = {
            plant: [row for at in range(1, head + 1) for row in self._reading.postings_of(plant, at)] for plant, head in self._heads.items()
        }
        rows = [(plant, row) for plant in postings for row in postings[plant]]
        by_key = {plant: {row.key: row for row in postings[plant]} for plant in postings}
        facts = [(plant, fact) for plant in self._plants for fact in self._facts(plant)]
        made_from, went_into = self._genealogy()
        return Evidence(
            acknowledged,
            list(self._received()),
            self._books.documents,
            _decided(rows),
            [_fated(plant, fact, by_key.get(plant, {}), self._gathers(plant, facts)) for plant, fact in facts],
            [_opened(plant, row) for plant, row in self._reading.exceptions("open", _EVERYTHING) if plant in self._plants],
            self._books.balances,
            refused,
            people,
            self._counted(),
            [word for plant in self._plants for record in self._records(plant) for word in _words(record)],
            turned_away,
            terms=[term for plant in self._plants for record in self._records(plant) for term in _terms(record)],
            rules=[rule for plant in self._plants for record in self._records(plant) for rule in _rules(record)],
            made_from=made_from,
            went_into=went_into,
            read_again=[one for plant in self._plants for one in _read_again(self._records(plant))],
            mended={plant: position for plant in self._plants if (position := self._mended(plant))},
            known_outside={
                number: (plant, record.position)
                for plant in self._plants
                for record in self._records(plant)
                for number in _booked_outside(record)
            },
        )

    def _received(self) -> Iterator[Received]:
        for plant in self._plants:
            for record in self._records(plant):
                message = record.message
                told = message.interface == NATIVE and (message.occurred is not None or message.source in SOURCES)
                if told or message.interface == INTERFACE:
                    yield Received(plant, record.position, message.source, message.id, bytes(message.body), message.interface)

    def _mended(self, plant: str) -> int:
        """Where the log says, for the last time, how a system's own words are read; 0 where it says so once or never."""
        said = [record.position for record in self._records(plant) for each in _activations(record) if each.kind == "adapter"]
        return said[-1] if len(said) > 1 else 0

    def _gathers(self, plant: str, facts: Sequence[tuple[str, FactRow]]) -> set[int]:
        """The positions at which gathers were opened that are still open."""
        names = {fact.order for at, fact in facts if at == plant and fact.order}
        found = self._reading.entities(plant, [("order", name) for name in sorted(names)])
        orders = [_order(body) for body in found.values()]
        return {order.lane.gather.position for order in orders if order.lane.gather is not None}

    def _records(self, plant: str) -> Iterator[Record]:
        """The whole log of a plant; a log may give less at a time than was asked for."""
        position = 0
        while records := self._log.read({plant: position}, _EVERYTHING).get(plant):
            yield from records
            position = records[-1].position

    def _facts(self, plant: str) -> Iterator[FactRow]:
        for position in range(1, self._heads.get(plant, 0) + 1):
            fact = self._reading.fact(plant, position)
            if fact is not None:
                yield fact

    def _postings(self, plant: str) -> Iterator[PostingRow]:
        for position in range(1, self._heads.get(plant, 0) + 1):
            yield from self._reading.postings_of(plant, position)

    def at_rest(self, evidence: Evidence, orders: Iterable[str]) -> Evidence:
        """The same evidence of plants in which nothing is due any more, with what they keep for themselves."""
        balances, names = self._stock(evidence), list(orders)
        return msgspec.structs.replace(
            evidence,
            at_rest=True,
            ledger={where: balance.booked for where, balance in balances.items() if balance.booked},
            reported={where: balance.reported for where, balance in balances.items()},
            unfinished=set(self._unfinished()),
            promised={where for where, balance in balances.items() if balance.claimed or balance.pending or balance.queue},
            made=dict(self._made(names)),
            chains=self._chains(names),
        )

    def _made(self, orders: Sequence[str]) -> Iterator[tuple[tuple[str, str, str], Sequence[Amounts]]]:
        for plant in self._plants:
            for (_, name), body in self._reading.entities(plant, [("order", order) for order in orders]).items():
                for operation, state in _order(body).operations.items():
                    yield (plant, name, operation), (state.good, state.scrap or {}, state.held or {}, state.rework or {})

    def _unfinished(self) -> Iterator[tuple[str, str]]:
        """Lists that are being worked off."""
        for plant in self._plants:
            for body in self._reading.entities(plant, [("clock", "")]).values():
                yield from ((plant, name) for name in _clock(body).resuming)

    def _stock(self, evidence: Evidence) -> dict[tuple[str, Place], Balance]:
        places = set(evidence.balances)
        for posting in evidence.postings:
            for line in posting.lines:
                places |= {
                    Place(line.item, line.location, line.lot, line.status),
                    Place(line.item, line.to_location, line.lot, line.to_status),
                }
        keys = {("stock", stock.place(*place)): place for place in places}
        return {(plant, keys[key]): _balance(body) for plant in self._plants for key, body in self._reading.entities(plant, keys).items()}

    def _chains(self, orders: Sequence[str]) -> dict[tuple[str, str], list[int]]:
        chains = {}
        for plant in self._plants:
            for (_, name), body in self._reading.entities(plant, [("order", order) for order in orders]).items():
                at, chain = _order(body).last_fact, list[int]()
                while at and len(chain) <= self._heads[plant]:
                    chain.append(at)
                    fact = self._reading.fact(plant, at)
                    at = fact.previous if fact is not None else 0
                chains[plant, name] = chain
        return chains

    def _genealogy(self) -> tuple[set[Edge], set[Edge]]:
        """The edges of all lots that the log speaks of: by what each was made from, and by what it went into."""
        made_from, went_into = set[Edge](), set[Edge]()
        for plant in self._plants:
            names = sorted(self._lots(plant))
            for (_, name), body in self._reading.entities(plant, [("lot", name) for name in names]).items():
                made_from |= {Edge(plant, parent, name) for parent in _lot(body).parents}
            for name in names:
                went_into |= {Edge(plant, name, child) for child in self._list(plant, f"children:{name}")}
        return made_from, went_into

    def _lots(self, plant: str) -> set[str]:
        """The names of all lots in a plant's log, as `item/lot`."""
        said = [event for record in self._records(plant) for event in _said(record.message)]
        orders = {("order", str(getattr(event, "order", ""))) for event in said}
        items = {name: _order(body).item for (_, name), body in self._reading.entities(plant, sorted(orders)).items()}
        names: set[str] = set()
        for event in said:
            made = items.get(getattr(event, "order", ""), "")
            item = getattr(event, "item", "") or made
            names |= {
                f"{item}/{getattr(event, 'lot', '')}",
                f"{made}/{getattr(event, 'into_lot', '')}",
                *getattr(event, "consumed_lots", ()),
            }
        return names

    def _list(self, plant: str, name: str) -> list[str]:
        """A long list of names that is kept in pages."""
        header = self._reading.entities(plant, [("list", name)]).get(("list", name))
        if header is None:
            return []
        known = _pages(header)
        keys = [("list.page", f"{name}/{number}") for number in range(known.first, known.last + 1)]
        pages = self._reading.entities(plant, keys)
        return [each for key in keys if key in pages for each in _names(pages[key]).names]

    def _counted(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for plant in self._plants:
            found = self._reading.entities(plant, [("totals", "")])
            for body in found.values():
                counts.update(_totals(body).fates)
        return dict(counts)


def _words(record: Record) -> Iterator[Word]:
    """What a record of a plant's log says of a period, as it was handed on from ERP."""
    message = record.message
    if message.source == ENTERPRISE and message.interface == NATIVE and b"master.period.changed" in bytes(message.body):
        period = _period.decode(bytes(message.body))
        yield Word(message.partition, record.position, period.first, period.last, period.open)


def _terms(record: Record) -> Iterator[Term]:
    """What a record of a plant's log says of an order."""
    message = record.message
    if message.interface == NATIVE and b'"order.changed"' in bytes(message.body):
        yield Term(message.partition, record.position, _ordered.decode(bytes(message.body)))


def _rules(record: Record) -> Iterator[Rule]:
    """The policy that a record of a plant's log activates."""
    for activated in _activations(record):
        if activated.kind == "policy":
            policy = msgspec.json.decode(activated.content)
            yield Rule(record.message.partition, record.position, policy.get("confirmations", False), policy.get("yield_operation", ""))


def _activations(record: Record) -> Iterator[Activated]:
    message = record.message
    if message.interface == OWN and b'"synchromesh.activated"' in bytes(message.body):
        yield _activated.decode(bytes(message.body))


def _read_again(records: Iterable[Record]) -> Iterator[Received]:
    """People's decisions that a message is read again, where they stand; an approval of one is one too."""
    about: dict[int, int] = {}
    for record in records:
        message, body = record.message, bytes(record.message.body)
        if message.interface == OWN and b'"decision.replayed"' in body:
            about[record.position] = msgspec.json.decode(body, type=FactReplayed).position
        elif message.interface == OWN and b'"decision.approved"' in body:
            approved = msgspec.json.decode(body, type=DecisionApproved).position
            if approved in about:
                about[record.position] = about[approved]
        if record.position in about:
            yield Received(message.partition, record.position, REPLAY, str(record.position), body, OWN, about[record.position])


def _booked_outside(record: Record) -> Iterator[str]:
    """The number of a document that others booked in ERP, as a plant is told of it."""
    message = record.message
    if message.interface == NATIVE and b'"erp.document.booked"' in bytes(message.body):
        yield msgspec.json.decode(bytes(message.body), type=DocumentBooked).document


def _said(message: Message) -> Iterator[PlantEvent]:
    """What a message tells, in its corrected version; nothing where it can't be read."""
    body = bytes(message.body)
    if message.interface == INTERFACE:
        row = msgspec.json.decode(body, type=dict[str, str])
        yield MaterialConsumed(row["order"], row["item"], Quantity(Decimal(row["amount"]), "EA"), lot=row["lot"], into_lot=row["into"])
    elif message.interface == OWN and b'"decision.replayed"' in body:
        yield from (each for each in msgspec.json.decode(body, type=FactReplayed).events)
    elif message.interface == NATIVE and message.occurred is not None:
        try:
            event = _event.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        yield event.event if isinstance(event, FactCorrected) else event


def _decided(rows: Sequence[tuple[str, PostingRow]]) -> list[Decided]:
    rebooked: set[str] = set()
    decided = []
    for plant, row in sorted(rows, key=lambda each: (each[0], each[1].position, each[1].ordinal)):
        if row.successor and (row.state == "reversed outside" or row.key in rebooked):
            rebooked.add(row.successor)
        content = _posting(row.content)
        lines = content.lines if content.kind is not PostingKind.REVERSAL else ()
        decided.append(
            Decided(
                plant, (row.turn, row.position, row.ordinal), row.key, content.kind, row.state, row.lane, row.order, lines, row.group,
                row.document, content.reverses, bool(row.successor), row.key in rebooked, row.successor,
                content.operation, content.labour_seconds, content.machine_seconds,
                content.effective, content.original, _moment(row.decided),
            )
        )  # fmt: skip
    return decided


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _fated(plant: str, fact: FactRow, postings: Mapping[str, PostingRow], gathers: Set[int]) -> Fated:
    """A fact's fate; one whose row says "booked" is where the postings of its group are. What a correction books belongs to the
    correction's group."""
    fate = fact.fate
    if fate == "booked":
        group = [row for row in postings.values() if row.group == fact.group]
        states = {row.state for row in group if not row.successor}
        if states & {"rejected", "in doubt", "reversed outside"}:
            fate = "exception"
        elif states & {"waiting", "ready", "accepted", "parked"}:
            fate = "booking"
        elif not group:
            fate = "gathered" if fact.group in gathers else "recorded"
    return Fated(plant, fact.position, fate, fact.reference, fact.group)


def _opened(plant: str, row: ExceptionRow) -> Opened:
    return Opened(plant, row.position, row.category, row.sentence, row.posting, row.subject)
