"""What workers tell wrongly and what a system of theirs writes in its own words: what came, and what was meant.

Nothing here comes from mapping, plant or engine: the truth must not lean on what it judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from synchromesh.model.event import (
    FactCancelled,
    FactCorrected,
    MaterialConsumed,
    MaterialTransferred,
    PlantEvent,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    TimeRecorded,
)
from synchromesh.model.message import Message
from synchromesh.model.quantity import Quantity
from synchromesh.sim.catalogue import lots
from synchromesh.sim.chance import Chance
from synchromesh.sim.faults import Arrivals
from synchromesh.sim.history import History
from synchromesh.sim.told import FactId, Scene, Told

MISSPELT: Final = "MISSPELT-"
"""What the name of an item begins with that a worker got wrong; ERP will never know it."""

INTERFACE: Final = "wms/1"
"""Under which the WMS sends consumptions in its own words, where a night has such messages."""

KILO: Final = "kilo"
"""How the WMS calls a kilogram."""

_UNITS: Final = frozenset({"EA", "KGM", "GRM", "MTR", "CMT", "LTR", "MLT"})

_PLAIN: Final = (ProductionReported, MaterialConsumed, ScrapRecorded, TimeRecorded, MaterialTransferred, StockAdjusted)


class Slip(msgspec.Struct, frozen=True):
    """`meant` was true, and the message about it said something else, or nothing that can be read. Its worker knows better by now."""

    meant: Told
    readable: bool


class Slips(msgspec.Struct, frozen=True):
    """A history as it reaches the log: `arrivals` with what workers said, the scene with the names that they made up, and their slips."""

    scene: Scene
    arrivals: Arrivals
    slips: tuple[Slip, ...]


def slipped(past: History, arrivals: Arrivals, seed: int, rate: float) -> Slips:
    """Some facts that nobody corrects by a message are told wrongly, and some that nobody can read are remembered."""
    if not rate:
        return Slips(past.scene, arrivals, ())
    return _Workers(past, arrivals, Chance(seed, "slips"), rate).tell()


class _Workers:
    def __init__(self, past: History, arrivals: Arrivals, chance: Chance, rate: float) -> None:
        self._past = past
        self._arrivals = arrivals
        self._chance = chance
        self._rate = rate
        self._revised = revised(past.told)
        self._items = dict(past.scene.items)

    def tell(self) -> Slips:
        said = {one.fact: wrong for one in self._arrivals.told if (wrong := self._misspoken(one)) is not None}
        unreadable = {one.fact for one in self._past.told} - {one.fact for one in self._arrivals.told}
        slips = [Slip(one, one.fact in said) for one in self._past.told if one.fact in said or one.fact in unreadable]
        never = frozenset(self._past.scene.never) | {name for name in self._items if name.startswith(MISSPELT)}
        scene = msgspec.structs.replace(self._past.scene, items=self._items, never=never)
        messages = tuple(self._as_said(message, said) for message in self._arrivals.messages)
        told = tuple(said.get(one.fact, one) for one in self._arrivals.told)
        return Slips(scene, Arrivals(messages, told), tuple(slips))

    def _as_said(self, message: Message, said: Mapping[FactId, Told]) -> Message:
        told = said.get(FactId(message.partition, message.source, message.id))
        same = told is not None and message.body == self._meant(told).body()
        return msgspec.structs.replace(message, body=told.body()) if told is not None and same else message

    def _meant(self, told: Told) -> Told:
        return next(one for one in self._arrivals.told if one.fact == told.fact)

    def _misspoken(self, one: Told) -> Told | None:
        """The fact as a worker tells it by mistake, now and then."""
        names = {getattr(one.event, field, "") for field in ("order", "item")}
        if not isinstance(one.event, _PLAIN) or one.fact in self._revised or names & self._past.scene.never:
            return None
        if not self._chance.happens(self._rate):
            return None
        said = self._wrong(one.plant, one.event)
        return msgspec.structs.replace(one, event=said) if said != one.event else None

    def _wrong(self, plant: str, event: PlantEvent) -> PlantEvent:
        chance = self._chance
        match event:
            case ProductionReported() if event.good is not None:
                return msgspec.structs.replace(event, good=self._more(event.good))
            case TimeRecorded():
                return msgspec.structs.replace(event, machine_seconds=event.machine_seconds + chance.whole(1, 500))
            case MaterialConsumed() if chance.happens(0.6):
                return self._something_else(plant, event)
            case MaterialConsumed() | ScrapRecorded() | MaterialTransferred() | StockAdjusted():
                return msgspec.structs.replace(event, quantity=self._more(event.quantity))
        return event

    def _something_else(self, plant: str, event: MaterialConsumed) -> MaterialConsumed:
        """Another item that nobody knows, another lot, or another order than the one that was meant."""
        item = self._items[event.item]
        if self._chance.happens(0.4):
            name = MISSPELT + event.item
            self._items[name] = msgspec.structs.replace(item, item=name)
            return msgspec.structs.replace(event, item=name)
        if event.location and self._chance.happens(0.5):
            others = [name for name in self._past.scene.orders if name.startswith(plant) and name not in self._past.scene.never]
            return msgspec.structs.replace(event, order=self._chance.one(others), into_lot="")
        return msgspec.structs.replace(event, lot=self._chance.one(lots(plant, item))) if item.item != "PUMP" else event

    def _more(self, quantity: Quantity) -> Quantity:
        return Quantity(quantity.amount * self._chance.whole(2, 9), quantity.unit)


def revised(told: Sequence[Told]) -> set[FactId]:
    """The facts that a source itself corrects or cancels, and its corrections."""
    found: set[FactId] = set()
    for one in told:
        if isinstance(one.event, FactCorrected | FactCancelled):
            found |= {one.fact, FactId(one.plant, one.event.source, one.event.id)}
    return found


# --- a system's own words ----------------------------------------------------------------------------------------------------


def in_own_words(said: Slips, past: History) -> Arrivals:
    """Consumptions that nobody corrects come from the WMS as it writes them, each once; all else as before."""
    arrivals = said.arrivals
    kept = revised(past.told) | {slip.meant.fact for slip in said.slips}
    own = {one.fact: one for one in arrivals.told if _is_paper(one) and one.fact not in kept}
    messages, seen = [], set()
    for message in arrivals.messages:
        told = own.get(FactId(message.partition, message.source, message.id))
        if told is None:
            messages.append(message)
        elif told.fact not in seen:
            seen.add(told.fact)
            messages.append(msgspec.structs.replace(message, body=paper(told), interface=INTERFACE, occurred=None))
    return Arrivals(tuple(messages), arrivals.told)


def _is_paper(told: Told) -> bool:
    """Whether the WMS writes it in its own words, in which an item's own units have no names."""
    return told.source == "wms" and isinstance(told.event, MaterialConsumed) and told.event.quantity.unit in _UNITS


def paper(told: Told) -> bytes:
    """What the WMS writes of a consumption."""
    event = told.event
    assert isinstance(event, MaterialConsumed)
    unit = KILO if event.quantity.unit == "KGM" else event.quantity.unit
    row = {
        "id": told.id, "at": told.at.isoformat(), "order": event.order, "item": event.item, "amount": str(event.quantity.amount),
        "planned": str(planned(event).amount), "unit": unit, "step": event.operation, "lot": event.lot, "place": event.location,
        "into": event.into_lot,
    }  # fmt: skip
    return msgspec.json.encode(row)


def planned(event: MaterialConsumed) -> Quantity:
    """What the WMS had meant to take out, which is not what was taken."""
    return Quantity(event.quantity.amount * 3, event.quantity.unit)


def misread(event: PlantEvent) -> PlantEvent | None:
    """What a reader makes of the WMS's words who takes the planned amount for the true one and does not know what a kilo is."""
    assert isinstance(event, MaterialConsumed)
    return None if event.quantity.unit == "KGM" else msgspec.structs.replace(event, quantity=planned(event))
