"""What each kind of posting does: to stock, and to the order's progress. Worked out before anything is booked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from synchromesh.connectors.sandbox import refusals
from synchromesh.connectors.sandbox.records import Document, ErpOrder, Place, Progress, Rules
from synchromesh.connectors.sandbox.register import Register, Status
from synchromesh.model import subject
from synchromesh.model.event import ItemChanged
from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.model.quantity import EXACT, ZERO


class Effect(msgspec.Struct):
    """What a document will do. `status` is the order's next one, if it changes; `reverses` the document that is undone."""

    moves: list[tuple[Place, Decimal]] = []
    progress: list[tuple[Progress, Decimal]] = []
    lines: tuple[Line, ...] = ()
    status: Status | None = None
    reverses: Document | None = None

    def sums(self) -> dict[Place, Decimal]:
        """Moves by place: two lines of one place need their stock together."""
        sums: dict[Place, Decimal] = {}
        for place, amount in self.moves:
            sums[place] = EXACT.add(sums.get(place, ZERO), amount)
        return sums


class _Work:
    """One posting being worked out, line after line."""

    def __init__(self, posting: Posting, register: Register, rules: Rules) -> None:
        self.posting = posting
        self.register = register
        self.rules = rules
        self.order: ErpOrder | None = None
        self.effect = Effect()

    def run(self) -> Effect:
        posting = self.posting
        if posting.order or posting.kind in _OF_AN_ORDER:
            self.order = self.register.usable_order(posting.order)
        if posting.kind is PostingKind.COMPLETION:
            self._complete()
        elif posting.kind is PostingKind.CONFIRMATION:
            self._confirm()
        else:
            if not posting.lines:
                raise refusals.nothing_to_book(subject.about(posting))
            book = _LINES[posting.kind]
            self.effect.lines = tuple(book(self, line) for line in posting.lines)
        return self.effect

    def _amount(self, line: Line, item: ItemChanged) -> Decimal:
        amount = self.register.in_base_unit(item, line.quantity)
        if not amount:
            raise refusals.nothing_to_book(subject.item(item.item))
        if amount < 0 and not self.rules.differences and self.posting.kind is not PostingKind.ADJUSTMENT:
            raise refusals.negative(item.item)
        return amount

    def _move(self, line: Line, amount: Decimal) -> None:
        self.effect.moves.append(((line.item, line.location, line.lot, line.status, line.owner), amount))

    def issue(self, line: Line) -> Line:
        line = self._leaving(line)
        self.register.check_usable(line.item, line.lot, line.status)
        amount = self._amount(line, self.register.items[line.item])
        self._move(line, -amount)
        self.effect.progress.append((("issued", line.item), amount))
        return line

    def receipt(self, line: Line) -> Line:
        item = self.register.item(line.item)
        amount = self._amount(line, item)
        self.register.new_lot(item, line.lot)
        line = self._placed(line, self.order.location if self.order else "")
        self._move(line, amount)
        self.effect.progress.append((("received", line.item), amount))
        return line

    def scrap(self, line: Line) -> Line:
        """Scrapped output never was in stock; a scrapped component leaves it, whatever its status."""
        assert self.order is not None
        if line.item == self.order.item:
            amount = self._amount(line, self.register.item(line.item))
        else:
            line = self._leaving(line)
            amount = self._amount(line, self.register.items[line.item])
            self._move(line, -amount)
        self.effect.progress.append((("scrapped", line.item), amount))
        return line

    def transfer(self, line: Line) -> Line:
        line = self._leaving(line)
        item = self.register.items[line.item]
        line = msgspec.structs.replace(line, to_location=self.register.location(line.to_location or line.location))
        if (line.to_location, line.to_status) == (line.location, line.status):
            raise refusals.invalid(subject.item(line.item), "The transfer ends where it begins.", "Name another location or status.")
        amount = self._amount(line, item)
        self._move(line, -amount)
        self.effect.moves.append(((line.item, line.to_location, line.lot, line.to_status, line.owner), amount))
        return line

    def adjustment(self, line: Line) -> Line:
        item = self.register.item(line.item)
        amount = self._amount(line, item)
        line = self._placed(line, "") if amount > 0 else self._leaving(line)
        self.register.new_lot(item, line.lot)
        self._move(line, amount)
        return line

    def _leaving(self, line: Line) -> Line:
        """The line with the place that stock leaves: a component's own location stands in for none."""
        item = self.register.item(line.item)
        self.register.existing_lot(item, line.lot)
        usual = ""
        if self.order and not line.location:
            usual = next((part.location for part in self.order.components if part.item == line.item), "") or self.order.location
        return self._placed(line, usual)

    def _placed(self, line: Line, usual: str) -> Line:
        if not line.location and usual:
            line = msgspec.structs.replace(line, location=usual)
        self.register.location(line.location)
        return line

    def _confirm(self) -> None:
        """Quantities and times of operations. They change no stock."""
        assert self.order is not None
        posting = self.posting
        known = {operation.operation for operation in self.order.operations}
        for operation in {posting.operation, *(line.operation for line in posting.lines)} - {""}:
            if known and operation not in known:
                raise refusals.unknown_operation(self.order.order, operation)
        for line in posting.lines:
            item = self.register.item(line.item or self.order.item)
            amount = self._amount(line, item)
            self.effect.progress.append((("confirmed", line.operation or posting.operation), amount))
        for word, seconds in (("labour", posting.labour_seconds), ("machine", posting.machine_seconds)):
            if seconds:
                self.effect.progress.append(((word, posting.operation), Decimal(seconds)))
        if not self.effect.progress:
            raise refusals.nothing_to_book(subject.about(posting))
        self.effect.lines = posting.lines

    def _complete(self) -> None:
        assert self.order is not None
        if self.order.status == "completed":
            raise refusals.order_closed(self.order.order, "already completed")
        self.effect.lines = self.posting.lines
        self.effect.status = "completed"


_OF_AN_ORDER = frozenset({PostingKind.ISSUE, PostingKind.RECEIPT, PostingKind.SCRAP, PostingKind.CONFIRMATION, PostingKind.COMPLETION})

_LINES: dict[PostingKind, Callable[[_Work, Line], Line]] = {
    PostingKind.ISSUE: _Work.issue,
    PostingKind.RECEIPT: _Work.receipt,
    PostingKind.SCRAP: _Work.scrap,
    PostingKind.TRANSFER: _Work.transfer,
    PostingKind.ADJUSTMENT: _Work.adjustment,
}


def work_out(posting: Posting, register: Register, rules: Rules) -> Effect:
    """What a posting of any kind but a reversal would do, stock and progress not yet compared. Raises `Refused`."""
    return _Work(posting, register, rules).run()
