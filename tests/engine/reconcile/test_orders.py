"""Orders: reported, posted, booked by others, and on ERP's books, with the parts of each difference."""

from __future__ import annotations

import asyncio
from datetime import date

from tests.engine.reconcile.desk import compared, desk_of, orders, parts, share, world_of
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.listening import Listening
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import HandBooking
from synchromesh.engine.reconcile.reconciler import Reconciler
from synchromesh.engine.reconcile.views import Report
from synchromesh.model import event as ev
from synchromesh.model.posting import Line, PostingKind
from synchromesh.plant.policy import Policy


def make(world: World, good: int = 5, **more: object) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good), **more))  # type: ignore[arg-type]


def booked(world: World, order: str, amount: int, number: str = "9001") -> None:
    """ERP tells that somebody booked a receipt for an order."""
    world.tell(ev.DocumentBooked(number, PostingKind.RECEIPT, (Line("GEAR", ea(amount), "FG"),), order), source="erp")
    world.step()


def listened(world: World) -> Report:
    desk = Reconciler({PLANT: "erp"}, world.store.reading(), world.log, lambda _: Listening(), now=lambda: world.time)
    return asyncio.run(desk.compare("orders", PLANT))


def test_an_order_that_agrees_has_no_rows() -> None:
    world = world_of()
    make(world, 5, scrap=ea(2))
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(3), location="RM"))
    world.step()
    report = compared(world, "orders")
    assert (report.compared, report.different, report.orders) == (1, 0, ())


def test_each_kind_of_an_order_is_compared() -> None:
    world = world_of()
    make(world, 5, scrap=ea(2))
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(3), location="RM"))
    world.work()
    rows = orders(world)
    assert [(row.kind, row.item, row.erp, row.reported, parts(row)) for row in rows] == [
        ("issue", "BAR", 0, 3, {"in flight": -3}),
        ("receipt", "GEAR", 0, 5, {"in flight": -5}),
        ("scrap", "GEAR", 0, 2, {"in flight": -2}),
    ]
    assert compared(world, "orders").beyond == 0


def test_what_erp_booked_and_nobody_told_us_yet_is_no_difference() -> None:
    world = world_of()
    world.faults.arm(Fault.LOST)
    make(world)
    world.work()
    asyncio.run(world.dispatcher.step())
    assert (world.postings()[0].state, len(world.documents())) == ("ready", 1)
    assert orders(world) == []


def test_documents_of_others_that_name_an_order_count_for_it() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    world.erp_knows(HandBooking(PostingKind.RECEIPT, world.time.date(), (Line("GEAR", ea(3), "FG"),), order="4711"))
    (row,) = orders(world)
    assert parts(row) == {"unexplained": 3}
    number = world.documents()[-1].number
    booked(world, "4711", 3, number)
    (row,) = orders(world)
    assert (row.posted, row.outside, row.erp, parts(row)) == (5, 3, 8, {"booked outside": 3})
    assert [cause.reference for cause in share(row, "booked outside").causes] == [number]
    world.tell(ev.DocumentCancelled(number), source="erp")
    world.step()
    (row,) = orders(world)
    assert parts(row) == {"unexplained": 3}


def test_refusals_gathers_and_dismissals_are_told_apart() -> None:
    world = world_of(Policy(gather="order", gather_quantity=10))
    world.erp_knows(ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=False))
    dismissed = make(world, 10)
    world.step()
    world.own(ev.FactDismissed(dismissed, "ada", "a test"))
    world.step()
    make(world, 11)
    world.step()
    make(world, 4)
    world.step()
    (row,) = orders(world)
    assert parts(row) == {"in flight": -4, "failed": -11, "not booked by decision": -10}


def test_a_correction_on_its_way_counts_by_what_it_changes() -> None:
    world = world_of()
    world.tell(ev.ProductionReported("4711", good=ea(10)), id="a")
    world.step()
    world.tell(ev.FactCorrected("mes", "a", ev.ProductionReported("4711", good=ea(7))))
    world.work()
    (row,) = orders(world)
    assert (row.posted, row.erp, row.reported, parts(row)) == (10, 10, 7, {"in flight": 3})
    world.step()
    assert orders(world) == []


def test_what_nothing_explains_is_unexplained() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    document = next(iter(world.books.documents.values()))
    world.books._progress["4711"]["received", "GEAR"] += 2
    assert document.kind == "receipt"
    (row,) = orders(world)
    assert (parts(row), row.beyond, compared(world, "orders").beyond) == ({"unexplained": 2}, True, 1)


def test_where_erp_can_not_be_asked_its_documents_count() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    assert listened(world).orders == ()
    booked(world, "4711", 3)
    (row,) = listened(world).orders
    assert (row.erp, row.posted, row.outside, parts(row)) == (None, 5, 3, {"booked outside": 3})


def test_where_erp_books_by_itself_its_documents_are_what_is_compared() -> None:
    world = world_of(Policy(booking="record"))
    position = make(world, 8, scrap=ea(2))
    world.step()
    booked(world, "4711", 10)
    assert (world.fact(position).fate, world.fact(position).reference) == ("recorded", "ERP books this plant by itself")
    assert world.documents() == []
    assert [(row.kind, row.outside, parts(row)) for row in sorted(listened(world).orders, key=lambda row: row.kind)] == [
        ("receipt", 10, {"unexplained": 2}),
        ("scrap", 0, {"unexplained": -2}),
    ]


def test_what_was_recorded_only_is_not_booked_when_the_policy_changes() -> None:
    world = world_of(Policy(booking="record"))
    make(world, 8)
    world.step()
    world.activate(Policy())
    make(world, 3)
    world.step()
    assert [str(line.quantity) for line in world.postings_lines()] == ["3 EA"]
    (row,) = orders(world)
    assert parts(row) == {"not booked by decision": -8}


def test_an_order_that_only_a_document_names_is_found() -> None:
    world = world_of()
    world.erp_knows_as(ev.OrderChanged("4799", "GEAR", ea(10), location="FG"))
    world.erp_knows(HandBooking(PostingKind.RECEIPT, world.time.date(), (Line("GEAR", ea(3), "FG"),), order="4799"))
    booked(world, "4799", 3, world.documents()[-1].number)
    (row,) = orders(world)
    assert (row.order, row.status, row.erp, row.reported, parts(row)) == ("4799", "unknown", 3, 0, {"booked outside": 3})


def test_two_faults_that_cancel_each_other_out_are_still_told() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    booked(world, "4711", 3)
    (row,) = orders(world)
    assert (row.difference, parts(row), row.beyond) == (0, {"booked outside": 3, "unexplained": -3}, True)


def test_a_small_difference_is_within_the_tolerance() -> None:
    world = world_of(Policy(tolerance_percent="50"))
    make(world, 5)
    world.step()
    world.books._progress["4711"]["received", "GEAR"] += 2
    report = compared(world, "orders")
    assert (report.different, report.beyond) == (1, 0)


def test_nobody_else_has_to_know_how_it_is_asked() -> None:
    assert desk_of(world_of()).plants == (PLANT,)
