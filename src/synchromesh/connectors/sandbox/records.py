"""What stands in the sandbox's books and what is entered into them: frozen values, also the lines of its journal.

Entries are told to `Books.enter` one after another, each with the time of its entry. The same entries at the same times give the
same books, numbers included: the journal relies on it.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from synchromesh.connectors.agreement import Grade
from synchromesh.model.event import Event, ItemChanged, LocationChanged, Name, OrderChanged, PeriodChanged
from synchromesh.model.posting import Aware, Category, Line, Posting, PostingKind, Refusal
from synchromesh.model.quantity import Quantity

Place = tuple[str, str, str, str, str]
"""Where stock is: item, location, lot, status, owner."""

Progress = tuple[str, str]
"""What an order has seen: a word (received, issued, scrapped, confirmed, labour, machine) and its item or operation."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strict this instance is.

    `check_stock`: issues, transfers and scrap need stock. `tolerance`: by what part of an order's quantity its receipts may exceed it,
    0.1 for a tenth; None is no limit. `differences`: negative lines may take back what was booked. `kinds`: what senders may book.
    """

    grade: Grade = Grade.UNIQUE
    check_stock: bool = True
    tolerance: Decimal | None = None
    differences: bool = True
    kinds: frozenset[PostingKind] = frozenset(PostingKind)


class ErpOrder(OrderChanged, frozen=True, tag="sandbox.order"):
    """A production order, and the plant that makes it."""

    plant: str = ""


class ErpLocation(LocationChanged, frozen=True, tag="sandbox.location"):
    """A storage location, and the plant that it lies in ('' for all)."""

    plant: str = ""


class StockSet(Event, frozen=True, tag="sandbox.stock"):
    """An opening balance: the place now holds `quantity`. A lot that it names exists from then on."""

    item: Name
    location: Name
    quantity: Quantity
    lot: str = ""
    status: str = ""
    owner: str = ""


class LotMarked(Event, frozen=True, tag="sandbox.lot"):
    """A lot exists, and may or may not be used."""

    item: Name
    lot: Name
    usable: bool = True


class Booking(Event, frozen=True, tag="sandbox.booking"):
    """A sender's posting."""

    posting: Posting


class Approval(Event, frozen=True, tag="sandbox.approval"):
    """A sender's posting waits until `due`, when it is booked, or declined with that category. `unseen`: it was taken without a look, and
    the rules judge it only then."""

    posting: Posting
    due: Aware
    declined: Category | None = None
    unseen: bool = False


class HandBooking(Event, frozen=True, tag="sandbox.hand.booking"):
    """Somebody books a document at the ERP's own screen. Refused like a posting."""

    kind: PostingKind
    effective: date
    lines: tuple[Line, ...] = ()
    order: str = ""
    operation: str = ""
    plant: str = ""


class HandCancel(Event, frozen=True, tag="sandbox.hand.cancel"):
    """Somebody cancels a document at the ERP's own screen."""

    document: Name


MasterEntry = ItemChanged | ErpLocation | ErpOrder | PeriodChanged | StockSet | LotMarked
"""Entries that an administrator makes and that no rule refuses but an unknown name."""

Entry = MasterEntry | Booking | Approval | HandBooking | HandCancel


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document as booked. `original` is the fact's own day where that is not the day it is booked on. `moves` are its changes of
    stock in base units, `progress` those of its order.

    `key` is the sender's. A blind system doesn't keep it: it is here for auditors and never answered to a sender.
    """

    number: str
    kind: PostingKind
    effective: date
    booked: Aware
    lines: tuple[Line, ...] = ()
    plant: str = ""
    order: str = ""
    operation: str = ""
    key: str = ""
    by_hand: bool = False
    reverses: str = ""
    labour_seconds: Annotated[int, Meta(ge=0)] = 0
    machine_seconds: Annotated[int, Meta(ge=0)] = 0
    moves: tuple[tuple[Place, Decimal], ...] = ()
    progress: tuple[tuple[Progress, Decimal], ...] = ()
    original: date | None = None


class Refused(Exception):
    """The books' rules say no, and nothing was booked."""

    def __init__(self, category: Category, subject: str, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.refusal = Refusal(category=category, subject=subject, sentence=sentence, remedy=remedy)
