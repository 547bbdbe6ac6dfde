"""What the types of an event can't say: which amounts may not be negative."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from synchromesh.model.event import (
    CanonicalEvent,
    Event,
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
    told = _AMOUNTS.get(type(event))
    if told is None:
        return
    for name, quantity in told(event):
        if quantity is not None and quantity.amount < 0:
            raise QuantityError(
                f"{name} is {quantity}, but an amount that is reported can't be negative; correct or cancel the fact that was wrong - at `$.{name}`"
            )


def _reported(event: ProductionReported) -> tuple[tuple[str, Quantity | None], ...]:
    return ("good", event.good), ("scrap", event.scrap), ("held", event.held), ("rework", event.rework)


def _one(event: MaterialConsumed | ScrapRecorded | MaterialTransferred) -> tuple[tuple[str, Quantity | None], ...]:
    return (("quantity", event.quantity),)


def _ordered(event: OrderChanged) -> Iterator[tuple[str, Quantity | None]]:
    yield "quantity", event.quantity
    for component in event.components:
        yield "components", component.quantity


def _corrected(event: FactCorrected) -> tuple[tuple[str, Quantity | None], ...]:
    check(event.event)
    return ()


_AMOUNTS: Final[dict[type[Event], Callable[..., Iterable[tuple[str, Quantity | None]]]]] = {
    ProductionReported: _reported,
    MaterialConsumed: _one,
    ScrapRecorded: _one,
    MaterialTransferred: _one,
    OrderChanged: _ordered,
    FactCorrected: _corrected,
}
