"""The words of a simulation: what plants tell, what ERP knows, and when.

All times are virtual. Nothing here comes from mapping, plant or engine: the truth must not lean on what it judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final, NamedTuple

import msgspec

from synchromesh.model.event import EnterpriseEvent, ItemChanged, OrderChanged, PlantEvent, StockLine
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Aware

SOURCES: Final = frozenset({"mes", "wms", "terminal"})
"""Who tells facts in a simulated plant."""

_ENCODER: Final = msgspec.json.Encoder()


class FactId(NamedTuple):
    """Who told what: the identity of a fact, unique for ever."""

    plant: str
    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.plant}: {self.source} {self.id}"


class Told(msgspec.Struct, frozen=True):
    """One fact of a plant's true history: at `at` (when it happened) `source` noted `event` under `id`."""

    at: Aware
    plant: str
    source: str
    id: str
    event: PlantEvent

    @property
    def fact(self) -> FactId:
        return FactId(self.plant, self.source, self.id)

    def body(self) -> bytes:
        """The JSON in which the source tells it."""
        return _ENCODER.encode(self.event)

    def message(self, received: Aware, body: bytes | None = None, id: str = "") -> Message:
        """The message as an edge makes it, `received` then; `body` and `id` replace the true ones."""
        return Message(self.plant, self.source, id or self.id, NATIVE, received, self.body() if body is None else body, occurred=self.at)


class Known(msgspec.Struct, frozen=True):
    """From `at` on ERP knows `event`: an item, a location, an order, a period. `plant` is '' for what belongs to all."""

    at: Aware
    plant: str
    event: EnterpriseEvent


class Scene(msgspec.Struct, frozen=True):
    """What is true of the world beside the facts: the things that exist, whether ERP knows them or not.

    `orders` are by number, which is unique over all plants. `opening` is ERP's stock at the beginning. `zones` gives each plant's
    IANA zone. `confirmations`: whether ERP is told what was done at each operation, and how long it took. `never` names items and orders
    that exist in the plant and that ERP will never know; `closed_period` is what becomes of facts whose posting period is closed: they
    are booked on the first open day, wait, or a person is asked. `yield_operation` is the one whose good output is an order's yield, '' to
    let the order say. `homes` says to which plant each location belongs. `gather`: what of an order becomes one document.
    """

    items: Mapping[str, ItemChanged]
    orders: Mapping[str, OrderChanged]
    opening: tuple[StockLine, ...]
    zones: Mapping[str, str]
    never: Set[str] = frozenset()
    closed_period: str = "first open day"
    homes: Mapping[str, str] = {}
    confirmations: bool = False
    yield_operation: str = ""
    gather: str = "report"
