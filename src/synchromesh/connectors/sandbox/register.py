"""The sandbox's master data: items, locations, lots, orders and posting periods, and the questions that postings ask of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, Inexact
from typing import Literal

import msgspec

from synchromesh.connectors.sandbox import refusals
from synchromesh.connectors.sandbox.records import ErpLocation, ErpOrder
from synchromesh.model.event import ItemChanged, PeriodChanged
from synchromesh.model.quantity import EXACT, Quantity

Status = Literal["planned", "released", "completed", "closed", "cancelled"]

_STEPS = [Decimal(1).scaleb(-decimals) for decimals in range(10)]
"""The finest amount of an item with so many decimals."""


class Register:
    """What exists. Each question raises `Refused` where the thing asked for does not exist or may not be used."""

    def __init__(self) -> None:
        self.items: dict[str, ItemChanged] = {}
        self.locations: dict[str, ErpLocation] = {}
        self.lots: dict[tuple[str, str], bool] = {}
        """By item and lot: whether it may be used."""
        self.orders: dict[str, ErpOrder] = {}
        self._periods: list[PeriodChanged] = []
        self._open: dict[date, bool] = {}

    def item(self, name: str) -> ItemChanged:
        item = self.items.get(name)
        if item is None:
            raise refusals.unknown_item(name)
        return item

    def location(self, name: str) -> str:
        if name not in self.locations:
            raise refusals.unknown_location(name)
        return name

    def existing_lot(self, item: ItemChanged, lot: str) -> str:
        """The lot that stock leaves or moves in: it exists, and is named if the item is kept by lot."""
        if (lot and (item.item, lot) not in self.lots) or (item.lot_controlled and not lot):
            raise refusals.unknown_lot(item.item, lot)
        return lot

    def new_lot(self, item: ItemChanged, lot: str) -> str:
        """The lot that stock enters: it may be new."""
        if item.lot_controlled and not lot:
            raise refusals.unknown_lot(item.item, lot)
        return lot

    def check_usable(self, item: str, lot: str, status: str) -> None:
        """Whether stock may go into an order."""
        if status:
            raise refusals.lot_not_usable(item, lot, f"in status {status!r}")
        if lot and not self.lots[item, lot]:
            raise refusals.lot_not_usable(item, lot, "blocked")

    def in_base_unit(self, item: ItemChanged, quantity: Quantity) -> Decimal:
        """The exact amount in the item's unit, at its decimals. What is finer is refused, never rounded."""
        amount = quantity.amount
        try:
            if quantity.unit != item.unit:
                for alternative in item.alternatives:
                    if alternative.unit == quantity.unit:
                        amount = EXACT.divide(EXACT.multiply(amount, alternative.numerator), Decimal(alternative.denominator))
                        break
                else:
                    raise refusals.missing_unit(item.item, quantity.unit, item.unit)
            return amount.quantize(_STEPS[item.decimals], context=EXACT)
        except Inexact:
            raise refusals.too_fine(item.item, quantity, item.decimals, item.unit) from None

    def add_order(self, order: ErpOrder) -> None:
        """An order is new or has changed. Raises `Refused` when it names what does not exist."""
        self.in_base_unit(self.item(order.item), order.quantity)
        for component in order.components:
            self.item(component.item)
        self.orders[order.order] = order

    def usable_order(self, number: str) -> ErpOrder:
        """The order, released or completed: a completed one still takes supplements, a closed one nothing."""
        order = self.orders.get(number)
        if order is None:
            raise refusals.unknown_order(number)
        if order.status == "planned":
            raise refusals.order_not_released(number)
        if order.status in ("closed", "cancelled"):
            raise refusals.order_closed(number, order.status)
        return order

    def set_status(self, number: str, status: Status) -> ErpOrder:
        order = msgspec.structs.replace(self.orders[number], status=status)
        self.orders[number] = order
        return order

    def add_period(self, period: PeriodChanged) -> None:
        """The newest word about a day counts."""
        self._periods.append(period)
        self._open.clear()

    def check_open(self, day: date) -> None:
        """A day that no period names is open."""
        open_ = self._open.get(day)
        if open_ is None:
            open_ = next((period.open for period in reversed(self._periods) if period.first <= day <= period.last), True)
            self._open[day] = open_
        if not open_:
            raise refusals.closed_period(day)
