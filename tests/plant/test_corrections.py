"""What was told wrong is corrected or cancelled: the books end as if the right thing had been told, whenever the correction comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import HandCancel, Rules, StockSet
from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant import lots
from synchromesh.plant.act import Act
from synchromesh.plant.entities import Lot
from synchromesh.plant.policy import Policy
from synchromesh.plant.view import View

DIFFERENCES = pytest.mark.parametrize("differences", [True, False], ids=["differences", "reversals"])
MOMENTS = pytest.mark.parametrize("moment", ["before it is booked", "in flight", "after it is booked"])


def plant(differences: bool, **policy: object) -> World:
    world = World(Policy(differences=differences, **policy), Rules(differences=differences))  # type: ignore[arg-type]
    world.order(components=(ev.Component("BOLT", ea(100), "RM"),)) if policy.get("components") else world.order()
    return world


def report(good: int = 0, scrap: int = 0, order: str = "4711", **more: object) -> ev.ProductionReported:
    return ev.ProductionReported(order, good=ea(good), scrap=ea(scrap), **more)  # type: ignore[arg-type]


def correct(world: World, event: object, id: str = "r1") -> int:
    return world.tell(ev.FactCorrected("mes", id, event))  # type: ignore[arg-type]


def cancel(world: World, id: str = "r1") -> int:
    return world.tell(ev.FactCancelled("mes", id))


def until(world: World, moment: str) -> None:
    """Go on to the moment at which the correction comes."""
    if moment == "in flight":
        world.faults.arm(Fault.PARKED)
    if moment != "before it is booked":
        world.step()


def booked(world: World, order: str = "4711") -> dict[str, Decimal]:
    return {word: amount for (word, _), amount in world.booked(order).items()}


@DIFFERENCES
@MOMENTS
@pytest.mark.parametrize("right", [0, 3, 10, 12])
def test_a_report_is_corrected(differences: bool, moment: str, right: int) -> None:
    world = plant(differences)
    world.tell(report(10), id="r1")
    until(world, moment)
    correct(world, report(right))
    world.run(30)
    assert booked(world) == ({"received": right} if right else {})
    assert world.exceptions() == []
    assert set(world.fates()) <= {"booked", "recorded"}


@DIFFERENCES
@MOMENTS
def test_a_report_is_cancelled(differences: bool, moment: str) -> None:
    world = plant(differences)
    world.tell(report(10, 2), id="r1")
    world.tell(report(1), id="r2")
    until(world, moment)
    cancel(world)
    world.run(30)
    assert booked(world) == {"received": 1}
    assert world.exceptions() == []


def test_a_difference_is_one_document_and_a_reversal_and_its_rebooking_are_a_pair() -> None:
    kinds = {}
    for differences in (True, False):
        world = plant(differences)
        world.tell(report(10), id="r1")
        world.step()
        correct(world, report(7))
        world.step()
        kinds[differences] = [
            (str(document.kind), [int(line.quantity.amount) for line in document.lines]) for document in world.documents()
        ]
    assert kinds == {True: [("receipt", [10]), ("receipt", [-3])], False: [("receipt", [10]), ("reversal", [10]), ("receipt", [7])]}


@DIFFERENCES
def test_a_correction_is_corrected_again_and_at_last_cancelled(differences: bool) -> None:
    world = plant(differences)
    world.tell(report(10), id="r1")
    for right in (12, 5, 20, 1):
        correct(world, report(right))
        world.step()
        world.tell(report(1))
        world.step()
    assert booked(world) == {"received": 1 + 4}
    cancel(world)
    world.step()
    assert booked(world) == {"received": 4}
    cancel(world)
    world.step()
    assert booked(world) == {"received": 4}
    assert world.exceptions() == []


def test_a_correction_itself_cannot_be_corrected() -> None:
    world = plant(True)
    world.tell(report(10), id="r1")
    world.tell(ev.FactCorrected("mes", "r1", report(8)), id="c1")
    at = cancel(world, "c1")
    world.step()
    assert world.fate(at) == "exception"
    assert booked(world) == {"received": 8}


@DIFFERENCES
@pytest.mark.parametrize("gather", ["order", "operation"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_gathered_report_is_corrected(differences: bool, gather: str, closed: bool) -> None:
    world = plant(differences, gather=gather)
    for number in range(5):
        world.tell(report(10), id=f"r{number}")
    if closed:
        world.tell(ev.InputEnded("mes"), source="end")
        world.step()
    correct(world, report(4), "r1")
    cancel(world, "r2")
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert booked(world) == {"received": 34}
    assert world.exceptions() == []


@DIFFERENCES
def test_a_fact_of_an_earlier_gather_is_cancelled_while_the_next_is_open(differences: bool) -> None:
    world = plant(differences, gather="order")
    world.tell(report(10), id="r1")
    world.tell(ev.InputEnded("mes"), source="end")
    world.step()
    world.tell(report(3), id="r2")
    cancel(world, "r1")
    world.step()
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert booked(world) == {"received": 3}
    assert world.exceptions() == []


@DIFFERENCES
def test_a_report_is_moved_to_another_order(differences: bool) -> None:
    world = plant(differences)
    world.order("4712")
    world.tell(report(10), id="r1")
    world.step()
    correct(world, report(9, order="4712"))
    world.step()
    assert booked(world) == {}
    assert booked(world, "4712") == {"received": 9}


@DIFFERENCES
@pytest.mark.parametrize("gather", ["report", "order"])
def test_a_report_moved_between_gathering_orders_and_back(differences: bool, gather: str) -> None:
    world = plant(differences, gather=gather)
    world.order("4712")
    world.tell(report(10), id="r1")
    for order in ("4712", "4711", "4712"):
        correct(world, report(10, order=order))
        world.tell(ev.InputEnded("mes"), source="end")
        world.step()
    cancel(world)
    for order in ("4711", "4712"):
        world.tell(ev.OrderCompleted(order))
    world.step()
    assert booked(world) == {}
    assert booked(world, "4712") == {}
    assert world.exceptions() == []


@DIFFERENCES
@pytest.mark.parametrize("moment", ["before it is booked", "after it is booked"])
def test_consumption_and_scrap_of_a_component_are_corrected(differences: bool, moment: str) -> None:
    world = plant(differences)
    world.master(ev.ItemChanged("BOLT", "EA"))
    world.erp_knows(StockSet("BOLT", "RM", ea(100)))
    world.tell(ev.StockObserved((ev.StockLine("BOLT", "RM", ea(100)),)), source="erp")
    world.tell(ev.MaterialConsumed("4711", "BOLT", ea(10), location="RM"), id="c1")
    world.tell(ev.ScrapRecorded("4711", ea(5), "BOLT", location="RM"), id="s1")
    until(world, moment)
    correct(world, ev.MaterialConsumed("4711", "BOLT", ea(8), location="RM"), "c1")
    cancel(world, "s1")
    world.step()
    assert booked(world) == {"issued": 8}
    assert world.balance("BOLT", "RM").booked == 92
    assert world.balance("BOLT", "RM").reported == {"EA": -8}
    assert (world.balance("BOLT", "RM").claimed, world.balance("BOLT", "RM").pending) == (0, 0)


@DIFFERENCES
def test_a_transfer_is_corrected_by_moving_back(differences: bool) -> None:
    world = plant(differences)
    world.erp_knows(StockSet("GEAR", "RM", ea(10)))
    world.tell(ev.MaterialTransferred("GEAR", ea(10), "RM", "FG"), id="t1")
    world.step()
    correct(world, ev.MaterialTransferred("GEAR", ea(4), "RM", "FG"), "t1")
    world.step()
    assert {balance.location: int(balance.quantity.amount) for balance in world.books.balances()} == {"FG": 4, "RM": 6}
    cancel(world, "t1")
    world.step()
    assert {balance.location: int(balance.quantity.amount) for balance in world.books.balances()} == {"RM": 10}


@DIFFERENCES
def test_an_adjustment_is_corrected_and_cancelled(differences: bool) -> None:
    world = plant(differences)
    world.tell(ev.StockAdjusted("GEAR", ea(5), "FG", "found"), id="a1")
    world.step()
    correct(world, ev.StockAdjusted("GEAR", ea(3), "FG", "found"), "a1")
    world.step()
    assert world.balance("GEAR", "FG").booked == 3
    cancel(world, "a1")
    world.step()
    assert world.balance("GEAR", "FG").booked == 0


@DIFFERENCES
@pytest.mark.parametrize("right", [0, 300, 600, 900])
@MOMENTS
def test_confirmed_times_and_quantities_are_corrected(differences: bool, right: int, moment: str) -> None:
    world = plant(differences, confirmations=True)
    world.tell(report(10, 1, operation="pack", labour_seconds=600, machine_seconds=60), id="r1")
    world.tell(report(1, operation="pack", labour_seconds=10), id="r2")
    until(world, moment)
    correct(world, report(9, 1, operation="pack", labour_seconds=right, machine_seconds=30))
    world.run(30)
    assert world.booked()[("labour", "pack")] == right + 10
    assert world.booked()[("machine", "pack")] == 30
    assert world.booked()[("confirmed", "pack")] == 11
    cancel(world)
    cancel(world, "r2")
    world.run(30)
    assert world.booked() == {}
    assert world.exceptions() == []


@DIFFERENCES
def test_times_alone_are_cancelled(differences: bool) -> None:
    world = plant(differences, confirmations=True)
    world.tell(ev.TimeRecorded("4711", "pack", labour_seconds=100), id="t1")
    world.tell(report(4, operation="pack", labour_seconds=30))
    world.step()
    cancel(world, "t1")
    world.step()
    assert world.booked()[("labour", "pack")] == 30
    assert world.exceptions() == []


@DIFFERENCES
def test_backflushed_components_follow_a_correction(differences: bool) -> None:
    world = World(Policy(differences=differences), Rules(differences=differences, check_stock=False))
    world.master(ev.LocationChanged("RM"), ev.ItemChanged("BOLT", "EA"))
    world.order(components=(ev.Component("BOLT", ea(400), "RM", backflush=True),))
    world.tell(report(10), id="r1")
    world.step()
    assert booked(world) == {"received": 10, "issued": 40}
    correct(world, report(7))
    world.step()
    assert booked(world) == {"received": 7, "issued": 28}
    cancel(world)
    world.step()
    assert booked(world) == {}
    assert world.balance("BOLT", "RM").reported == {}


def refuse(world: World) -> None:
    """ERP refuses the next posting for good."""
    world.faults.arm(Fault.CLOSED_PERIOD)


def test_a_report_that_was_refused_is_cancelled_and_nothing_is_left_to_do() -> None:
    world = plant(False)
    refuse(world)
    at = world.tell(report(10), id="r1")
    world.step()
    assert world.fate(at) == "exception"
    cancel(world)
    world.step()
    assert world.exceptions() == []
    assert world.documents() == []
    assert "exception" not in world.fates()


@DIFFERENCES
def test_a_report_that_was_refused_is_corrected_and_the_right_one_is_booked(differences: bool) -> None:
    world = plant(differences)
    refuse(world)
    world.tell(report(10), id="r1")
    world.step()
    correct(world, report(7))
    world.step()
    if differences:
        world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
        world.step()
    assert booked(world) == {"received": 7}
    assert world.exceptions() == []


@pytest.mark.parametrize("decided", [False, True], ids=["refused while the reversal waits", "declined after it was parked"])
def test_a_reversal_is_moot_when_its_original_is_refused(decided: bool) -> None:
    world = plant(False)
    world.faults.arm(Fault.DECLINED if decided else Fault.PARKED)
    world.tell(report(10), id="r1")
    world.step()
    correct(world, report(6))
    world.run(30)
    assert booked(world) == {"received": 6}
    assert world.exceptions() == []


def test_a_correction_of_a_refused_message_books_what_it_says_and_closes_the_exception() -> None:
    world = plant(True)
    at = world.tell(report(10, item="WHEEL"), id="r1")
    world.step()
    assert world.fate(at) == "exception"
    correct(world, report(10))
    world.step()
    assert booked(world) == {"received": 10}
    assert world.exceptions() == []
    correct(world, report(4))
    world.step()
    assert booked(world) == {"received": 4}


def test_a_dismissed_report_is_not_booked_by_a_correction_and_a_cancellation_changes_nothing() -> None:
    world = plant(True)
    refuse(world)
    at = world.tell(report(10), id="r1")
    world.step()
    world.own(ev.FactDismissed(at, "ann", "booked by hand"))
    world.step()
    late = correct(world, report(7))
    world.step()
    assert world.fate(late) == "exception"
    assert "dismissed" in world.exceptions()[0].sentence
    gone = cancel(world)
    world.step()
    assert world.fate(gone) == "recorded"
    assert booked(world) == {}


@pytest.mark.parametrize("status", ["closed", "cancelled"])
def test_a_correction_into_a_closed_order_is_an_exception(status: str) -> None:
    world = plant(True)
    world.tell(report(10), id="r1")
    world.step()
    world.master(ev.OrderChanged("4711", "GEAR", ea(100), status, location="FG"))  # type: ignore[arg-type]
    at = correct(world, report(7))
    world.step()
    assert world.fate(at) == "exception"
    assert world.exceptions()[0].category == Category.ORDER_CLOSED
    assert booked(world) == {"received": 10}


def test_one_line_of_a_document_is_corrected_and_the_others_are_booked_again() -> None:
    world = plant(False)
    world.tell(ev.ProductionReported("4711", good=ea(10), held=ea(4)), id="r1")
    world.step()
    correct(world, ev.ProductionReported("4711", good=ea(10), held=ea(1)))
    world.step()
    assert world.balance("GEAR", "FG").booked == 10
    assert world.balance("GEAR", "FG", status="held").booked == 1


@pytest.mark.parametrize("change", [
    lambda world: world.tell(ev.OrderChanged("4711", "GEAR", ea(100), location="RM"), source="erp"),
    lambda world: world.activate(Policy(held_status="blocked")),
    lambda world: world.activate(Policy(yield_operation="saw")),
    lambda world: world.activate(Policy(confirmations=True)),
], ids=["the order's location", "the status for held goods", "the yielding operation", "confirmations"])  # fmt: skip
def test_what_is_taken_back_is_what_was_booked_whatever_was_decided_since(change: Callable[[World], object]) -> None:
    world = plant(True)
    world.tell(ev.ProductionReported("4711", "pack", good=ea(10), held=ea(2), labour_seconds=5), id="r1")
    world.step()
    change(world)
    world.step()
    cancel(world)
    world.step()
    assert booked(world) == {}
    assert {balance.location for balance in world.books.balances()} == set()
    assert world.exceptions() == []


@pytest.mark.parametrize("which", ["original", "correction"])
def test_a_rebooking_that_is_refused_is_dismissed_with_the_correction(which: str) -> None:
    world = plant(False)
    original = world.tell(report(10), id="r1")
    world.step()
    correction = correct(world, report(7))
    world.work()
    world.faults.arm(Fault.LOCKED)
    world.step()
    world.faults.arm(Fault.CLOSED_PERIOD, 2)
    world.run(5)
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
    world.step()
    assert (world.fate(original), world.fate(correction)) == ("booked", "exception")
    world.own(ev.FactDismissed(original if which == "original" else correction, "ann", "a test"))
    world.step()
    assert world.fate(correction) == ("exception" if which == "original" else "dismissed")


def partly_moved_on(moved: int = 8) -> tuple[World, int, int]:
    """A report of 10, of which some have left the stock, is corrected to 9: ERP refuses to take back the whole document."""
    world = plant(False)
    original = world.tell(report(10), id="r1")
    world.tell(ev.MaterialTransferred("GEAR", ea(moved), "FG", "RM"))
    world.step()
    correction = correct(world, report(9))
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert [row.category for row in world.exceptions()] == [Category.INSUFFICIENT_STOCK]
    return world, original, correction


def stock(world: World) -> dict[str, int]:
    return {balance.location: int(balance.quantity.amount) for balance in world.books.balances()}


def test_a_reversal_whose_stock_has_moved_on_goes_behind_its_rebooking_and_before_the_completion() -> None:
    world, original, correction = partly_moved_on()
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
    world.step()
    assert world.exceptions()
    assert "last of its lane" in world.exceptions()[0].remedy
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann", last=True))
    world.step()
    assert world.exceptions() == []
    assert [str(document.kind) for document in world.documents()][-3:] == ["receipt", "reversal", "completion"]
    assert stock(world) == {"FG": 1, "RM": 8}
    assert {world.fate(original), world.fate(correction)} == {"booked"}
    cancel(world)
    world.step()
    assert world.exceptions()  # eight of the nine are elsewhere


@pytest.mark.parametrize("again", [0, 2], ids=["as it was refused", "after it was sent again"])
def test_a_dismissed_reversal_is_dismissed_with_its_rebooking_and_the_document_stands(again: int) -> None:
    world, original, correction = partly_moved_on()
    for _ in range(again):
        world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
        world.step()
    world.own(ev.FactDismissed(world.exceptions()[0].position, "ann", "the one is written off by hand"))
    world.step()
    assert world.exceptions() == []
    assert booked(world) == {"received": 10}
    assert (world.fate(original), world.fate(correction)) == ("booked", "dismissed")
    world.erp_knows(StockSet("GEAR", "FG", ea(10)))
    world.tell(report(5))
    cancel(world)
    world.step()
    assert booked(world) == {"received": 5 + 1}  # the difference that was dismissed stays in ERP
    assert world.exceptions() == []


def test_a_reversal_that_is_dismissed_after_its_rebooking_was_booked_takes_the_rebooking_back() -> None:
    world, _, correction = partly_moved_on(10)
    world.tell(ev.MaterialTransferred("GEAR", ea(9), "FG", "RM"))
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann", last=True))
    world.run(7200, 600)
    assert booked(world) == {"received": 19}
    assert world.exceptions()
    world.erp_knows(StockSet("GEAR", "FG", ea(9)))
    world.own(ev.FactDismissed(world.exceptions()[0].position, "ann", "a test"))
    world.step()
    assert booked(world) == {"received": 10}
    assert world.fate(correction) == "dismissed"
    assert world.exceptions() == []


def test_what_was_booked_in_the_place_of_a_rebooking_is_dismissed_with_the_reversal_that_it_needs() -> None:
    world, original, first = partly_moved_on()
    second = correct(world, report(8))
    world.step()
    world.own(ev.FactDismissed(first, "ann", "a test"))
    world.step()
    assert booked(world) == {"received": 10}
    assert [world.fate(at) for at in (original, first, second)] == ["booked", "dismissed", "dismissed"]
    assert world.exceptions() == []


def test_nothing_of_a_dismissed_pair_is_sent_on_the_way() -> None:
    world, _, correction = partly_moved_on()
    sent = len(world.documents())
    world.own(ev.FactDismissed(correction, "ann", "a test"))
    world.work()
    assert world.store.reading().waiting() <= 1, "the completion may go"
    world.step()
    assert [str(document.kind) for document in world.documents()[sent:]] == ["completion"]


def test_a_document_whose_reversal_is_on_its_way_is_not_taken_back_again() -> None:
    world = plant(False)
    for id, thirds in (("r1", 4), ("r2", 1), ("r3", 3)):
        world.tell(ev.ProductionReported("4711", good=ev.amount(thirds, "T3")), id=id)
    world.step()
    assert booked(world) == {"received": 3}
    cancel(world, "r3")
    cancel(world, "r1")  # a third remains, so that two more of the three documents must go, one for rounding
    world.step()
    assert booked(world) == {}
    assert world.exceptions() == []


def test_two_components_that_a_correction_takes_back_from_a_document_that_others_cancelled_are_booked_once() -> None:
    """The first rebooking is on its way when the second one takes its place: it is reversed, though both are of one correction."""
    world = World(Policy(), Rules(differences=False))
    components = tuple(ev.Component(name, ea(200), "RM", backflush=True) for name in ("LABEL", "VARNISH"))
    for name in ("LABEL", "VARNISH"):
        world.master(ev.LocationChanged("RM"), ev.ItemChanged(name, "EA"))
        world.erp_knows(StockSet(item=name, location="RM", quantity=ea(1000)))
    world.order(components=components)
    world.tell(ev.ProductionReported("4711", good=ea(20)), id="r1")
    world.step()
    issue = next(document for document in world.documents() if document.kind == "issue")
    world.erp_knows(HandCancel(document=issue.number))
    world.tell(ev.DocumentCancelled(issue.number), source="erp")
    world.step()
    correct(world, report(15))
    world.step()
    left = {item: amount for (item, location, *_), amount in world.books.stock.items() if location == "RM"}
    assert left == {"LABEL": 970, "VARNISH": 970}


# --- genealogy -----------------------------------------------------------------------------------------------------------


def parents(world: World, lot: str = "GEAR/G1") -> list[str]:
    known = world.entity("lot", lot)
    assert isinstance(known, Lot)
    return list(known.parents)


def test_a_lot_that_a_correction_says_was_not_used_is_no_part_any_more() -> None:
    world = plant(True)
    world.tell(report(2, lot="G1", consumed_lots=("STEEL/S1", "STEEL/S2")), id="r1")
    correct(world, report(2, lot="G1", consumed_lots=("STEEL/S2", "STEEL/S3")))
    world.run(30)
    assert parents(world) == ["STEEL/S2", "STEEL/S3"]
    assert world.names("children:STEEL/S1") == []
    assert world.names("children:STEEL/S3") == ["GEAR/G1"]


def test_a_lot_stays_a_part_as_long_as_some_fact_tells_of_it() -> None:
    world = plant(True)
    for id in ("r1", "r2"):
        world.tell(report(2, lot="G1", consumed_lots=("STEEL/S1",)), id=id)
    cancel(world, "r1")
    world.run(30)
    assert parents(world) == ["STEEL/S1"]
    cancel(world, "r2")
    world.run(30)
    assert parents(world) == []
    assert world.names("children:STEEL/S1") == []


def test_a_part_that_an_earlier_program_noted_stays() -> None:
    world = plant(True)
    lot = Lot("GEAR", "G1", parents=("STEEL/S0",))
    view = View("plant", world.store.reading().moment())
    view.begin(1)
    view.put("lot", "GEAR/G1", lot)
    act = Act(1, "mes", date(2026, 3, 2))
    for sign in (1, 1, -1, -1, -1):
        lots.made_from(view, act, "GEAR", "G1", ("STEEL/S0", "STEEL/S1") if sign > 0 else ("STEEL/S0",), sign)
    assert (lot.parents, lot.told) == (("STEEL/S0", "STEEL/S1"), (0, 2))
