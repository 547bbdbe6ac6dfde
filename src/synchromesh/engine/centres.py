"""Where an exception has its place on the shop floor: the work centre that its fact tells, or its order's operation has."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from synchromesh.model.event import CanonicalEvent, FactCorrected
from synchromesh.plant import corrections
from synchromesh.plant.entities import Order
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import ExceptionRow, FactRow, PostingId
from synchromesh.plant.view import Loads
from synchromesh.state.agreement import Reading

_order: Final = msgspec.msgpack.Decoder(Order).decode


def of_exception(reading: Reading, plant: str, row: ExceptionRow) -> str:
    """The work centre of what an exception is about, '' where nobody says."""
    return of_fact(reading, plant, reading.fact(plant, _position(reading, plant, row)), row.order)


def _position(reading: Reading, plant: str, row: ExceptionRow) -> int:
    """Where the first fact stands that the exception holds up."""
    posting = reading.posting(plant, id_of(row.posting)) if row.posting else None
    return posting.group if posting is not None else row.position


def of_exceptions(moment: Loads, plant: str, rows: Collection[ExceptionRow]) -> dict[PostingId, str]:
    """The work centres of many exceptions of a plant, by exception: three questions to the store, however many they are."""
    postings = moment.postings(plant, sorted({id_of(row.posting) for row in rows if row.posting}))
    at = {
        (row.position, row.ordinal): postings[id_].group if row.posting and (id_ := id_of(row.posting)) in postings else row.position
        for row in rows
    }
    facts = moment.facts(plant, sorted(set(at.values())))
    names = {id_: _order_of(row, facts.get(at[id_])) for row in rows if (id_ := (row.position, row.ordinal))}
    orders = moment.load(plant, "order", sorted(set(filter(None, names.values()))))
    return {id_: _centre(_said(facts.get(at[id_])), orders.get(name)) for id_, name in names.items()}


def of_fact(reading: Reading, plant: str, fact: FactRow | None, order: str = "") -> str:
    """The work centre that a fact tells, else that of its operation, or its order."""
    told, name = _said(fact), order or (fact.order if fact is not None else "")
    if not name or _named(told):
        return _centre(told, None)
    return _centre(told, reading.entities(plant, [("order", name)]).get(("order", name)))


def _order_of(row: ExceptionRow, fact: FactRow | None) -> str:
    return row.order or (fact.order if fact is not None else "")


def _named(told: tuple[CanonicalEvent, ...]) -> str:
    """The work centre that the events of a fact name."""
    return next((found for each in told if (found := _text(each, "work_centre"))), "")


def _centre(told: tuple[CanonicalEvent, ...], order: bytes | None) -> str:
    """The work centre that a fact tells, else what its order says, if that is known."""
    if (centre := _named(told)) or order is None:
        return centre
    return _order(order).centre(next((found for each in told if (found := _text(each, "operation"))), ""))


def _said(fact: FactRow | None) -> tuple[CanonicalEvent, ...]:
    """The events of a fact, a corrected one as it should have been; none of what nobody understood."""
    told = corrections.decode_told(fact.told) if fact is not None and corrections.understood(fact) else ()
    return tuple(each.event if isinstance(each, FactCorrected) else each for each in told)


def _text(event: CanonicalEvent, name: str) -> str:
    return str(getattr(event, name, ""))
