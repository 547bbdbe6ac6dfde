"""Stock against the own ledgers: each part of a difference by hand, and what stands behind it."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.engine.reconcile.desk import compared, parts, share, stock, world_of
from tests.engine.world import START, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import HandBooking, HandCancel, StockSet
from synchromesh.model import event as ev
from synchromesh.model.posting import Line, PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.plant.policy import Policy
from synchromesh.plant.snapshots import KEPT, REMEDY


def make(world: World, good: int | str = 5, **more: object) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good), **more))  # type: ignore[arg-type]


def snapshot(world: World, *lines: tuple[str, str, int], minutes: float = 0, **more: object) -> int:
    """The WMS counts, so many minutes before now."""
    told = tuple(ev.StockLine(item, location, ea(amount)) for item, location, amount in lines)
    event = ev.StockSnapshotTaken("wms", world.time - timedelta(minutes=minutes), told, **more)  # type: ignore[arg-type]
    return world.tell(event, source="wms")


def by_hand(world: World, kind: PostingKind, line: Line, order: str = "") -> str:
    """Somebody books in ERP; the document's number. The plant does not hear of it."""
    world.erp_knows(HandBooking(kind, world.time.date(), (line,), order=order))
    return world.documents()[-1].number


# --- ERP's books ----------------------------------------------------------------------------------------------------------


def test_books_that_agree_have_no_rows() -> None:
    world = world_of()
    make(world)
    world.step()
    report = compared(world, "stock")
    assert (report.compared, report.different, report.stock, report.not_compared) == (2, 0, (), ())


def test_what_is_decided_and_not_posted_is_in_flight() -> None:
    world = world_of()
    position = make(world)
    world.work()
    (row,) = stock(world)
    assert (row.system, row.item, row.theirs, row.reported, row.booked) == ("erp", "GEAR", 0, 5, 0)
    assert parts(row) == {"in flight": -5}
    (cause,) = share(row, "in flight").causes
    assert (cause.what, cause.position, cause.state) == ("posting", position, "ready")
    assert cause.reference == world.postings()[0].key
    assert not row.beyond


def test_what_erp_booked_and_nobody_told_us_yet_is_no_difference() -> None:
    world = world_of()
    world.faults.arm(Fault.LOST)
    make(world)
    world.work()
    asyncio.run(world.dispatcher.step())
    assert world.postings()[0].state == "ready"
    assert len(world.documents()) == 1
    assert stock(world) == []


def test_what_is_gathered_is_in_flight() -> None:
    world = world_of(Policy(gather="order"))
    make(world, 5)
    make(world, 6)
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"in flight": -11}
    assert share(row, "in flight").causes[0].state == "2 fact(s) gathered"


def test_a_rest_that_is_too_small_to_book_is_in_flight() -> None:
    world = world_of()
    world.tell(ev.ProductionReported("4711", good=Quantity(Decimal(4), "T3")))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"in flight": Decimal("-0.333333333")}
    assert share(row, "in flight").causes[0].state == "carried to the next posting"


def test_what_waits_for_stock_is_in_flight_and_says_for_what() -> None:
    world = world_of(stock=3)
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(5), location="RM"))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"in flight": 5}
    assert share(row, "in flight").causes[0].state == "waiting: stock of item BAR at RM"


def test_a_refusal_is_a_failed_part() -> None:
    world = world_of()
    world.erp_knows(ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=False))
    make(world)
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"failed": -5}
    assert (share(row, "failed").causes[0].state, row.beyond) == ("rejected", False)


def test_a_document_of_ours_that_somebody_cancelled_is_a_failed_part() -> None:
    world = world_of()
    make(world)
    world.step()
    world.erp_knows(HandCancel(world.documents()[0].number))
    world.tell(ev.DocumentCancelled(world.documents()[0].number), source="erp")
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"failed": -5}
    assert share(row, "failed").causes[0].state == "reversed outside"


def test_what_a_person_dismissed_stays_a_difference_that_is_known() -> None:
    world = world_of()
    world.erp_knows(ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=False))
    position = make(world)
    world.step()
    world.own(ev.FactDismissed(position, "ada", "it was a test"))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"not booked by decision": -5}
    assert share(row, "not booked by decision").causes[0].reference == world.postings()[0].key


def test_documents_of_others_are_a_part_of_their_own_until_they_are_cancelled() -> None:
    world = world_of()
    line = Line("BAR", Quantity(Decimal(2), "BX"), "RM")
    number = by_hand(world, PostingKind.ADJUSTMENT, line)
    world.tell(ev.DocumentBooked(number, PostingKind.ADJUSTMENT, (line,)), source="erp")
    world.step()
    (row,) = stock(world)
    assert (row.theirs, row.reported, row.booked) == (124, 100, 124)
    assert parts(row) == {"booked outside": 24}
    assert [cause.reference for cause in share(row, "booked outside").causes] == [number]
    world.erp_knows(HandCancel(number))
    world.tell(ev.DocumentCancelled(number), source="erp")
    world.step()
    assert stock(world) == []


def test_what_nothing_explains_is_unexplained_and_beyond() -> None:
    world = world_of()
    make(world)
    world.step()
    world.erp_knows(StockSet("GEAR", "FG", ea(8)), StockSet("BAR", "RM", ea(98)))
    bar, gear = stock(world)
    assert (parts(bar), parts(gear)) == ({"unexplained": -2}, {"unexplained": 3})
    assert bar.beyond
    assert gear.beyond


@pytest.mark.parametrize(("absolute", "percent", "beyond"), [("2", "0", False), ("1.9", "0", True), ("0", "2", False), ("0", "1.9", True)])
def test_a_small_difference_is_within_the_tolerance(absolute: str, percent: str, beyond: bool) -> None:
    world = world_of(Policy(tolerance_absolute=absolute, tolerance_percent=percent))
    world.erp_knows(StockSet("BAR", "RM", ea(98)))
    (row,) = stock(world)
    assert (row.beyond, compared(world, "stock").beyond) == (beyond, int(beyond))


def test_all_parts_at_once_sum_to_the_difference() -> None:
    world = world_of()
    by_hand(world, PostingKind.RECEIPT, Line("GEAR", ea(7), "FG"), "4711")
    world.tell(ev.DocumentBooked(world.documents()[-1].number, PostingKind.RECEIPT, (Line("GEAR", ea(7), "FG"),), "4711"), source="erp")
    make(world, 10)
    world.step()
    world.erp_knows(ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=False))
    make(world, 5)
    world.step()
    make(world, 3)
    world.work()
    world.erp_knows(StockSet("GEAR", "FG", ea(21)))
    (row,) = stock(world)
    assert (row.theirs, row.reported, row.difference) == (21, 18, 3)
    assert parts(row) == {"in flight": -3, "failed": -5, "booked outside": 7, "unexplained": 4}


def test_an_item_whose_stock_was_never_read_is_not_compared() -> None:
    world = World()
    world.order()
    make(world)
    world.step()
    report = compared(world, "stock")
    assert (report.compared, report.not_compared) == (0, ("ERP's stock of item GEAR was never read, so its ledger has no beginning",))


def test_where_nobody_says_from_where_all_locations_are_one() -> None:
    world = world_of()
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(5)))
    world.step()
    (row,) = stock(world)
    assert (row.item, row.location, row.theirs, row.reported) == ("BAR", "", 100, 95)
    assert parts(row) == {"failed": 5}


# --- snapshots --------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_a_fact_that_is_kept_and_moves_nothing() -> None:
    world = world_of()
    position = snapshot(world, ("BAR", "RM", 90))
    world.step()
    assert (world.fact(position).fate, world.fact(position).reference) == ("recorded", KEPT)
    assert (world.balance("BAR", "RM").reported, world.balance("BAR", "RM").booked) == ({}, 100)
    (row,) = stock(world)
    assert (row.system, row.theirs, row.reported, row.as_of) == ("wms", 90, 100, world.time)
    assert parts(row) == {"unexplained": -10}


def test_facts_after_the_moment_of_a_snapshot_are_late() -> None:
    world = world_of()
    make(world, 5)
    world.time += timedelta(minutes=30)
    position = make(world, 4)
    world.step()
    snapshot(world, ("GEAR", "FG", 5), minutes=10)
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"late": -4}
    assert [(cause.what, cause.position) for cause in share(row, "late").causes] == [("fact", position)]


def test_a_fact_that_was_corrected_is_late_with_what_it_says_now() -> None:
    world = world_of()
    snapshot(world, ("GEAR", "FG", 0))
    world.time += timedelta(minutes=30)
    world.tell(ev.ProductionReported("4711", good=ea(4)), id="a")
    world.tell(ev.ProductionReported("4711", good=ea(9)), id="b")
    world.tell(ev.FactCorrected("mes", "a", ev.ProductionReported("4711", good=ea(6))))
    world.tell(ev.FactCancelled("mes", "b"))
    world.run(5)
    (row,) = [row for row in stock(world) if row.system == "wms"]
    assert parts(row) == {"late": -6}


def test_facts_that_wait_are_late_where_they_say_where() -> None:
    world = world_of()
    position = world.tell(ev.ProductionReported("4799", item="GEAR", location="FG", good=ea(4)))
    world.step()
    snapshot(world, ("GEAR", "FG", 4))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"late": 4}
    assert share(row, "late").causes[0].position == position


def test_a_refused_fact_is_a_failed_part() -> None:
    world = world_of()
    world.master(ev.OrderChanged("4712", "GEAR", ea(10), status="closed", location="FG"))
    world.tell(ev.ProductionReported("4712", good=ea(4)))
    snapshot(world, ("GEAR", "FG", 4))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"failed": 4}


def test_components_that_are_not_backflushed_yet_are_out_of_stock_already() -> None:
    world = world_of(Policy(gather="order"))
    world.master(ev.OrderChanged("4720", "GEAR", ea(10), location="FG", components=(ev.Component("BAR", ea(20), "RM", backflush=True),)))
    world.tell(ev.ProductionReported("4720", good=ea(3)))
    world.step()
    snapshot(world, ("BAR", "RM", 94))
    world.step()
    (row,) = [row for row in stock(world) if row.system == "wms"]
    assert parts(row) == {"in flight": -6}


def test_a_place_that_a_snapshot_speaks_of_and_does_not_name_is_empty() -> None:
    world = world_of()
    snapshot(world, locations=("RM",))
    world.step()
    (row,) = stock(world)
    assert (row.theirs, parts(row)) == (0, {"unexplained": -100})


def test_a_snapshot_of_some_items_says_nothing_of_others() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    snapshot(world, items=("GEAR",))
    world.step()
    (row,) = stock(world)
    assert (row.item, parts(row)) == ("GEAR", {"unexplained": -5})


def test_a_newer_snapshot_of_a_whole_location_ends_what_an_older_one_said() -> None:
    world = world_of()
    snapshot(world, ("BAR", "RM", 100), ("GEAR", "RM", 3), minutes=20, locations=("RM",))
    snapshot(world, ("BAR", "RM", 100), minutes=10, locations=("RM",))
    world.step()
    assert stock(world) == []
    snapshot(world, ("GEAR", "RM", 7), minutes=15, locations=("RM",))
    world.step()
    assert stock(world) == []


def test_a_snapshot_under_the_name_of_the_business_system_is_refused() -> None:
    world = world_of()
    position = world.tell(ev.StockSnapshotTaken("erp", START, locations=("RM",)), source="wms")
    world.step()
    assert world.fact(position).fate == "exception"
    assert stock(world) == []


def test_an_old_snapshot_is_not_compared() -> None:
    world = world_of()
    snapshot(world, ("BAR", "RM", 90))
    world.step()
    world.time += timedelta(days=8)
    make(world)
    world.step()
    assert stock(world) == []


def count(*lines: ev.StockLine, **more: object) -> ev.StockSnapshotTaken:
    return ev.StockSnapshotTaken("wms", more.pop("as_of", START), lines, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (count(ev.StockLine("BAR", "RM", ea(1)), ev.StockLine("BAR", "RM", ea(2))), "names item BAR at RM twice."),
        (count(ev.StockLine("NUT", "RM", ea(1))), "names item NUT, which is not known."),
        (count(items=("NUT",)), "names item NUT, which is not known."),
        (count(ev.StockLine("BAR", "MOON", ea(1))), "names location MOON, which is not known."),
        (count(locations=("MOON",)), "names location MOON, which is not known."),
        (
            count(ev.StockLine("BAR", "RM", Quantity(Decimal(1), "KGM"))),
            "counts item BAR in KGM, and nothing leads from that to EA.",
        ),
        (
            count(ev.StockLine("BAR", "RM", ea(1)), as_of=START + timedelta(days=2)),
            "is of 2026-03-04T08:00:00+00:00, which is more than a day ahead.",
        ),
    ],
)
def test_a_snapshot_that_cannot_be_compared_whole_is_refused_whole(event: ev.StockSnapshotTaken, sentence: str) -> None:
    world = world_of()
    position = world.tell(event, source="wms")
    world.step()
    assert world.fact(position).reference == f"The snapshot of wms {sentence}"
    assert [(row.position, row.remedy) for row in world.exceptions()] == [(position, REMEDY)]
    assert stock(world) == []


def test_places_of_other_plants_are_not_compared_though_the_first_reading_spoke_of_them() -> None:
    world = World()
    world.tell(ev.StockObserved((ev.StockLine("GEAR", "OTHER", ea(1_000_000)), ev.StockLine("GEAR", "FG", ea(0)))), source="erp")
    world.order()
    make(world)
    world.step()
    report = compared(world, "stock")
    assert (report.different, report.stock) == (0, ())
    world.erp_knows(StockSet("GEAR", "FG", ea(7)))
    (row,) = stock(world)
    assert (row.location, parts(row)) == ("FG", {"unexplained": 2})
