"""A small ERP for the sandbox's tests: what its world holds, and which troubles it can show."""

from __future__ import annotations

from datetime import date
from typing import Final

from tests.contracts.connector import Names, Trouble

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder, LotMarked, MasterEntry, StockSet
from synchromesh.model import subject
from synchromesh.model.event import AlternativeUnit, ItemChanged, Operation, PeriodChanged, amount
from synchromesh.model.posting import Category, Line, Posting, PostingKind

DAY: Final = date(2026, 6, 15)

_BLOCKED: Final = Posting(
    key="blocked", kind=PostingKind.ISSUE, plant="north", lane="BIG", effective=DAY, order="BIG",
    lines=(Line(item="RESIN", quantity=amount(1, "KGM"), location="STORE", lot="R-BAD"),),
)  # fmt: skip
_TOO_MUCH: Final = Posting(
    key="too-much", kind=PostingKind.RECEIPT, plant="north", lane="BIG", effective=DAY, order="BIG",
    lines=(Line(item="GEAR", quantity=amount(111, "EA"), location="STORE"),),
)  # fmt: skip

NAMES: Final = Names(
    plant="north",
    component="BLANK",
    product="GEAR",
    unit="EA",
    store="STORE",
    other_store="LINE",
    day=DAY,
    closed_day=date(2026, 5, 31),
    planned_order="PLANNED",
    closed_order="CLOSED",
    others={Category.LOT_NOT_USABLE: (_BLOCKED, subject.lot("R-BAD", "RESIN")), Category.OVER_TOLERANCE: (_TOO_MUCH, subject.order("BIG"))},
)

REFUSES: Final = frozenset(Category) - {Category.NOT_PERMITTED, Category.OTHER, Category.LOCKED, Category.DUPLICATE}

TROUBLES: Final = {
    Trouble.LOCKED: Fault.LOCKED,
    Trouble.UNAVAILABLE: Fault.UNAVAILABLE,
    Trouble.REQUEST_LOST: Fault.DROPPED,
    Trouble.REPLY_LOST: Fault.LOST,
    Trouble.LATE: Fault.LATE,
    Trouble.PARKED: Fault.PARKED,
    Trouble.DECLINED: Fault.DECLINED,
    Trouble.ACCEPTED: Fault.ACCEPTED,
}


def furnish() -> list[MasterEntry]:
    """Entries that make the world of `NAMES`. They may be entered again."""
    hundred = amount(100, "EA")
    return [
        ItemChanged(item="BLANK", unit="EA", alternatives=(AlternativeUnit("BOX", 12), AlternativeUnit("PAIR", 1, 3))),
        ItemChanged(item="GEAR", unit="EA"),
        ItemChanged(item="RESIN", unit="KGM", decimals=3, lot_controlled=True),
        ErpLocation(location="STORE", plant="north"),
        ErpLocation(location="LINE", plant="north"),
        PeriodChanged(first=date(2026, 5, 1), last=date(2026, 5, 31), open=False),
        StockSet(item="BLANK", location="STORE", quantity=amount(100_000, "EA")),
        StockSet(item="RESIN", location="STORE", quantity=amount("12.5", "KGM"), lot="R-1"),
        StockSet(item="RESIN", location="STORE", quantity=amount("2.5", "KGM"), lot="R-BAD"),
        LotMarked(item="RESIN", lot="R-BAD", usable=False),
        ErpOrder(order="BIG", item="GEAR", quantity=hundred, operations=(Operation("10"), Operation("20", yields=True)), location="STORE"),
        ErpOrder(order="PLANNED", item="GEAR", quantity=hundred, status="planned", location="STORE"),
        ErpOrder(order="CLOSED", item="GEAR", quantity=hundred, status="closed", location="STORE"),
    ]
