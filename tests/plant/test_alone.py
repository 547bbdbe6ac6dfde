"""A posting that is alone on its way: its lane keeps no queue for it, and learns of it again when that matters."""

from __future__ import annotations

from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.model import event as ev
from synchromesh.model.posting import Fate, Outcome, PostingKind
from synchromesh.plant.policy import Policy


def world_of(policy: Policy | None = None) -> World:
    world = World(policy)
    world.order()
    world.step()
    return world


def report(world: World, good: int = 5) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good)))


def states(world: World) -> list[tuple[str, bool]]:
    return [(row.state, row.alone) for row in world.postings()]


def stored_order(world: World) -> bytes:
    return world.store.of(PLANT).entities["order", "4711"]


def test_its_good_end_leaves_the_order_as_it_is() -> None:
    world = world_of()
    at = report(world)
    world.work()
    before = stored_order(world)
    assert (states(world), world.found_order().lane.queue, world.found_order().lane.groups) == ([("ready", True)], (), {})
    assert world.fates() == {"booking": 1}
    written: list[str] = []
    world.store.before_commit = lambda batch: written.extend(kind for changes in batch for kind, _ in changes.entities)
    world.step()
    assert set(written) == {"clock", "stock", "totals"}
    assert stored_order(world) == before
    assert (states(world), world.fate(at), world.fates()) == ([("posted", False)], "booked", {"booked": 1})


def test_what_joins_it_waits_behind_it() -> None:
    world = world_of()
    report(world)
    world.work()
    report(world)
    world.work()
    assert states(world) == [("ready", False), ("waiting", False)]
    assert len(world.found_order().lane.queue) == 2
    world.step()
    assert states(world) == [("posted", False), ("posted", False)]
    assert world.fates() == {"booked": 2}


def test_two_of_one_batch_are_not_alone() -> None:
    world = world_of()
    report(world)
    report(world)
    world.work()
    assert states(world) == [("ready", False), ("waiting", False)]


def test_when_it_is_refused_the_lane_knows_it_again() -> None:
    world = world_of()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = report(world)
    world.step()
    assert (states(world), world.fate(at), world.fates()) == ([("rejected", False)], "exception", {"exception": 1})
    assert len(world.found_order().lane.queue) == 1
    report(world)
    world.step()
    assert states(world) == [("rejected", False), ("waiting", False)]
    world.own(ev.PostingRetried(world.postings()[0].key, "ann"))
    world.step()
    assert world.fates() == {"booked": 2}


def test_an_outcome_told_twice_counts_once() -> None:
    world = world_of()
    report(world)
    world.work()
    row = world.postings()[0]
    for _ in range(2):
        world.own(ev.OutcomesReported((Outcome(row.key, Fate.POSTED, world.time, "4900"),)))
    world.work()
    assert world.fates() == {"booked": 1}
    assert world.totals().documents == 1


def test_one_that_waits_for_stock_is_not_alone() -> None:
    world = world_of()
    world.tell(ev.ItemChanged("STEEL", "EA"), source="erp")
    world.tell(ev.StockObserved((), ("STEEL",)), source="erp")
    world.tell(ev.MaterialConsumed("4711", "STEEL", ea(1), location="RM"))
    world.work()
    assert states(world) == [("waiting", False)]
    assert len(world.found_order().lane.queue) == 1


def test_several_documents_of_one_fact_are_not_alone() -> None:
    world = world_of()
    world.tell(ev.ProductionReported("4711", good=ea(5), scrap=ea(1)))
    world.work()
    assert {row.kind for row in world.postings()} == {PostingKind.RECEIPT, PostingKind.SCRAP}
    assert [row.alone for row in world.postings()] == [False, False]
    world.step()
    assert world.fates() == {"booked": 1}


def test_beside_one_that_was_cancelled_outside_it_is_not_alone() -> None:
    world = world_of()
    report(world)
    world.step()
    world.tell(ev.DocumentCancelled(world.postings()[0].document), source="erp")
    report(world)
    world.work()
    assert states(world) == [("reversed outside", False), ("ready", False)]
    world.step()
    assert world.fates() == {"exception": 1, "booked": 1}
    world.own(ev.PostingRetried(world.postings()[0].key, "ann"))
    world.step()
    assert world.fates() == {"booked": 2}


def test_where_a_tolerance_judges_receipts_the_lane_keeps_its_queue() -> None:
    """As all lanes did before a posting could be alone: its end is found in the queue."""
    world = world_of(Policy(over_delivery_percent=10))
    at = report(world)
    world.work()
    assert (states(world), len(world.found_order().lane.queue)) == ([("ready", False)], 1)
    world.step()
    assert (world.fate(at), world.found_order().lane.queue) == ("booked", ())
