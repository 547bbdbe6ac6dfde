"""What the auditor is shown after a run, as plain records: the plants' receipts, the log, ERP's books, and what the system says of itself.

Nothing here is computed by the code under judgement: the documents and refusals come from the ERP's side, the acknowledgements from the
plants' side, and the rest are rows as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from synchromesh.model.event import OrderChanged
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Line, PostingKind
from synchromesh.sim.told import FactId, Told
from synchromesh.sim.truth import Place


class Document(msgspec.Struct, frozen=True):
    """A document in ERP's books. `reverses` is the number of the document that this one takes back; `cancelled`: others cancelled it by
    hand; `by_hand`: others booked it. `original` is the fact's own day where it is not the day of booking."""

    number: str
    key: str
    kind: PostingKind
    lane: str
    order: str
    effective: date
    lines: tuple[Line, ...]
    reverses: str = ""
    cancelled: bool = False
    by_hand: bool = False
    operation: str = ""
    labour_seconds: int = 0
    machine_seconds: int = 0
    original: date | None = None


class Books(msgspec.Struct, frozen=True):
    """ERP's books after a run: `documents` in the order of booking, and its stock by place, without empty places."""

    documents: Sequence[Document]
    balances: Mapping[Place, Decimal]


class PutRight(msgspec.Struct, frozen=True):
    """A person said that the message at this place should have said `meant`, by correcting the fact or (`by_message`) the message."""

    plant: str
    position: int
    meant: Told
    by_message: bool


class People(msgspec.Struct, frozen=True):
    """What people decided. `dismissed` are (plant, position) of facts that they dismissed as such; `given_up` are the keys of postings that
    they dismissed, with those that hang on them: a reversal goes with what was booked in the place of its original."""

    dismissed: Set[tuple[str, int]] = frozenset()
    given_up: Set[str] = frozenset()
    left: Set[str] = frozenset()
    """Keys of refused postings whose whole cause people released, and that were found as they had been when all of it had gone on."""
    put_right: Sequence[PutRight] = ()
    replayed: Sequence[tuple[str, int]] = ()
    """Each plant whose messages in a system's own words were read again, and through which position, when their reader was mended."""
    instead: Mapping[str, str] = {}
    """By number of a document that somebody booked in ERP by hand, the key of the refused posting that it was booked for."""


NOBODY: Final = People()
"""Where nobody decides anything."""


class Edge(NamedTuple):
    """In a plant, lot `parent` went into lot `child`; both as `item/lot`."""

    plant: str
    parent: str
    child: str


class Received(msgspec.Struct, frozen=True):
    """A message of a source, as it stands in a plant's log."""

    plant: str
    position: int
    source: str
    id: str
    body: bytes
    interface: str = NATIVE
    about: int = 0
    """Of a message that is read again, where it stands."""

    @property
    def fact(self) -> FactId:
        return FactId(self.plant, self.source, self.id)


class Fated(msgspec.Struct, frozen=True):
    """What the system says became of the message at a position. `group` is the position whose postings book it, 0 for none."""

    plant: str
    position: int
    fate: str
    reference: str = ""
    group: int = 0


class Decided(msgspec.Struct, frozen=True):
    """A posting that the system decided. `place` is (position of the message at which it was decided, position that caused it,
    ordinal): the order of decision, where postings of one decision and different causes are in no order. One that stands in for another has
    the decision of that one. `reverses` is the key of the posting that it takes back; `replaced`: another posting stands in for it;
    `rebooks`: it stands in for one that others cancelled in ERP; `successor` is the key of the posting that stands in for it.
    `effective` is the day that it is to be booked on, `original` the fact's own where that is another; `decided` is when it was decided.
    """

    plant: str
    place: tuple[int, int, int]
    key: str
    kind: PostingKind
    state: str
    lane: str
    order: str
    lines: tuple[Line, ...]
    group: int
    document: str = ""
    reverses: str = ""
    replaced: bool = False
    rebooks: bool = False
    successor: str = ""
    operation: str = ""
    labour_seconds: int = 0
    machine_seconds: int = 0
    effective: date | None = None
    original: date | None = None
    decided: datetime | None = None


class Opened(msgspec.Struct, frozen=True):
    """An exception that is still open, opened by the message at `position`: about the posting with key `posting`, or about the fact at that
    position, or about a name (`subject`) that facts wait for."""

    plant: str
    position: int
    category: str
    sentence: str
    posting: str = ""
    subject: str = ""


Amounts = Mapping[str, Decimal]
"""Amounts by unit."""


class Word(NamedTuple):
    """What a plant's log says of a period at a position. The newest word about a day counts; a day without one is open."""

    plant: str
    position: int
    first: date
    last: date
    open: bool


class Term(NamedTuple):
    """What a plant's log says of an order at a position."""

    plant: str
    position: int
    order: OrderChanged


class Rule(NamedTuple):
    """From a position on a plant confirms operations or does not, and this operation's output is an order's yield ('' for the order's)."""

    plant: str
    position: int
    confirmations: bool
    yield_operation: str


class Evidence(msgspec.Struct, frozen=True):
    """Everything that the auditor may look at.

    `acknowledged` are the messages that sources were told are received. `documents` are in the order of booking. `refused` are keys that
    ERP refused at least once, by ERP's own record. `people` is what people decided, by their own record. `balances` is ERP's stock by
    place, without empty places.
    """

    acknowledged: Sequence[Message]
    received: Sequence[Received]
    documents: Sequence[Document]
    postings: Sequence[Decided]
    fates: Sequence[Fated]
    exceptions: Sequence[Opened]
    balances: Mapping[Place, Decimal]
    refused: Set[str] = frozenset()
    people: People = NOBODY
    counted: Mapping[str, int] = {}
    """The system's own sums of facts by fate, where it keeps some."""
    words: Sequence[Word] = ()
    """What plants were told of posting periods, each plant's in the order of its log."""
    turned_away: Mapping[str, int] = {}
    """Keys that ERP refused because the day was closed, by ERP's own record, and the newest position of the plant's log at that time."""
    terms: Sequence[Term] = ()
    rules: Sequence[Rule] = ()
    """What plants were told of orders, and what was activated there, each plant's in the order of its log."""
    alone: Set[tuple[str, int]] = frozenset()
    """Places (plant, position) of decisions of one person where a second one is needed."""
    unfinished: Set[tuple[str, str]] = frozenset()
    """What plants are still working off, by plant and name. Nothing ought to be, at rest."""
    reported: Mapping[tuple[str, Place], Amounts] = {}
    """What plants believe that was reported of stock, by plant and place, in the units in which it was told."""
    asked: Mapping[str, tuple[int, int]] = {}
    """By key, as which one ERP was first asked for it, and how far the plant had come at that time."""
    short: Mapping[str, datetime] = {}
    """Keys that ERP refused for want of stock, by ERP's own record, and when it did so first."""
    at_rest: bool = False
    """Whether so much time has passed that nothing is due any more. Only then plants are judged by what they keep for themselves."""
    ledger: Mapping[tuple[str, Place], Decimal] = {}
    """What plants believe that ERP has on stock, by plant and place, without empty places."""
    promised: Set[tuple[str, Place]] = frozenset()
    """Where plants still expect something to come in or to go out, or let something wait for stock."""
    made: Mapping[tuple[str, str, str], Sequence[Amounts]] = {}
    """By plant, order and operation what was reported there, as told: good output, scrap, held, rework."""
    chains: Mapping[tuple[str, str], Sequence[int]] = {}
    """By plant and order the positions of the facts that a trace of the order walks, newest first, cut off where it would not end."""
    made_from: Set[Edge] = frozenset()
    went_into: Set[Edge] = frozenset()
    """The lots' genealogy as the system tells it of each lot: what it was made from, and what it went into."""
    read_again: Sequence[Received] = ()
    """People's decisions that a message is read again, each where it stands in the log."""
    mended: Mapping[str, int] = {}
    """By plant, the position from which on messages in a system's own words are read as they are meant."""
    known_outside: Mapping[str, tuple[str, int]] = {}
    """By number of a document that others booked, the plant and position at which its log tells of it."""
