"""The sandbox's books: pure, no clock, no I/O. Time comes with every entry.

What a rule refuses leaves no trace but time. One document is booked whole or not at all. All amounts are kept in the item's base unit
and are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Balance, Change, Finding, FindingState, Grade, OrderTotal, Pulled
from synchromesh.connectors.sandbox import refusals
from synchromesh.connectors.sandbox.posted import Effect, work_out
from synchromesh.connectors.sandbox.records import (
    Approval,
    Booking,
    Document,
    Entry,
    ErpLocation,
    ErpOrder,
    HandBooking,
    HandCancel,
    LotMarked,
    MasterEntry,
    Place,
    Progress,
    Refused,
    Rules,
    StockSet,
)
from synchromesh.connectors.sandbox.register import Register
from synchromesh.model.event import DocumentBooked, DocumentCancelled, Event, ItemChanged, LocationChanged, OrderChanged, PeriodChanged
from synchromesh.model.posting import Fate, Posting, PostingKind, Reply
from synchromesh.model.quantity import EXACT, ZERO, Quantity

FIRST_NUMBER = 4_900_000_001
PULL_LIMIT = 500


_TOTALS: Final = {"received": PostingKind.RECEIPT, "issued": PostingKind.ISSUE, "scrapped": PostingKind.SCRAP}
"""The words of an order's progress that are quantities of an item, and the kinds that book them."""


class Books:
    """The books of one sandbox. `documents` are in the order they were booked; `keys` says which of them each key booked."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.register = Register()
        self.stock: dict[Place, Decimal] = {}
        self.documents: dict[str, Document] = {}
        self.cancelled: dict[str, str] = {}
        """Cancelled documents, and by which document each."""
        self.keys: dict[str, list[str]] = {}
        self.now: datetime | None = None
        self._progress: dict[str, dict[Progress, Decimal]] = {}
        self._pending: list[Approval] = []
        self._parked: dict[str, Reply] = {}
        """Keys that wait for an approval or were declined."""
        self._first: dict[str, Posting] = {}
        """What each key told first, where keys are unique."""
        self._changes: list[Change] = []

    # --- what is entered ------------------------------------------------------------------------------------------------

    def enter(self, entry: Entry, now: datetime) -> Reply | None:
        """Enter one thing at `now`, after every approval that is due by then. A reply for a posting, else None.

        Raises `Refused` for a master entry, hand booking or cancellation that the rules refuse; for a posting that is its reply.
        """
        self.advance(now)
        match entry:
            case Booking():
                return self._book(entry.posting, now)
            case Approval():
                return self._park(entry)
            case HandBooking():
                self._book_by_hand(entry, now)
            case HandCancel():
                self._cancel_by_hand(entry.document, now)
            case _:
                self._master(entry)
        return None

    def advance(self, now: datetime) -> None:
        """Time reaches `now`: approvals that are due are decided, each at its own time. Time never goes back."""
        if self._pending:
            due = sorted((pending for pending in self._pending if pending.due <= now), key=lambda pending: pending.due)
            self._pending = [pending for pending in self._pending if pending.due > now]
            for pending in due:
                self._decide(pending)
        if self.now is None or now > self.now:
            self.now = now

    def due(self) -> datetime | None:
        """When the next approval will be decided."""
        return min((pending.due for pending in self._pending), default=None)

    def _master(self, entry: MasterEntry) -> None:
        match entry:
            case StockSet():
                item = self.register.item(entry.item)
                self.register.location(entry.location)
                amount = self.register.in_base_unit(item, entry.quantity)
                self._note_lot(entry.item, entry.lot)
                self.stock[entry.item, entry.location, entry.lot, entry.status, entry.owner] = amount
            case LotMarked():
                self.register.item(entry.item)
                self.register.lots[entry.item, entry.lot] = entry.usable
            case ErpOrder():
                self.register.add_order(entry)
                self._tell_order(entry)
            case ErpLocation():
                self.register.locations[entry.location] = entry
                self._tell(LocationChanged(location=entry.location, description=entry.description), entry.plant)
            case PeriodChanged():
                self.register.add_period(entry)
                self._tell(entry)
            case ItemChanged():
                self.register.items[entry.item] = entry
                self._tell(entry)

    # --- postings -------------------------------------------------------------------------------------------------------

    def _book(self, posting: Posting, now: datetime) -> Reply:
        repeated = self.repeated(posting)
        if repeated is not None:
            return repeated
        try:
            effect = self.judge(posting)
        except Refused as refused:
            return Reply(key=posting.key, fate=Fate.REJECTED, refusal=refused.refusal)
        return Reply(key=posting.key, fate=Fate.POSTED, document=self._write(posting, effect, now).number)

    def repeated(self, posting: Posting) -> Reply | None:
        """The first answer for this key, where the grade keeps keys unique."""
        first = self._first.get(posting.key)
        if first is None:
            return None
        known = self.find(posting.key).reply
        assert known is not None
        if first != posting:
            return Reply(key=posting.key, fate=Fate.REJECTED, refusal=refusals.duplicate(posting.key, known.document).refusal)
        return known

    def judge(self, posting: Posting) -> Effect:
        """What the posting would do to the books as they are. Raises `Refused` where a rule forbids it."""
        if posting.kind not in self.rules.kinds:
            raise refusals.not_permitted(posting.kind)
        self.register.check_open(posting.effective)
        undo = posting.kind is PostingKind.REVERSAL
        effect = self._reversal(posting) if undo else work_out(posting, self.register, self.rules)
        self._check_progress(posting.order, effect)
        self._check_stock(effect)
        return effect

    def _reversal(self, posting: Posting) -> Effect:
        number = posting.reverses_document
        if not number and self.rules.grade is not Grade.BLIND:
            number = next(iter(self.keys.get(posting.reverses, ())), "")
        if not number:
            raise refusals.unknown_original(posting.reverses)
        return self._undo(number)

    def _undo(self, number: str) -> Effect:
        original = self.documents.get(number)
        if original is None:
            raise refusals.unknown_document(number)
        if number in self.cancelled:
            raise refusals.already_reversed(number, self.cancelled[number])
        if original.kind is PostingKind.REVERSAL:
            raise refusals.reversal_of_reversal(number)
        if original.order:
            self.register.usable_order(original.order)
        return Effect(
            moves=[(place, -amount) for place, amount in original.moves],
            progress=[(what, -amount) for what, amount in original.progress],
            lines=original.lines,
            status="released" if original.kind is PostingKind.COMPLETION else None,
            reverses=original,
        )

    def _check_stock(self, effect: Effect) -> None:
        if not self.rules.check_stock:
            return
        for place, amount in effect.sums().items():
            if amount < 0 and self.stock.get(place, ZERO) + amount < 0:
                raise refusals.insufficient(place, self.stock.get(place, ZERO), -amount, self.register.items[place[0]].unit)

    def _check_progress(self, order_number: str, effect: Effect) -> None:
        """Receipts stay within the tolerance, and nothing is taken back that was not booked."""
        order = effect.reverses.order if effect.reverses else order_number
        booked = self._progress.get(order, {})
        sums: dict[Progress, Decimal] = {}
        for what, amount in effect.progress:
            sums[what] = sums.get(what, ZERO) + amount
        for what, amount in sums.items():
            total = booked.get(what, ZERO) + amount
            if amount < 0 and total < 0:
                raise refusals.takes_back_too_much(order, what, booked.get(what, ZERO), -amount)
            if amount > 0 and what[0] == "received" and self.rules.tolerance is not None and effect.reverses is None:
                self._check_tolerance(order_number, what[1], total)

    def _check_tolerance(self, order_number: str, item: str, total: Decimal) -> None:
        order = self.register.orders[order_number]
        if item == order.item and self.rules.tolerance is not None:
            wanted = self.register.in_base_unit(self.register.item(item), order.quantity)
            limit = EXACT.multiply(wanted, 1 + self.rules.tolerance)
            if total > limit:
                raise refusals.over_tolerance(order_number, total, limit)

    def _write(self, told: Posting | HandBooking, effect: Effect, now: datetime) -> Document:
        """Book what was judged: nothing in here can refuse any more."""
        sent = told if isinstance(told, Posting) else None
        document = Document(
            number=str(FIRST_NUMBER + len(self.documents)),
            kind=told.kind,
            effective=told.effective,
            booked=now,
            lines=effect.lines,
            plant=told.plant,
            order=told.order,
            operation=told.operation,
            key=sent.key if sent else "",
            by_hand=sent is None,
            reverses=effect.reverses.number if effect.reverses else "",
            labour_seconds=sent.labour_seconds if sent else 0,
            machine_seconds=sent.machine_seconds if sent else 0,
            moves=tuple(effect.moves),
            progress=tuple(effect.progress),
            original=sent.original if sent else None,
        )
        self._carry_out(document, effect)
        if sent:
            self.keys.setdefault(sent.key, []).append(document.number)
            self._parked.pop(sent.key, None)
            self._keep_first(sent)
        return document

    def _keep_first(self, posting: Posting) -> None:
        if self.rules.grade is Grade.UNIQUE:
            self._first.setdefault(posting.key, posting)

    def _carry_out(self, document: Document, effect: Effect) -> None:
        self.documents[document.number] = document
        for place, amount in effect.moves:
            self.stock[place] = EXACT.add(self.stock.get(place, ZERO), amount)
            self._note_lot(place[0], place[2])
        order = effect.reverses.order if effect.reverses else document.order
        if effect.progress:
            booked = self._progress.setdefault(order, {})
            for what, amount in effect.progress:
                booked[what] = EXACT.add(booked.get(what, ZERO), amount)
        if effect.reverses:
            self.cancelled[effect.reverses.number] = document.number
        if effect.status:
            self._tell_order(self.register.set_status(order, effect.status))

    def _note_lot(self, item: str, lot: str) -> None:
        if lot:
            self.register.lots.setdefault((item, lot), True)

    # --- approvals ------------------------------------------------------------------------------------------------------

    def _park(self, approval: Approval) -> Reply:
        posting = approval.posting
        repeated = self.repeated(posting)
        if repeated is not None:
            return repeated
        try:
            if not approval.unseen:
                self.judge(posting)
        except Refused as refused:
            return Reply(key=posting.key, fate=Fate.REJECTED, refusal=refused.refusal)
        parked = Reply(key=posting.key, fate=Fate.ACCEPTED if approval.unseen else Fate.PARKED)
        self._pending.append(approval)
        self._parked[posting.key] = parked
        self._keep_first(posting)
        return parked

    def _decide(self, approval: Approval) -> None:
        posting = approval.posting
        self._parked.pop(posting.key, None)
        self._first.pop(posting.key, None)
        if approval.declined is None:
            reply = self._book(posting, approval.due)
        else:
            refused = refusals.declined(approval.declined, posting.key)
            reply = Reply(key=posting.key, fate=Fate.REJECTED, refusal=refused.refusal)
        if reply.fate is Fate.REJECTED:
            self._parked[posting.key] = reply
            self._keep_first(posting)

    # --- people at the ERP's own screen ---------------------------------------------------------------------------------

    def _book_by_hand(self, entry: HandBooking, now: datetime) -> None:
        posting = Posting(
            key="", kind=entry.kind, plant=entry.plant, lane="", effective=entry.effective,
            order=entry.order, operation=entry.operation, lines=entry.lines,
        )  # fmt: skip
        document = self._write(entry, self.judge(posting), now)
        booked = DocumentBooked(document.number, document.kind, document.lines, document.order, document.effective)
        self._tell(booked, document.plant)

    def _cancel_by_hand(self, number: str, now: datetime) -> None:
        effect = self._undo(number)
        self._check_stock(effect)
        original = self.documents[number]
        self.register.check_open(now.date())
        entry = HandBooking(
            kind=PostingKind.REVERSAL, effective=now.date(), order=original.order, operation=original.operation, plant=original.plant
        )
        self._write(entry, effect, now)
        self._tell(DocumentCancelled(document=number), original.plant)

    # --- what is asked --------------------------------------------------------------------------------------------------

    def find(self, key: str) -> Finding:
        """Whether the key is known, and what became of it: posted, accepted or parked, or rejected after that."""
        if self.rules.grade is Grade.BLIND:
            return Finding(state=FindingState.SILENT)
        parked = self._parked.get(key)
        if parked is not None:
            return Finding(state=FindingState.BOOKED, reply=parked)
        numbers = self.keys.get(key)
        if not numbers:
            return Finding(state=FindingState.ABSENT)
        return Finding(state=FindingState.BOOKED, reply=Reply(key=key, fate=Fate.POSTED, document=numbers[0]))

    def pull(self, cursor: str, limit: int = PULL_LIMIT) -> Pulled:
        """Changes since the cursor. Raises `ValueError` when the cursor is none of these books."""
        start = int(cursor) if cursor.isascii() and cursor.isdigit() else 0 if not cursor else -1
        if not 0 <= start <= len(self._changes):
            raise ValueError(f"the cursor {cursor[:40]!r} is not of these books, which have told {len(self._changes)} changes")
        changes = self._changes[start : start + limit]
        return Pulled(changes=changes, cursor=str(start + len(changes)))

    def balances(self, items: Sequence[str] = ()) -> Iterator[Balance]:
        """Stock that is not zero, in base units."""
        wanted = frozenset(items)
        for (item, location, lot, status, owner), amount in self.stock.items():
            if amount and (not wanted or item in wanted):
                quantity = Quantity(amount, self.register.items[item].unit)
                yield Balance(item=item, location=location, lot=lot, status=status, owner=owner, quantity=quantity)

    def booked(self, order: str) -> dict[Progress, Decimal]:
        """What the order has seen so far, without what was taken back; see `Progress`."""
        return {what: amount for what, amount in self._progress.get(order, {}).items() if amount}

    def order_totals(self, orders: Sequence[str]) -> Iterator[OrderTotal]:
        """What each order has received, issued and scrapped, in base units."""
        for order in orders:
            for (word, item), amount in self.booked(order).items():
                if word in _TOTALS:
                    yield OrderTotal(order, _TOTALS[word], item, Quantity(amount, self.register.items[item].unit))

    def _tell(self, event: Event, plant: str = "") -> None:
        change = Change(id=f"change-{len(self._changes) + 1}", type=_tag(event), data=msgspec.json.encode(event), plant=plant)
        self._changes.append(change)

    def _tell_order(self, order: ErpOrder) -> None:
        told = OrderChanged(**{name: getattr(order, name) for name in OrderChanged.__struct_fields__})
        self._tell(told, order.plant)


def _tag(event: Event) -> str:
    tag = event.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
