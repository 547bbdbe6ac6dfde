"""Many facts become one set of documents; what closes a gather; what comes later is supplementary."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy

ORDERLY = Policy(gather="order")
BY_OPERATION = Policy(gather="operation")
ROUTING = (ev.Operation("saw"), ev.Operation("turn"), ev.Operation("pack"))


def report(good: int = 1, order: str = "4711", operation: str = "") -> ev.ProductionReported:
    return ev.ProductionReported(order, good=ea(good), operation=operation)


def kinds(world: World) -> list[str]:
    return [str(document.kind) for document in world.documents()]


def amounts(world: World) -> list[Decimal]:
    return [line.quantity.amount for document in world.documents() for line in document.lines]


def test_each_report_is_a_document_by_default() -> None:
    world = World()
    world.order()
    for _ in range(3):
        world.tell(report())
    world.step()
    assert amounts(world) == [1, 1, 1]


def test_all_reports_of_an_order_are_one_document_when_it_is_completed() -> None:
    world = World(ORDERLY)
    world.order()
    told = [world.tell(report()) for _ in range(10)]
    world.tell(ev.ProductionReported("4711", scrap=ea(2), reason="burr"))
    world.step()
    assert world.fates() == {"gathered": 11}
    assert world.documents() == []
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert kinds(world) == ["scrap", "receipt", "completion"]
    assert world.booked() == {("received", "GEAR"): 10, ("scrapped", "GEAR"): 2}
    assert {world.fact(at).group for at in told} == {told[0]}


def test_what_comes_after_the_closing_is_supplementary() -> None:
    world = World(ORDERLY)
    world.order()
    world.tell(report())
    world.tell(ev.OrderCompleted("4711"))
    world.tell(report(2))
    world.step()
    assert world.fates() == {"booked": 2, "gathered": 1}
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert kinds(world) == ["receipt", "completion", "receipt"]
    assert world.booked() == {("received", "GEAR"): 3}


def test_a_gather_closes_by_quantity_of_good_output_in_the_items_unit() -> None:
    world = World(msgspec.structs.replace(ORDERLY, gather_quantity=20))
    world.order()
    world.tell(ev.ProductionReported("4711", good=ev.amount(1, "BX"), held=ea(50)))
    world.step()
    assert world.documents() == []
    world.tell(report(8))
    world.step()
    assert world.booked() == {("received", "GEAR"): 70}
    world.tell(ev.ProductionReported("4711", good=ev.amount(1, "BX")))
    world.step()
    assert world.fates() == {"booked": 2, "gathered": 1}


def test_a_gather_closes_by_silence() -> None:
    world = World(msgspec.structs.replace(ORDERLY, gather_silence_seconds=60))
    world.order()
    world.tell(report())
    world.run(50)
    world.tell(report())
    world.run(50)
    assert world.documents() == []
    world.run(15)
    assert amounts(world) == [2]


def test_a_gather_closes_when_the_input_of_its_source_ends() -> None:
    world = World(ORDERLY)
    for order in ("4711", "4712"):
        world.order(order)
    world.tell(report(1, "4711"), source="file")
    world.tell(report(2, "4712"), source="other")
    world.tell(ev.InputEnded("file"), source="file")
    world.step()
    assert amounts(world) == [1]
    world.tell(ev.InputEnded("other"), source="other")
    world.step()
    assert amounts(world) == [1, 2]


def test_many_gathers_of_a_source_close_a_page_a_step() -> None:
    world = World(ORDERLY)
    for number in range(300):
        world.order(f"P{number}")
        world.tell(report(1, f"P{number}"))
    world.step()
    head = world.log.head()["oslo"]
    world.tell(ev.InputEnded("mes"))
    world.work()
    assert world.log.head()["oslo"] == head + 1 + 2
    world.step()
    assert len(world.documents()) == 300


@pytest.mark.parametrize("ends", ["completed", "next operation"])
def test_a_gather_of_an_operation_closes_with_it(ends: str) -> None:
    world = World(BY_OPERATION)
    world.order(operations=ROUTING)
    world.tell(report(3, operation="pack"))
    world.tell(report(4, operation="pack"))
    world.step()
    assert world.documents() == []
    world.tell(ev.OperationCompleted("4711", "pack") if ends == "completed" else report(7, operation="saw"))
    world.step()
    assert amounts(world) == [7]


def test_output_of_another_operation_is_counted_and_not_booked() -> None:
    world = World(BY_OPERATION)
    world.order(operations=ROUTING)
    world.tell(report(9, operation="saw"))
    world.step()
    assert world.fates() == {"recorded": 1}
    assert world.found_order().operations["saw"].good == {"EA": 9}


def consume(amount: int, order: str = "4712") -> ev.MaterialConsumed:
    return ev.MaterialConsumed(order, "GEAR", ea(amount), location="FG")


def test_a_gather_closes_because_somebody_needs_what_it_holds() -> None:
    world = World(ORDERLY)
    world.order("4711")
    world.master(ev.ItemChanged("PUMP", "EA"), ev.OrderChanged("4712", "PUMP", ea(5), location="FG"))
    world.tell(ev.StockObserved((), ("GEAR",)), source="erp")
    world.tell(report(5))
    world.step()
    assert world.documents() == []
    world.tell(consume(5))
    world.tell(ev.OrderCompleted("4712"))
    world.step()
    assert kinds(world) == ["receipt", "issue", "completion"]
    assert world.exceptions() == []


def test_a_gather_is_left_open_when_the_books_hold_enough() -> None:
    world = World(ORDERLY)
    world.order("4711")
    world.master(ev.ItemChanged("PUMP", "EA"), ev.OrderChanged("4712", "PUMP", ea(5), location="FG"))
    world.erp_knows(StockSet("GEAR", "FG", ea(20)))
    world.tell(ev.StockObserved((ev.StockLine("GEAR", "FG", ea(20)),)), source="erp")
    for _ in range(3):
        world.tell(report(5))
        world.tell(consume(6))
        world.tell(ev.OrderCompleted("4712"))
        world.step()
    assert world.found_order("4711").lane.gather is not None


def test_output_that_an_issue_waits_for_does_not_stay_in_a_gather() -> None:
    world = World(ORDERLY)
    world.order("4711")
    world.master(ev.ItemChanged("PUMP", "EA"), ev.OrderChanged("4712", "PUMP", ea(5), location="FG"))
    world.tell(ev.StockObserved((), ("GEAR",)), source="erp")
    world.tell(consume(5))
    world.tell(ev.OrderCompleted("4712"))
    world.step()
    assert world.documents() == []
    world.tell(report(5))
    world.step()
    assert kinds(world) == ["receipt", "issue", "completion"]


def test_a_change_to_booking_each_report_closes_what_was_gathered() -> None:
    world = World(ORDERLY)
    world.order()
    world.tell(report(2))
    world.activate(Policy())
    world.tell(report(3))
    world.step()
    assert amounts(world) == [5]
    assert world.fates() == {"booked": 2}


def test_a_gather_whose_sum_comes_to_nothing_is_recorded() -> None:
    world = World(ORDERLY)
    world.order()
    world.tell(report(2), id="r1")
    world.tell(ev.FactCancelled("mes", "r1"))
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert kinds(world) == ["completion"]
    assert world.fates() == {"recorded": 2, "booked": 1}


def test_the_day_of_a_gather_is_the_latest_of_its_facts() -> None:
    world = World(ORDERLY)
    world.order()
    world.tell(report(), occurred=world.time)
    world.tell(report(), occurred=world.time - timedelta(days=3))
    world.tell(ev.OrderCompleted("4711"), occurred=world.time - timedelta(days=3))
    world.step()
    assert world.documents()[0].effective == world.time.date()


def test_an_order_of_ten_thousand_cycles_is_one_document() -> None:
    world = World(ORDERLY)
    world.order(quantity="20000")
    told = [world.tell(report(1)) for _ in range(2_000)]
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert amounts(world) == [2_000]
    assert {world.fact(at).group for at in told} == {told[0]}


def test_what_had_waited_when_its_source_ended_is_booked_when_it_goes_on() -> None:
    """The end of the input has closed the gathers that there were; the one that the fact joins later closes right behind it."""
    world = World(Policy(gather="order"))
    world.order("4712")
    for number in range(3):
        world.tell(ev.ProductionReported("4711", good=ea(5)), id=f"r{number}", source="file")
    world.tell(ev.InputEnded("file"), source="file")
    world.step()
    assert world.fates() == {"waiting": 3}
    world.master(ev.OrderChanged("4711", "GEAR", ea(99), location="FG"))
    assert world.fates() == {"booked": 3}
    assert [line.quantity for line in world.postings_lines()] == [ea(15)], "one gather, closed when all had joined it"


def test_what_is_told_after_the_end_of_its_source_is_gathered_as_before() -> None:
    world = World(Policy(gather="order"))
    world.order()
    world.tell(ev.InputEnded("file"), source="file")
    world.step()
    world.tell(ev.ProductionReported("4711", good=ea(5)), source="file")
    world.step()
    assert world.fates() == {"gathered": 1}
