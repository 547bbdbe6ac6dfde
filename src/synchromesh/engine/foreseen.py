"""What would be, in words: postings, exceptions, ledgers and counts as a preview or a rehearsal tells them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Final, Generic, ParamSpec, TypeVar

import msgspec

from synchromesh.engine.wording import line_in_words
from synchromesh.model import tally
from synchromesh.model.posting import Posting
from synchromesh.model.tally import Tally
from synchromesh.plant import stock
from synchromesh.plant.entities import Balance, Totals
from synchromesh.plant.rows import ExceptionRow, PostingRow
from synchromesh.plant.view import Loads

T = TypeVar("T")
P = ParamSpec("P")

FIRST: Final = 20
"""How many of each kind are listed; all are counted."""

_posting: Final = msgspec.json.Decoder(Posting).decode
_balance: Final = msgspec.msgpack.Decoder(Balance).decode
_totals: Final = msgspec.msgpack.Decoder(Totals).decode


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """How many there are, and the first of them."""

    count: int
    first: tuple[T, ...] = ()


class ForeseenPosting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A posting as it would be. `before` is its state now, empty when it would be made; `quantity` sums its lines by unit."""

    key: str
    kind: str
    state: str
    lane: str
    effective: date
    lines: tuple[str, ...] = ()
    quantity: str = ""
    order: str = ""
    facts: int = 0
    before: str = ""
    waits_for: str = ""
    document: str = ""
    original: date | None = None
    successor: str = ""


class ForeseenException(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception that would be opened, or closed as `state` says."""

    position: int
    ordinal: int
    category: str
    subject: str
    sentence: str
    state: str
    remedy: str = ""
    order: str = ""
    posting: str = ""


class ForeseenCount(msgspec.Struct, frozen=True):
    """A number now, and as it would be."""

    before: int
    after: int


class ForeseenStock(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ledgers of one place: what is reported, booked, pending and claimed, each now and as it would be where that differs."""

    place: str
    reported: tuple[str, str] | None = None
    booked: tuple[str, str] | None = None
    pending: tuple[str, str] | None = None
    claimed: tuple[str, str] | None = None


class Listing(Generic[T]):
    """Counts, and keeps the first few. What is not kept is not even made."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._count = 0
        self._kept: list[T] = []

    def add(self, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        self._count += 1
        if self._count <= self._first:
            self._kept.append(make(*args, **kwargs))

    def listed(self) -> Listed[T]:
        return Listed(self._count, tuple(self._kept))


def totals_of(loads: Loads, partition: str) -> Totals:
    value = loads.load(partition, "totals", [""]).get("")
    return Totals() if value is None else _totals(value)


def fates_between(before: Totals, after: Totals) -> dict[str, ForeseenCount]:
    """The fates whose counts would differ."""
    names = sorted(before.fates.keys() | after.fates.keys())
    counts = {name: ForeseenCount(before.fates.get(name, 0), after.fates.get(name, 0)) for name in names}
    return {name: count for name, count in counts.items() if count.before != count.after}


def balance_of(value: bytes | None) -> Balance:
    return Balance() if value is None else _balance(value)


def moved(then: Balance, later: Balance) -> bool:
    return (then.reported, then.booked, then.pending, then.claimed) != (later.reported, later.booked, later.pending, later.claimed)


def ledger(place: str, then: Balance, later: Balance) -> ForeseenStock:
    unit = later.unit or then.unit
    return ForeseenStock(
        stock.named(place),
        _if_differs(in_words(then.reported), in_words(later.reported)),
        *(
            _if_differs(f"{_plain(getattr(then, field))} {unit}".rstrip(), f"{_plain(getattr(later, field))} {unit}".rstrip())
            for field in ("booked", "pending", "claimed")
        ),
    )


def _if_differs(before: str, after: str) -> tuple[str, str] | None:
    return (before, after) if before != after else None


def in_words(amounts: Tally) -> str:
    """A tally in words: '9 EA, 2 BX'; '0' for nothing."""
    return ", ".join(f"{_plain(amount)} {unit}" for unit, amount in sorted(amounts.items())) or "0"


def _plain(amount: Decimal) -> str:
    """A decimal without exponent and needless zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def posting_in_words(before: PostingRow | None, after: PostingRow) -> ForeseenPosting:
    content = _posting(after.content)
    sums: Tally = {}
    for line in content.lines:
        tally.add(sums, line.quantity.amount, line.quantity.unit)
    return ForeseenPosting(
        key=after.key,
        kind=after.kind,
        state=after.state,
        lane=after.lane,
        effective=content.effective,
        lines=tuple(line_in_words(line) for line in content.lines),
        quantity=in_words(sums) if sums else "",
        order=after.order,
        facts=after.facts,
        before=before.state if before is not None else "",
        waits_for=after.waits_for,
        document=after.document,
        original=content.original,
        successor=after.successor,
    )


def exception_in_words(row: ExceptionRow) -> ForeseenException:
    return ForeseenException(
        position=row.position,
        ordinal=row.ordinal,
        category=row.category,
        subject=row.subject,
        sentence=row.sentence,
        state=row.state,
        remedy=row.remedy,
        order=row.order,
        posting=row.posting,
    )
