"""What the types of an event can't say: which amounts may not be negative."""

from __future__ import annotations

from synchromesh.model.event import (
    CanonicalEvent,
    FactCorrected,
    FactRepaired,
    FactReplayed,
    MaterialConsumed,
    MaterialTransferred,
    OrderChanged,
    ProductionReported,
    ScrapRecorded,
)
from synchromesh.model.quantity import Quantity, QuantityError


class NegativeAmount(QuantityError):
    """An amount below zero where none can be meant; `field` is the event's field."""

    def __init__(self, field: str, quantity: Quantity) -> None:
        self.field = field
        super().__init__(f"{field} is {quantity}, but what is reported can't be negative: correct or cancel the fact that was wrong")


def check(event: CanonicalEvent) -> None:
    """Refuse an event with a negative amount where only a correction can take back. Raises `NegativeAmount`."""
    match event:
        case ProductionReported():
            for quantity in (event.good, event.scrap, event.held, event.rework):
                if quantity is not None and quantity.amount < 0:
                    raise NegativeAmount(_field_of(event, quantity), quantity)
        case MaterialConsumed() | ScrapRecorded() | MaterialTransferred():
            _positive("quantity", event.quantity)
        case FactReplayed():
            for each in event.events:
                check(each)
        case FactCorrected() | FactRepaired():
            check(event.event)
        case OrderChanged():
            _positive("quantity", event.quantity)
            for component in event.components:
                _positive("components", component.quantity)
        case _:
            pass


def _positive(field: str, quantity: Quantity) -> None:
    if quantity.amount < 0:
        raise NegativeAmount(field, quantity)


def _field_of(event: CanonicalEvent, quantity: Quantity) -> str:
    return next(field for field in event.__struct_fields__ if getattr(event, field) is quantity)
