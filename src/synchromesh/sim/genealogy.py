"""Which lots went into which: by what plants told in the end, and by what the system says, from either side of each edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from synchromesh.model.event import MaterialConsumed, OrderChanged, PlantEvent, ProductionReported
from synchromesh.sim.case import Case
from synchromesh.sim.evidence import Edge
from synchromesh.sim.verdict import Fault, Finding


def edges_of(plant: str, event: PlantEvent, orders: Mapping[str, OrderChanged]) -> Iterator[Edge]:
    """The edges that an event tells of. Nothing is made from itself: what is worked over again stays the same lot."""
    match event:
        case ProductionReported(order=order, lot=child, consumed_lots=parents) if child:
            told = [(parent, f"{orders[order].item}/{child}") for parent in parents]
        case MaterialConsumed(order=order, item=item, lot=lot, into_lot=child) if lot and child:
            told = [(f"{item}/{lot}", f"{orders[order].item}/{child}")]
        case _:
            told = []
    yield from (Edge(plant, parent, child) for parent, child in told if parent != child)


def genealogy_agrees(case: Case) -> Iterator[Finding]:
    """Each edge that was told in the end can be walked from both lots, and no other: what a correction took back is no edge any more."""
    true = {edge for fact, event in case.finals.items() for edge in edges_of(fact.plant, event, case.scene.orders)}
    for name, known in (("made from", case.evidence.made_from), ("went into", case.evidence.went_into)):
        for edge in sorted(true - known):
            yield Finding(Fault.LOST, f"lot {edge.child} was made from {edge.parent}, and {edge.plant} does not know what {name} what")
        for edge in sorted(known - true):
            yield Finding(Fault.UNEXPLAINED, f"{edge.plant} says that {edge.parent} went into {edge.child}, and nobody tells it (any more)")
    for edge in sorted(case.evidence.made_from ^ case.evidence.went_into):
        yield Finding(Fault.UNEXPLAINED, f"{edge.plant} knows that {edge.parent} went into {edge.child} from one side only")
