"""A desk over a world, and rows in words that a test can compare."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.records import Rules, StockSet
from synchromesh.engine.reconcile.reconciler import Reconciler
from synchromesh.engine.reconcile.split import Share
from synchromesh.engine.reconcile.views import OrderRow, Report, StateRow, StockRow
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy

BOX = ev.AlternativeUnit("BX", 12)


def world_of(policy: Policy | None = None, rules: Rules | None = None, stock: int = 100) -> World:
    """Order 4711 makes GEAR into FG from BAR in RM, of which there are 100; ERP's stock was read."""
    world = World(policy, rules)
    world.order()
    world.master(ev.ItemChanged("BAR", "EA", alternatives=(BOX,)))
    world.erp_knows(StockSet("BAR", "RM", ea(stock)))
    world.tell(ev.StockObserved((ev.StockLine("BAR", "RM", ea(stock)),), ("BAR", "GEAR")), source="erp")
    world.step()
    return world


def desk_of(world: World) -> Reconciler:
    return Reconciler({PLANT: "erp"}, world.store.reading(), world.log, lambda _: world.erp, now=lambda: world.time)


def compared(world: World, scope: str) -> Report:
    return asyncio.run(desk_of(world).compare(scope, PLANT))


def kept(world: World, scope: str, *, scheduled: bool = False) -> Report:
    """A run that is kept, and folded."""
    report = asyncio.run(desk_of(world).run(scope, PLANT, scheduled=scheduled))
    world.step()
    return report


def stock(world: World) -> list[StockRow]:
    return sorted(compared(world, "stock").stock, key=lambda row: (row.system, row.item, row.location))


def orders(world: World) -> list[OrderRow]:
    return sorted(compared(world, "orders").orders, key=lambda row: (row.order, row.kind, row.item))


def states(world: World) -> list[StateRow]:
    return sorted(compared(world, "states").states, key=lambda row: row.about)


def parts(row: StockRow | OrderRow) -> dict[str, Decimal]:
    """The parts that are something, which sum to the difference."""
    assert sum(share.amount for share in row.parts) == row.difference, row
    return {str(share.part): share.amount for share in row.parts if share.amount}


def share(row: StockRow | OrderRow, part: str) -> Share:
    return next(each for each in row.parts if each.part == part)
