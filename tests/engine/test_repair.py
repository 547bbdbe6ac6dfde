"""Decisions of people: each is checked, foreseen, taken once, and stands in the audit trail with what came of it."""

from __future__ import annotations

import pytest
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.engine.queue import Unknown
from synchromesh.engine.repair import Desk, NotFitting
from synchromesh.model import event as ev
from synchromesh.model.posting import Category, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import ExceptionRow


def desk_of(world: World) -> Desk:
    """A desk whose worker goes on as soon as it is asked to wait."""

    def settled(plant: str, position: int) -> bool:
        world.step()
        return world.worker.positions[plant] >= position

    return Desk([PLANT], world.store.reading(), world.log, now=lambda: world.time, settled=settled)


def refusing(orders: int = 3, policy: Policy | None = None, rules: Rules | None = None) -> World:
    """So many orders, each with a report that ERP refuses because it does not know the item."""
    world = World(policy, rules)
    for number in range(orders):
        world.order(f"47{number:02}")
    world.erp_forgets("GEAR")
    for number in range(orders):
        world.tell(ev.ProductionReported(f"47{number:02}", good=ea(5)))
    world.step()
    return world


def only(world: World) -> ExceptionRow:
    (row,) = world.exceptions()
    return row
