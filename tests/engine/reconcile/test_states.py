"""States of orders and lots as each system tells them, and where they disagree."""

from __future__ import annotations

from datetime import date, timedelta

from tests.engine.reconcile.desk import compared, states, world_of
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy


def done(world: World) -> None:
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.tell(ev.OrderCompleted("4711"))


def as_erp_says(world: World, status: str) -> None:
    world.tell(ev.OrderChanged("4711", "GEAR", ea(100), status, location="FG"), source="erp")  # type: ignore[arg-type]
    world.step()


def test_orders_that_agree_have_no_rows() -> None:
    world = world_of()
    done(world)
    world.step()
    as_erp_says(world, "completed")
    report = compared(world, "states")
    assert (report.compared, report.states) == (1, ())


def test_an_order_that_the_plant_is_done_with_and_erp_is_not() -> None:
    world = world_of()
    world.erp_knows(ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=False))
    done(world)
    world.step()
    (row,) = states(world)
    assert row.said == {"MES": "completed", "erp": "released"}
    assert row.explained == f"its completion {world.postings()[1].key} is waiting"
    assert compared(world, "states").beyond == 0


def test_an_order_that_erp_was_never_told_of_says_so() -> None:
    world = world_of(Policy(completions=False))
    done(world)
    world.step()
    (row,) = states(world)
    assert row.explained == "the plant's policy tells ERP nothing of completions"


def test_what_erp_says_of_an_order_that_it_just_completed_is_on_its_way() -> None:
    world = world_of()
    done(world)
    world.step()
    (row,) = states(world)
    assert row.explained == f"its completion is booked as {world.postings()[1].document}, and ERP's word of it is on its way"
    assert compared(world, "states").beyond == 0


def test_a_completion_that_erp_booked_long_ago_and_does_not_say_is_not_explained() -> None:
    world = world_of()
    done(world)
    world.step()
    world.time += timedelta(minutes=16)
    (row,) = states(world)
    assert (row.explained, compared(world, "states").beyond) == ("", 1)


def test_an_order_that_erp_cancelled_while_the_plant_reported() -> None:
    world = world_of()
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    as_erp_says(world, "cancelled")
    (row,) = states(world)
    assert (row.sentence, row.explained) == ("ERP has cancelled order 4711, and the plant has reported to it.", "")


def test_erp_is_done_and_the_plant_is_not() -> None:
    world = world_of(Policy(gather="order"))
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.step()
    as_erp_says(world, "closed")
    (row,) = states(world)
    assert (row.said["MES"], row.explained) == ("reporting", "1 fact(s) of it are gathered")


def test_orders_that_the_plant_works_on_and_erp_does_not_know_or_has_not_released() -> None:
    world = world_of()
    as_erp_says(world, "planned")
    world.tell(ev.ProductionReported("4711", good=ea(5)))
    world.tell(ev.ProductionReported("4799", good=ea(5)))
    world.step()
    assert [(row.about, row.said["erp"], row.explained) for row in states(world)] == [
        ("order 4711", "planned", "1 fact(s) wait for it"),
        ("order 4799", "unknown", "1 fact(s) wait for it"),
    ]


def test_a_lot_that_one_system_blocks_and_another_one_uses() -> None:
    world = world_of()
    world.erp_knows(StockSet("BAR", "RM", ea(5), lot="L1"), StockSet("BAR", "RM", ea(5), lot="L2"))
    lines = (ev.StockLine("BAR", "RM", ea(5), "L1", "blocked"), ev.StockLine("BAR", "RM", ea(5), "L2"))
    world.tell(ev.StockSnapshotTaken("wms", world.time, lines), source="wms")
    world.step()
    (row,) = states(world)
    assert (row.about, row.said) == ("lot BAR/L1", {"erp": "usable", "wms": "blocked"})


def test_each_system_is_a_column_of_its_own() -> None:
    world = world_of()
    world.erp_knows(StockSet("BAR", "RM", ea(5), lot="L1"))
    for system, status in (("wms", "blocked"), ("qms", "in inspection")):
        line = ev.StockLine("BAR", "RM", ea(5), "L1", status)
        world.tell(ev.StockSnapshotTaken(system, world.time, (line,)), source=system)
    world.step()
    (row,) = states(world)
    assert row.said == {"erp": "usable", "qms": "in inspection", "wms": "blocked"}
