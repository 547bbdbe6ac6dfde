"""What ERP and its people do on their own: documents booked and cancelled by hand, refusals, approvals, silence."""

from __future__ import annotations

import pytest
from tests.engine.world import START, World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import HandBooking, HandCancel, Rules, StockSet
from synchromesh.model import event as ev
from synchromesh.model.posting import Category, Fate, Line, Outcome, PostingKind, Refusal
from synchromesh.plant.policy import Policy


def world_of(policy: Policy | None = None, rules: Rules | None = None) -> World:
    world = World(policy, rules)
    world.order()
    world.tell(ev.StockObserved((), ("GEAR",)), source="erp")
    world.step()
    return world


def report(world: World, good: int = 5, id: str = "") -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good)), id=id)


def state(world: World, number: int = 0) -> str:
    return world.postings()[number].state


def tell_outcome(world: World, fate: Fate, document: str = "", number: int = 0) -> None:
    refusal = Refusal(Category.OTHER, "x", "A late word.") if fate is Fate.REJECTED else None
    world.own(ev.OutcomesReported((Outcome(world.postings()[number].key, fate, world.time, document, refusal=refusal),)))
    world.step()


# --- outcomes --------------------------------------------------------------------------------------------------------------


def test_an_outcome_told_twice_changes_nothing() -> None:
    world = world_of()
    report(world)
    world.step()
    tell_outcome(world, Fate.POSTED, world.postings()[0].document)
    assert world.totals().documents == 1
    assert world.exceptions() == []


def test_a_refusal_that_comes_after_the_document_is_stale_and_changes_nothing() -> None:
    world = world_of()
    report(world)
    world.step()
    tell_outcome(world, Fate.REJECTED)
    assert state(world) == "posted"
    assert world.exceptions() == []


def test_a_document_that_erp_takes_back_is_an_exception_and_can_be_booked_again() -> None:
    world = world_of()
    at = report(world)
    world.step()
    tell_outcome(world, Fate.REJECTED, world.postings()[0].document)
    assert (state(world), world.fate(at)) == ("rejected", "exception")
    assert world.balance("GEAR", "FG").booked == 0
    world.own(ev.PostingRetried(world.postings()[0].key, "ann"))
    world.step()
    assert world.fate(at) == "booked"
    assert world.balance("GEAR", "FG").booked == 5


def test_a_document_that_comes_after_the_refusal_is_the_truth() -> None:
    world = world_of()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = report(world)
    world.step()
    assert world.fate(at) == "exception"
    tell_outcome(world, Fate.POSTED, "4999")
    assert world.fate(at) == "booked"
    assert world.exceptions() == []
    assert world.balance("GEAR", "FG").booked == 5


def test_a_second_document_for_a_posting_is_an_exception_until_it_is_cancelled_in_erp() -> None:
    world = world_of()
    at = report(world)
    world.step()
    tell_outcome(world, Fate.POSTED, "4999")
    assert world.exceptions()[0].category == Category.DUPLICATE
    assert world.fate(at) == "booked"
    world.tell(ev.DocumentCancelled("4999"), source="erp")
    world.step()
    assert world.exceptions() == []
    assert state(world) == "posted"


def test_outcomes_of_postings_that_nobody_made_are_ignored() -> None:
    world = world_of()
    for key in ("oslo:1:receipt:1", "bergen:8:receipt:1"):
        world.own(ev.OutcomesReported((Outcome(key, Fate.POSTED, world.time, "4999"),)))
    at = report(world)
    world.step()
    world.own(ev.OutcomesReported((Outcome(f"bergen:{at}:receipt:1", Fate.REJECTED, world.time, world.postings()[0].document),)))
    world.step()
    assert world.fate(at) == "booked"


def test_a_posting_parked_for_approval_is_followed_until_it_is_booked() -> None:
    world = world_of()
    world.faults.arm(Fault.PARKED)
    at = report(world)
    report(world, 1)
    world.step()
    assert [row.state for row in world.postings()] == ["parked", "waiting"]
    assert world.fate(at) == "booking"
    world.run(30)
    assert [row.state for row in world.postings()] == ["posted", "posted"]


def test_a_parked_posting_that_is_declined_is_an_exception() -> None:
    world = world_of()
    world.faults.arm(Fault.DECLINED)
    at = report(world)
    world.run(30)
    assert (state(world), world.fate(at)) == ("rejected", "exception")
    assert world.exceptions()[0].category == Category.NOT_PERMITTED


def test_a_posting_that_is_accepted_early_is_followed_until_it_is_booked() -> None:
    world = world_of()
    world.faults.arm(Fault.ACCEPTED)
    at = report(world)
    report(world, 1)
    world.step()
    assert [row.state for row in world.postings()] == ["accepted", "waiting"]
    assert world.fate(at) == "booking"
    world.run(30)
    assert [row.state for row in world.postings()] == ["posted", "posted"]
    assert world.exceptions() == []


def test_what_was_accepted_early_and_is_refused_later_is_an_exception_in_the_words_of_the_rule() -> None:
    world = world_of()
    world.faults.arm(Fault.ACCEPTED)
    at = report(world)
    world.work()
    world.erp_knows(ev.PeriodChanged(world.time.date(), world.time.date(), open=False))
    world.run(30)
    assert (state(world), world.fate(at)) == ("rejected", "exception")
    (row,) = world.exceptions()
    assert (row.category, row.subject) == (Category.CLOSED_PERIOD, f"period of {world.time.date()}")


# --- people in ERP ----------------------------------------------------------------------------------------------------------


def test_a_document_that_others_book_moves_the_books_and_not_the_reports() -> None:
    world = world_of()
    line = Line("GEAR", ea(7), "FG")
    for _ in range(2):
        world.tell(ev.DocumentBooked("by-hand-1", PostingKind.RECEIPT, (line,), "4711"), source="erp")
    world.step()
    assert (world.balance("GEAR", "FG").booked, world.balance("GEAR", "FG").reported) == (7, {})
    for _ in range(2):
        world.tell(ev.DocumentCancelled("by-hand-1"), source="erp")
    world.step()
    assert world.balance("GEAR", "FG").booked == 0


def cancelled_by_hand(world: World, number: int = 0) -> None:
    document = world.postings()[number].document
    world.books.enter(HandCancel(document), world.time)
    world.tell(ev.DocumentCancelled(document), source="erp")
    world.step()


def test_our_document_cancelled_by_others_is_an_exception_and_can_be_booked_again() -> None:
    world = world_of()
    at = report(world)
    world.step()
    cancelled_by_hand(world)
    assert (state(world), world.fate(at)) == ("reversed outside", "exception")
    assert world.balance("GEAR", "FG").booked == 0
    world.own(ev.PostingRetried(world.postings()[0].key, "ann"))
    world.own(ev.PostingRetried(world.postings()[0].key, "bob"))
    world.step()
    assert world.fate(at) == "booked"
    assert world.booked() == {("received", "GEAR"): 5}


def test_our_document_cancelled_by_others_may_be_right() -> None:
    world = world_of()
    at = report(world)
    world.step()
    cancelled_by_hand(world)
    world.own(ev.FactDismissed(at, "ann", "was wrong"))
    world.step()
    assert world.fate(at) == "dismissed"
    assert world.exceptions() == []


def test_a_cancellation_that_overtakes_the_outcome_is_remembered() -> None:
    world = world_of()
    at = report(world)
    world.work()
    world.tell(ev.DocumentCancelled("4900000001"), source="erp")
    world.step()
    assert world.fate(at) == "exception"


@pytest.mark.parametrize("differences", [True, False])
def test_a_cancelled_document_whose_fact_is_cancelled_too_leaves_nothing(differences: bool) -> None:
    world = world_of(Policy(differences=differences), Rules(differences=differences))
    at = report(world, id="r1")
    world.step()
    cancelled_by_hand(world)
    world.tell(ev.FactCancelled("mes", "r1"))
    world.step()
    if differences:
        world.own(ev.PostingRetried(world.postings()[0].key, "ann"))
        world.step()
    assert world.booked() == {}
    assert world.fate(at) != "exception"
    assert world.exceptions() == []


# --- decisions ----------------------------------------------------------------------------------------------------------------


def test_a_refused_posting_is_sent_again_under_a_new_key_once() -> None:
    world = world_of()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = report(world)
    report(world, 1)
    world.step()
    assert [row.state for row in world.postings()] == ["rejected", "waiting"]
    for who in ("ann", "bob"):
        world.own(ev.PostingRetried(world.postings()[0].key, who))
    world.step()
    assert world.booked() == {("received", "GEAR"): 6}
    assert world.fate(at) == "booked"
    keys = [document.key for document in world.documents()]
    assert len(set(keys)) == 2


def test_what_does_not_depend_on_a_refusal_goes_on() -> None:
    world = world_of()
    world.order("4712")
    world.faults.arm(Fault.CLOSED_PERIOD)
    report(world)
    world.tell(ev.ProductionReported("4712", good=ea(1)))
    world.step()
    assert world.booked("4712") == {("received", "GEAR"): 1}


def test_a_dismissed_refusal_lets_the_lane_go_on() -> None:
    world = world_of()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = report(world)
    report(world, 1)
    world.step()
    world.own(ev.FactDismissed(at, "ann", "not wanted"))
    world.step()
    assert world.booked() == {("received", "GEAR"): 1}
    assert world.fate(at) == "dismissed"
    assert world.fact(at).reference == "ann: not wanted"


def test_all_facts_of_a_dismissed_group_are_dismissed() -> None:
    world = world_of(Policy(gather="order"))
    told = [report(world, 1) for _ in range(4)]
    world.faults.arm(Fault.CLOSED_PERIOD)
    world.tell(ev.InputEnded("mes"), source="end")
    world.step()
    assert {world.fate(at) for at in told} == {"exception"}
    world.own(ev.FactDismissed(told[2], "ann", "not wanted"))
    world.step()
    assert {world.fate(at) for at in told} == {"dismissed"}


def test_a_document_of_a_dismissed_group_that_others_cancel_later_counts_nobody_twice() -> None:
    world = world_of()
    world.faults.arm(Fault.CLOSED_PERIOD)
    at = world.tell(ev.ProductionReported("4711", good=ea(5), scrap=ea(1)))
    world.step()
    assert [row.state for row in world.postings()] == ["rejected", "waiting"]
    world.own(ev.FactDismissed(at, "ann", "not wanted"))
    world.step()
    assert [row.state for row in world.postings()] == ["withdrawn", "posted"]
    cancelled_by_hand(world, 1)
    assert world.fates() == {"dismissed": 1}
    world.own(ev.FactDismissed(at, "ann", "not wanted"))
    world.step()
    assert world.exceptions() == []


def test_decisions_that_fit_nothing_change_nothing() -> None:
    world = world_of()
    at = report(world)
    world.step()
    key = world.postings()[0].key
    other = key.replace("oslo:", "oslo.another:")
    for event in (
        ev.PostingRetried(key, "ann"), ev.PostingRetried("nonsense", "ann"), ev.PostingRetried("oslo:999:receipt:1", "ann"),
        ev.DoubtSettled(other, "ann", "4999"), ev.PostingRetried(other, "ann"),
        ev.DoubtSettled(key, "ann", "4999"), ev.FactDismissed(999, "ann", "x"), ev.FactDismissed(at, "ann", "x"),
    ):  # fmt: skip
        world.own(event)
    world.step()
    assert world.fate(at) == "booked"
    assert len(world.documents()) == 1


@pytest.mark.parametrize("document", ["", "4900000001"])
def test_a_person_settles_doubt_about_a_blind_system(document: str) -> None:
    world = world_of(None, Rules(grade=Grade.BLIND))
    world.faults.arm(Fault.LOST if document else Fault.DROPPED)
    at = report(world)
    report(world, 1)
    world.run(5)
    assert [row.state for row in world.postings()] == ["in doubt", "waiting"]
    assert world.fate(at) == "exception"
    world.own(ev.DoubtSettled(world.postings()[0].key, "ann", document))
    world.step()
    assert world.fate(at) == "booked"
    assert world.booked() == {("received", "GEAR"): 6}
    assert world.exceptions() == []


@pytest.mark.parametrize("booked", [True, False])
def test_a_cancelled_fact_in_doubt_leaves_nothing_whatever_the_person_finds(booked: bool) -> None:
    world = world_of(Policy(differences=False), Rules(grade=Grade.BLIND, differences=False))
    world.faults.arm(Fault.LOST if booked else Fault.DROPPED)
    report(world, id="r1")
    world.run(5)
    world.tell(ev.FactCancelled("mes", "r1"))
    world.step()
    world.own(ev.DoubtSettled(world.postings()[0].key, "ann", "4900000001" if booked else ""))
    world.step()
    assert world.booked() == {}
    assert world.exceptions() == []
    assert "exception" not in world.fates()


# --- orders ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["closed", "cancelled"])
def test_a_report_for_a_closed_order_is_an_exception_that_ends_when_the_order_is_reopened(status: str) -> None:
    world = world_of()
    world.master(ev.OrderChanged("4711", "GEAR", ea(100), status, location="FG"))  # type: ignore[arg-type]
    told = [report(world), report(world, 1), report(world, 2)]
    world.step()
    assert [row.category for row in world.exceptions()] == [Category.ORDER_CLOSED] * 3
    world.own(ev.FactDismissed(told[1], "ann", "not wanted"))
    world.step()
    world.master(ev.OrderChanged("4711", "GEAR", ea(100), location="FG"))
    assert world.exceptions() == []
    assert world.booked() == {("received", "GEAR"): 7}
    assert world.fates() == {"booked": 2, "dismissed": 1}


def test_a_completed_order_takes_supplements() -> None:
    world = world_of()
    world.master(ev.OrderChanged("4711", "GEAR", ea(100), "completed", location="FG"))
    at = report(world)
    world.step()
    assert world.fate(at) == "booked"


def test_a_hand_booked_receipt_is_no_report() -> None:
    world = world_of()
    world.books.enter(HandBooking(PostingKind.RECEIPT, START.date(), (Line("GEAR", ea(3), "FG"),), "4711"), world.time)
    world.erp_knows(StockSet("GEAR", "RM", ea(1)))
    world.step()
    assert world.found_order().made == {}
