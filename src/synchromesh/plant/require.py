"""What a fact needs before it can be folded: the things it names are known, its amounts can be booked. Checked for a whole
fact before anything changes, so that a fact is folded whole or not at all."""

from __future__ import annotations

from synchromesh.model import subject
from synchromesh.model.posting import Category
from synchromesh.model.quantity import Quantity
from synchromesh.model.unit import MissingConversion
from synchromesh.plant import waiting
from synchromesh.plant.act import Missing, Refused
from synchromesh.plant.entities import Item, Order
from synchromesh.plant.postings import units_of
from synchromesh.plant.view import View


def order(view: View, name: str) -> Order:
    """The order, known and open for reports. Raises `Missing` until ERP has it and has released it, `Refused` when it is closed."""
    known = view.order(name)
    if known is None:
        raise Missing(subject.order(name))
    if known.status == "planned":
        raise Missing(waiting.release_of(name), name)
    if known.status in ("closed", "cancelled"):
        raise Refused(
            Category.ORDER_CLOSED,
            subject.order(name),
            f"Order {name} is {known.status} in ERP and takes no more reports.",
            "Reopen the order in ERP, and this goes on by itself; or dismiss it.",
            name,
        )
    return known


def item(view: View, name: str, order_name: str = "") -> Item:
    known = view.item(name)
    if known is None:
        raise Missing(subject.item(name), order_name)
    return known


def location(view: View, name: str, order_name: str = "") -> None:
    """A place that is named must be known; '' leaves it to the order or to ERP."""
    if name and view.get("location", name) is None:
        raise Missing(subject.location(name), order_name)


def amount(known: Item, quantity: Quantity | None, order_name: str = "", signed: bool = False) -> None:
    """The amount is not negative and its unit leads to the item's. Raises `Refused` or, for the unit, `Missing`."""
    if quantity is None:
        return
    if quantity.amount < 0 and not signed:
        raise Refused(
            Category.INVALID,
            subject.item(known.item),
            f"The quantity {quantity} is negative; a report says what happened, and a correction what did not.",
            "Send a correction or a cancellation of the earlier report.",
            order_name,
        )
    if quantity.unit != known.unit:
        try:
            units_of(known).factor(quantity.unit, known.unit)
        except MissingConversion:
            raise Missing(subject.unit(quantity.unit, known.item), order_name) from None
