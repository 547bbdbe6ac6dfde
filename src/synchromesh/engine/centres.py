"""Where an exception has its place on the shop floor: the work centre that its fact tells, or its order's operation has."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model.event import CanonicalEvent, FactCorrected
from synchromesh.plant import corrections
from synchromesh.plant.entities import Order
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import ExceptionRow, FactRow
from synchromesh.state.agreement import Reading

_order: Final = msgspec.msgpack.Decoder(Order).decode


def of_exception(reading: Reading, plant: str, row: ExceptionRow) -> str:
    """The work centre of what an exception is about, '' where nobody says."""
    return of_fact(reading, plant, reading.fact(plant, _position(reading, plant, row)), row.order)


def _position(reading: Reading, plant: str, row: ExceptionRow) -> int:
    """Where the first fact stands that the exception holds up."""
    posting = reading.posting(plant, id_of(row.posting)) if row.posting else None
    return posting.group if posting is not None else row.position


def of_fact(reading: Reading, plant: str, fact: FactRow | None, order: str = "") -> str:
    """The work centre that a fact tells, else that of its operation, or its order."""
    told = _said(fact)
    centre = next((found for each in told if (found := _text(each, "work_centre"))), "")
    name = order or (fact.order if fact is not None else "")
    if centre or not name:
        return centre
    value = reading.entities(plant, [("order", name)]).get(("order", name))
    operation = next((found for each in told if (found := _text(each, "operation"))), "")
    return _order(value).centre(operation) if value is not None else ""


def _said(fact: FactRow | None) -> tuple[CanonicalEvent, ...]:
    """The events of a fact, a corrected one as it should have been; none of what nobody understood."""
    told = corrections.decode_told(fact.told) if fact is not None and corrections.understood(fact) else ()
    return tuple(each.event if isinstance(each, FactCorrected) else each for each in told)


def _text(event: CanonicalEvent, name: str) -> str:
    return str(getattr(event, name, ""))
