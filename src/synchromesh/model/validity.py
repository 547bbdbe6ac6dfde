"""What the types of an event can't say: which amounts may not be negative."""

from __future__ import annotations

from synchromesh.model.event import (
    CanonicalEvent,
    FactCorrected,
    MaterialConsumed,
    MaterialTransferred,
    OrderChanged,
    ProductionReported,
    ScrapRecorded,
)
from synchromesh.model.quantity import Quantity, QuantityError


def check(event: CanonicalEvent) -> None:
    """Refuse an event with a negative amount where only a correction can take back. Raises `QuantityError` naming the field."""
    match event:
        case ProductionReported():
            _positive("good", event.good)
            _positive("scrap", event.scrap)
            _positive("held", event.held)
            _positive("rework", event.rework)
        case MaterialConsumed() | ScrapRecorded() | MaterialTransferred():
            _positive("quantity", event.quantity)
        case FactCorrected():
            check(event.event)
        case OrderChanged():
            _positive("quantity", event.quantity)
            for component in event.components:
                _positive("components", component.quantity)
        case _:
            pass


def _positive(field: str, quantity: Quantity | None) -> None:
    if quantity is not None and quantity.amount < 0:
        raise QuantityError(f"{field} is {quantity}, but what is reported can't be negative: correct or cancel the fact that was wrong")
