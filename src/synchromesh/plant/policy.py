"""What ERP wants to hear from a plant, as data. A policy is activated by a message; from that position on it decides."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from synchromesh.model.posting import Category

Verb = Literal["retry", "settle", "dismiss", "correct", "replay", "release", "adjust"]
"""What people can decide."""

DECIMAL: Final = r"^[0-9]{1,9}([.][0-9]{1,9})?$"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one plant's facts become postings.

    Every field has a default that needs no configuration: each report is booked at once, on its own date.
    """

    target: str = "erp"
    """The business system that this plant's postings go to: the name of its `[erp.NAME]` table."""

    zone: str = "UTC"
    """IANA zone of the plant: it decides on which day a fact is booked."""

    series: str = ""
    """Tells the keys of this log's postings from those of every other log that books under the same plant's name: made by chance at the
    plant's first start, because a business system remembers keys longer than a data folder may last."""

    booking: Literal["post", "record"] = "post"
    """"post": facts become documents. "record": ERP books this plant by itself, so facts are kept in the reported ledger only, and the
    documents of ERP that arrive are compared with them."""

    gather: Literal["report", "operation", "order"] = "report"
    """What becomes one set of documents: each report, all of an operation, or all of an order. A gather closes by its event
    (operation or order completed, end of a source's input), by quantity, by silence, or because something needs what it holds."""

    gather_quantity: Annotated[int, Meta(ge=0, le=10**15)] = 0
    """A gather closes when it holds this many pieces of good output, in the unit reported. 0: quantity closes no gather."""

    gather_silence_seconds: Annotated[int, Meta(ge=0, le=31_622_400)] = 0
    """A gather closes when nothing was added for so long. 0: silence closes no gather."""

    yield_operation: str = ""
    """The operation whose good output is the order's yield. Empty: the one that the order
    marks, else its last, else every report counts."""

    confirmations: bool = False
    """Whether operations are confirmed in ERP, with their quantities and times."""

    completions: bool = True
    """Whether ERP is told that an order is complete."""

    differences: bool = False
    """Whether ERP books a negative line, so that a correction is a difference; else it is a reversal and a rebooking. Told by the
    connector's abilities when the policy is activated."""

    held_status: str = "held"
    """The stock status of output that may not be used before somebody decides."""

    closed_period: Literal["first open day", "wait", "ask"] = "first open day"
    """A fact of a closed period is booked on the first open day after it, or waits until the period opens, or is an exception."""

    waiting_hours: Annotated[int, Meta(ge=0, le=87_600)] = 24
    """A fact that waits longer for an unknown thing is shown as an exception. 0: never."""

    stock_patience_minutes: Annotated[int, Meta(ge=0, le=100_000)] = 60
    """How long an issue waits for stock that nothing on its way would bring; then it is sent and ERP judges. Facts arrive in any order,
    and the receipt may only be late."""

    over_delivery_percent: Annotated[int, Meta(ge=-1, le=10_000)] = -1
    """How much more than an order's quantity is booked, in percent of it; what is beyond is an exception for a person. -1: ERP judges."""

    approvals: tuple[Verb, ...] = ()
    """Decisions that take effect only when a second person approves them (four eyes)."""

    owners: dict[Category, Annotated[str, Meta(min_length=1, max_length=128)]] = {}
    """Who looks after exceptions of a category, where that is somebody else than usual."""

    service_minutes: dict[Category, Annotated[int, Meta(ge=1, le=525_600)]] = {}
    """By when an exception of a category shall be resolved, in minutes after it was opened, where that is not as usual."""
    tolerance_absolute: Annotated[str, Meta(pattern=DECIMAL, description='a decimal in quotes, such as "0.5"')] = "0"
    """How far an unexplained difference of quantity may go, in the unit of what differs, before a person is told."""

    tolerance_percent: Annotated[str, Meta(pattern=DECIMAL, description='a decimal in quotes, such as "0.5"')] = "0"
    """The same in percent of the larger of the compared quantities; a difference is small when either says so."""

    horizon_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    """How long identities of canonical events are kept; an older fact cannot be told from a repeat. Adapters declare their own."""


DEFAULT = Policy()
