"""What a reconciliation tells people: plain values that the API and the command line both render."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from synchromesh.engine.reconcile.split import Share
from synchromesh.model.posting import Aware


class StockRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place where a system's books and the plant's reports differ.

    `difference` is `theirs` less `reported`, and the parts sum to it. `booked` is what ERP should hold by what is known of it. `as_of` is
    the moment of a snapshot. `sure` is false where something was moving while it was asked. An empty `location` means all of the plant.
    `proposal` is the correction that a person may approve, once the run is kept.
    """

    system: str
    item: str
    location: str
    unit: str
    theirs: Decimal
    reported: Decimal
    booked: Decimal
    difference: Decimal
    parts: tuple[Share, ...]
    lot: str = ""
    status: str = ""
    owner: str = ""
    beyond: bool = False
    sure: bool = True
    as_of: Aware | None = None
    since: Aware | None = None
    proposal: str = ""
    seen: str = ""
    """How both ledgers stood when this was found."""


class OrderRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of quantity of one order: as reported, posted by us, booked by others, and on ERP's books, which is None where ERP can't
    tell it and the documents count. `difference` is ERP's less `reported`."""

    order: str
    kind: str
    item: str
    unit: str
    reported: Decimal
    posted: Decimal
    outside: Decimal
    difference: Decimal
    parts: tuple[Share, ...]
    erp: Decimal | None = None
    status: str = ""
    beyond: bool = False
    sure: bool = True
    since: Aware | None = None


class StateRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each system says of an order or a lot, and why they don't agree. `explained` is what is on its way or stuck, '' for nothing."""

    about: str
    said: dict[str, str]
    sentence: str
    explained: str = ""
    since: Aware | None = None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """One comparison of a plant's books. `different` counts rows with any difference, `beyond` those where what nothing explains is
    beyond the tolerance. The rows are the most important ones; `more` says how many there are besides. `not_compared` says what could not
    be, and why."""

    plant: str
    scope: str
    at: Aware
    compared: int
    different: int
    beyond: int
    stock: tuple[StockRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    states: tuple[StateRow, ...] = ()
    more: int = 0
    not_compared: tuple[str, ...] = ()
    kept: int = 0
    """The position of the message that keeps this run, 0 for none."""


class RunView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that was kept."""

    scope: str
    position: int
    at: Aware
    compared: int
    beyond: int
    anew: int
    scheduled: bool = False


class DifferenceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A difference that stands, and since when. `proposal` is by what it is approved; `decision` what became of that."""

    scope: str
    sentence: str
    since: Aware
    amount: Decimal = Decimal(0)
    unit: str = ""
    proposal: str = ""
    words: str = ""
    decision: str = ""
    by: str = ""


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a plant's reconciliations: the runs, newest first, and the differences that the last run of each scope found."""

    plant: str
    runs: tuple[RunView, ...]
    differences: tuple[DifferenceView, ...]


class PeriodRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Things of one kind that must be booked, or decided about, before the period can be closed.

    `sort` is fact, gather or posting; `kind` an event's type or a posting's kind; `amounts` are sums by unit; `references` are the first
    of them and `exceptions` what people are asked about them."""

    sort: str
    kind: str
    state: str
    count: int
    first: str
    amounts: dict[str, Decimal] = {}
    references: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()


class PeriodView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands between a plant and the close of a period, both days in it; nothing means that it can be closed."""

    plant: str
    first: str
    last: str
    can_be_closed: bool
    rows: tuple[PeriodRow, ...] = ()
