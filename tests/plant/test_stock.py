"""Two ledgers, and who waits for stock: for quantity, never in a circle, and not for ever."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant.entities import Lot
from synchromesh.plant.policy import Policy


def world_of(stock: int = 0, policy: Policy | None = None) -> World:
    """Order 4711 makes GEAR into FG; order 4712 makes PUMP of GEAR from FG."""
    world = World(policy)
    world.order("4711")
    world.master(ev.ItemChanged("PUMP", "EA"), ev.OrderChanged("4712", "PUMP", ea(50), location="FG"))
    world.erp_knows(StockSet("GEAR", "FG", ea(stock)))
    world.tell(ev.StockObserved((ev.StockLine("GEAR", "FG", ea(stock)),)), source="erp")
    world.step()
    return world


def make(world: World, good: int, **more: str) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good), **more))


def use(world: World, amount: int, order: str = "4712", **more: str) -> int:
    return world.tell(ev.MaterialConsumed(order, "GEAR", ea(amount), location="FG", **more))


def states(world: World) -> list[tuple[str, str]]:
    return [(row.kind, row.state) for row in world.postings()]


def test_reports_move_one_ledger_and_documents_the_other() -> None:
    world = world_of()
    make(world, 5)
    world.work()
    balance = world.balance("GEAR", "FG")
    assert (balance.reported, balance.booked, balance.pending) == ({"EA": 5}, 0, 5)
    world.step()
    balance = world.balance("GEAR", "FG")
    assert (balance.booked, balance.pending, balance.claimed) == (5, 0, 0)


def test_an_issue_that_the_books_cover_is_sent_at_once() -> None:
    world = world_of(5)
    use(world, 5)
    world.step()
    assert states(world) == [("issue", "posted")]


def test_an_issue_waits_for_the_receipt_that_was_decided_before_it() -> None:
    world = world_of()
    world.faults.arm(Fault.LOCKED)
    make(world, 5)
    use(world, 5)
    world.step()
    assert states(world) == [("receipt", "ready"), ("issue", "waiting")]
    assert world.postings()[1].waits_for == "stock of item GEAR at FG"
    world.run(10)
    assert states(world) == [("receipt", "posted"), ("issue", "posted")]


def test_an_issue_waits_for_a_receipt_that_is_only_late() -> None:
    world = world_of()
    use(world, 5)
    world.step()
    assert states(world) == [("issue", "waiting")]
    make(world, 5)
    world.step()
    assert states(world) == [("issue", "posted"), ("receipt", "posted")]


def test_issues_get_stock_in_the_order_they_began_to_wait() -> None:
    world = world_of()
    world.master(ev.OrderChanged("4713", "PUMP", ea(50), location="FG"))
    use(world, 5)
    use(world, 1, "4713")
    make(world, 4)
    world.step()
    assert states(world) == [("issue", "waiting"), ("issue", "waiting"), ("receipt", "posted")]
    make(world, 2)
    world.step()
    assert {state for _, state in states(world)} == {"posted"}


def test_what_waits_for_stock_stops_its_own_lane_only() -> None:
    world = world_of()
    use(world, 5)
    world.tell(ev.ProductionReported("4712", good=ea(1)))
    world.tell(ev.MaterialTransferred("PUMP", ea(1), "FG", "RM"))
    make(world, 2)
    world.step()
    assert states(world) == [("issue", "waiting"), ("receipt", "waiting"), ("transfer", "rejected"), ("receipt", "posted")]
    world.own(ev.FactDismissed(world.postings()[2].position, "ann", "a test"))
    world.step()


def test_a_hopeless_issue_is_sent_when_patience_ends_and_erp_judges() -> None:
    world = world_of(3, Policy(stock_patience_minutes=10))
    use(world, 5)
    world.step()
    world.time += timedelta(minutes=9)
    world.step()
    assert states(world) == [("issue", "waiting")]
    world.time += timedelta(minutes=1, seconds=1)
    world.step()
    assert states(world) == [("issue", "rejected")]
    assert world.exceptions()[0].category == Category.INSUFFICIENT_STOCK


def test_patience_is_longer_while_stock_is_on_its_way() -> None:
    world = world_of(0, Policy(stock_patience_minutes=10))
    world.faults.arm(Fault.CLOSED_PERIOD)
    make(world, 5)
    use(world, 5)
    world.step()
    world.time += timedelta(minutes=25)
    world.step()
    assert states(world) == [("receipt", "rejected"), ("issue", "waiting")]
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
    world.step()
    assert world.exceptions() == []
    assert world.booked("4712") == {("issued", "GEAR"): 5}


def test_an_issue_before_its_own_orders_receipt_is_no_circle() -> None:
    world = world_of(0, Policy(stock_patience_minutes=10))
    use(world, 5, "4711")
    make(world, 5)
    world.step()
    assert states(world) == [("issue", "waiting"), ("receipt", "waiting")]
    world.time += timedelta(minutes=11)
    world.step()
    assert states(world) == [("issue", "rejected"), ("receipt", "waiting")]


def test_two_orders_that_wait_for_each_other_do_not_wait_for_ever() -> None:
    world = world_of(0, Policy(stock_patience_minutes=10))
    world.tell(ev.StockObserved((), ("PUMP",)), source="erp")
    world.tell(ev.MaterialConsumed("4711", "PUMP", ea(1), location="FG"))
    make(world, 5)
    use(world, 5)
    world.tell(ev.ProductionReported("4712", good=ea(1)))
    world.step()
    assert states(world) == [("issue", "waiting"), ("receipt", "waiting"), ("issue", "waiting"), ("receipt", "waiting")]
    for _ in range(30):
        world.time += timedelta(minutes=11)
        world.step()
    assert "rejected" in {state for _, state in states(world)}


def test_two_lines_of_one_place_need_their_stock_together() -> None:
    world = world_of(5)
    world.tell(ev.ScrapRecorded("4712", ea(4), "GEAR", location="FG", reason="broken"))
    world.tell(ev.ScrapRecorded("4712", ea(4), "GEAR", location="FG", reason="lost"))
    world.step()
    gathering = world_of(5, Policy(gather="order"))
    gathering.tell(ev.ScrapRecorded("4712", ea(4), "GEAR", location="FG", reason="broken"))
    gathering.tell(ev.ScrapRecorded("4712", ea(4), "GEAR", location="FG", reason="lost"))
    gathering.tell(ev.OrderCompleted("4712"))
    gathering.step()
    assert states(gathering) == [("scrap", "waiting"), ("completion", "waiting")]
    assert gathering.balance("GEAR", "FG").queue == ((*_id(gathering), 8),)
    make(gathering, 3)
    gathering.tell(ev.OrderCompleted("4711"))
    gathering.step()
    assert gathering.booked("4712") == {("scrapped", "GEAR"): 8}


def _id(world: World) -> tuple[int, int]:
    row = world.postings()[0]
    return row.position, row.ordinal


def test_stock_that_others_book_lets_an_issue_go() -> None:
    world = world_of()
    use(world, 5)
    world.step()
    world.erp_knows(StockSet("GEAR", "FG", ea(5)))
    line = msgspec.structs.replace(world.postings_lines()[0], quantity=ea(5))
    world.tell(ev.DocumentBooked("by-hand-1", "adjustment", (line,)), source="erp")  # type: ignore[arg-type]
    world.step()
    assert states(world) == [("issue", "posted")]


def test_items_whose_stock_was_never_read_do_not_wait() -> None:
    world = World()
    world.order("4711")
    world.master(ev.ItemChanged("BOLT", "EA"))
    world.erp_knows(StockSet("BOLT", "RM", ea(5)))
    world.tell(ev.MaterialConsumed("4711", "BOLT", ea(5), location="RM"))
    world.step()
    assert states(world) == [("issue", "posted")]


def test_held_output_goes_to_the_status_for_held_goods() -> None:
    world = world_of()
    world.tell(ev.ProductionReported("4711", good=ea(5), held=ea(2)))
    world.step()
    assert world.balance("GEAR", "FG").booked == 5
    assert world.balance("GEAR", "FG", status="held").booked == 2
    world.tell(ev.MaterialTransferred("GEAR", ea(2), "FG", "FG", status="held"))
    world.step()
    assert world.balance("GEAR", "FG").booked == 7


def test_scrap_of_output_moves_no_stock_and_scrap_of_a_component_does() -> None:
    world = world_of(5)
    world.tell(ev.ScrapRecorded("4711", ea(1), reason="burr"))
    world.tell(ev.ScrapRecorded("4712", ea(2), "GEAR", location="FG"))
    world.step()
    assert world.balance("GEAR", "FG").booked == 3
    assert world.booked("4711") == {("scrapped", "GEAR"): 1}


def test_a_transfer_that_ends_where_it_begins_is_an_exception() -> None:
    world = world_of(5)
    at = world.tell(ev.MaterialTransferred("GEAR", ea(1), "FG", "FG"))
    world.step()
    assert world.fate(at) == "exception"


def test_lots_know_what_they_were_made_of() -> None:
    world = world_of(5)
    world.tell(ev.ProductionReported("4711", good=ea(2), lot="G1", consumed_lots=("STEEL/S1", "STEEL/S2")))
    world.tell(ev.ProductionReported("4712", good=ea(1), lot="P1"))
    use(world, 1, lot="G1", into_lot="P1")
    use(world, 1, lot="G1", into_lot="P1")
    world.step()
    gear, pump = world.entity("lot", "GEAR/G1"), world.entity("lot", "PUMP/P1")
    assert isinstance(gear, Lot)
    assert isinstance(pump, Lot)
    assert list(gear.parents) == ["STEEL/S1", "STEEL/S2"]
    assert list(pump.parents) == ["GEAR/G1"]
    assert world.names("children:GEAR/G1") == ["PUMP/P1"]
    assert world.store.reading().entities(PLANT, [("lot.items", "G1")])


def test_transfers_of_lots_of_one_item_do_not_wait_for_each_other() -> None:
    world = World()
    world.order()
    world.faults.arm(Fault.CLOSED_PERIOD)
    for lot in ("A", "B"):
        world.erp_knows(StockSet("GEAR", "FG", ea(1), lot=lot))
    world.tell(ev.MaterialTransferred("GEAR", ea(1), "FG", "RM", lot="A"))
    world.step()
    world.tell(ev.MaterialTransferred("GEAR", ea(1), "FG", "RM", lot="B"))
    world.step()
    assert states(world) == [("transfer", "rejected"), ("transfer", "posted")]
