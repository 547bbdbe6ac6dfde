"""A posting: one document that the business system shall book, and what came of it.

A posting's key never changes and its content is frozen once decided (law 3). What a connector answers is a `Reply`; what
the log keeps of it is an `Outcome`, which is final, or names the doubt or what is followed until it is final.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from synchromesh.model.quantity import Quantity

Aware = Annotated[datetime, Meta(tz=True)]
"""A time that knows its zone. Naive times are refused where they enter."""


class PostingKind(enum.StrEnum):
    """What the document does in the books of the business system."""

    ISSUE = "issue"
    """Components leave stock into an order."""
    RECEIPT = "receipt"
    """An order's output enters stock."""
    SCRAP = "scrap"
    """Output or components are lost; booked against the order with a reason."""
    CONFIRMATION = "confirmation"
    """An operation's quantities and times, without stock."""
    TRANSFER = "transfer"
    """Stock moves between locations or statuses of one plant."""
    ADJUSTMENT = "adjustment"
    """Stock is corrected up or down without an order."""
    COMPLETION = "completion"
    """The order is technically complete: nothing more is expected."""
    REVERSAL = "reversal"
    """Undoes one earlier posting, which it names."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One line of a posting.

    `location` is where stock changes (a transfer takes it from there); `status` is the stock status, '' for freely usable;
    `owner` is '' for the company's own stock. `quantity` is positive, except in a difference posting (see
    `Abilities.differences`), where a negative amount takes back what was booked before.
    """

    item: str
    quantity: Quantity
    location: str = ""
    lot: str = ""
    status: str = ""
    owner: str = ""
    to_location: str = ""
    to_status: str = ""
    operation: str = ""
    reason: str = ""


class Posting(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One document to be booked once.

    `key` is unique for ever and derives from (plant, causing message, rule, ordinal). `lane` names what must stay in order,
    usually the order. `effective` is the date to book on, in the plant's zone; `original` is the date of the fact where the two
    differ because the fact's period is closed. `reverses` and `reverses_document` are the key and the document number of the
    original, for a reversal only. `labour_seconds` and `machine_seconds` are work times of a
    confirmation.
    """

    key: str
    kind: PostingKind
    plant: str
    lane: str
    effective: date
    order: str = ""
    operation: str = ""
    lines: tuple[Line, ...] = ()
    reverses: str = ""
    reverses_document: str = ""
    labour_seconds: int = 0
    machine_seconds: int = 0
    original: date | None = None


class Category(enum.StrEnum):
    """Why a business system refused, in words that name the remedy's owner."""

    CLOSED_PERIOD = "closed period"
    UNKNOWN_ITEM = "unknown item"
    UNKNOWN_ORDER = "unknown order"
    UNKNOWN_LOT = "unknown lot"
    UNKNOWN_LOCATION = "unknown location"
    LOT_NOT_USABLE = "lot not usable"
    INSUFFICIENT_STOCK = "insufficient stock"
    MISSING_UNIT = "missing unit conversion"
    DUPLICATE = "duplicate"
    LOCKED = "locked"
    ORDER_NOT_RELEASED = "order not released"
    ORDER_CLOSED = "order closed"
    OVER_TOLERANCE = "over tolerance"
    NOT_PERMITTED = "not permitted"
    INVALID = "invalid"
    DIFFERENCE = "difference"
    """Nobody refused anything: books differ, and nothing explains it."""
    OTHER = "other"


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why a posting was not booked: a category, the thing it is about, a sentence for a person and a suggested remedy.

    `detail` keeps the business system's own words, cut to 2,000 characters.
    """

    category: Category
    subject: str
    sentence: str
    remedy: str = ""
    detail: str = ""


class Fate(enum.StrEnum):
    """What is known of a posting after it was sent."""

    POSTED = "posted"
    """In the books, read back, with its document number."""
    REJECTED = "rejected"
    """Certainly not booked, and trying again unchanged will not help."""
    ACCEPTED = "accepted"
    """Taken by the business system, which judges and books it later; followed until the result is known."""
    PARKED = "parked"
    """Waits for an approval inside the business system; followed until it is decided."""
    UNKNOWN = "unknown"
    """Perhaps booked, and the business system cannot be asked: a person settles it."""
    RETRY = "retry"
    """Certainly not booked, and trying again unchanged may help (a lock, a 503). Never in the log."""
    DOUBT = "doubt"
    """Perhaps booked; `find` will tell. Never in the log."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A connector's answer for one posting. `retry_after` is in seconds, when the business system named one."""

    key: str
    fate: Fate
    document: str = ""
    link: str = ""
    refusal: Refusal | None = None
    retry_after: float | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of a posting, as the log keeps it. `fate` is accepted, parked, posted, rejected or unknown.

    `sent` is when the request left, `attempts` how often it was sent.
    """

    key: str
    fate: Fate
    at: Aware
    document: str = ""
    link: str = ""
    refusal: Refusal | None = None
    attempts: int = 1
