"""Runs that are kept: how old a difference is, the one exception about them, and corrections that a person approves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.engine import test_desk as decisions
from tests.engine.reconcile.desk import compared, desk_of, kept, parts, stock, world_of
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.engine.desk import NotFitting
from synchromesh.engine.queue import Unknown as NoSuchThing
from synchromesh.engine.reconcile.reconciler import Unknown
from synchromesh.engine.reconcile.views import DifferenceView
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy


def lose(world: World, left: int = 98) -> None:
    """Somebody took bars in ERP, and nobody told."""
    world.erp_knows(StockSet("BAR", "RM", ea(left)))


def standing(world: World) -> tuple[DifferenceView, ...]:
    return desk_of(world).kept(PLANT).differences


def approve(world: World, proposal: str = "", by: str = "ada") -> int:
    decision = ev.DifferenceAdjusted(proposal or standing(world)[0].proposal, by, "recount")
    return decisions.desk_of(world).decide(PLANT, decision).position


# --- what is kept -----------------------------------------------------------------------------------------------------------


def test_a_run_is_kept_with_what_it_found_and_since_when() -> None:
    world = world_of()
    lose(world)
    first = world.time
    report = kept(world, "stock")
    world.time += timedelta(hours=3)
    kept(world, "stock")
    (difference,) = standing(world)
    assert (difference.since, difference.amount, difference.unit) == (first, -2, "EA")
    assert difference.sentence == "erp has 98 EA of item BAR at RM, the plant reported 100: -2 unexplained."
    assert [(run.scope, run.beyond, run.anew) for run in desk_of(world).kept(PLANT).runs] == [("stock", 1, 0), ("stock", 1, 1)]
    assert desk_of(world).kept(PLANT).runs[-1].position == report.kept
    assert compared(world, "stock").stock[0].since == first


def test_a_difference_that_is_gone_is_new_when_it_comes_again() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    world.time += timedelta(hours=1)
    lose(world, 100)
    kept(world, "stock")
    assert standing(world) == ()
    world.time += timedelta(hours=1)
    lose(world)
    kept(world, "stock")
    assert standing(world)[0].since == world.time


def test_looking_keeps_nothing() -> None:
    world = world_of()
    lose(world)
    compared(world, "stock")
    assert desk_of(world).kept(PLANT).runs == ()


def test_only_so_many_runs_are_kept() -> None:
    world = world_of()
    for _ in range(103):
        world.own(ev.Reconciled("orders", world.time, 1, 0))
    world.step()
    assert len(desk_of(world).kept(PLANT).runs) == 100


# --- the one exception --------------------------------------------------------------------------------------------------------


def test_a_scheduled_run_opens_one_exception_and_the_run_that_finds_nothing_closes_it() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    assert world.exceptions() == []
    kept(world, "stock", scheduled=True)
    kept(world, "stock", scheduled=True)
    (row,) = world.exceptions()
    assert row.sentence == "The reconciliation of stock found 1 difference(s) beyond the tolerance that nothing explains."
    lose(world, 100)
    kept(world, "stock")
    assert world.exceptions() == []
    assert [each.state for each in world.exceptions("resolved")] == ["resolved"]


def test_each_scope_has_an_exception_of_its_own() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock", scheduled=True)
    kept(world, "orders", scheduled=True)
    found = ev.Difference("4711", "Order 4711 is completed, and in ERP it is released.")
    world.own(ev.Reconciled("states", world.time, 1, 1, scheduled=True, differences=(found,)))
    world.step()
    assert [(row.category, row.subject) for row in world.exceptions()] == [
        ("difference", "reconciliation of states"),
        ("difference", "reconciliation of stock"),
    ]
    lose(world, 100)
    kept(world, "stock")
    assert [row.subject for row in world.exceptions()] == ["reconciliation of states"]


def test_what_is_within_the_tolerance_opens_no_exception() -> None:
    world = world_of(Policy(tolerance_absolute="2"))
    lose(world)
    kept(world, "stock", scheduled=True)
    assert (world.exceptions(), standing(world)) == ([], ())


# --- approving ------------------------------------------------------------------------------------------------------------------


def test_an_approved_proposal_is_booked_once_and_ends_the_difference() -> None:
    world = world_of()
    lose(world)
    report = kept(world, "stock")
    (difference,) = standing(world)
    assert (difference.proposal, difference.words) == (f"{report.kept}:1", "Adjust item BAR at RM in ERP by +2 EA.")
    position = approve(world)
    (posting,) = world.postings()
    assert (posting.position, posting.kind, posting.state) == (position, "adjustment", "posted")
    (line,) = world.postings_lines()
    assert (line.quantity, line.reason) == (ea(2), f"reconciliation {report.kept}:1: recount")
    assert world.books.stock["BAR", "RM", "", "", ""] == 100
    assert stock(world) == []
    assert (standing(world)[0].decision, standing(world)[0].by) == (f"approved at {position}", "ada")
    assert world.fact(position).fate == "booked"
    balance = world.balance("BAR", "RM")
    assert (balance.booked, balance.reported) == (100, {})


def test_while_an_approved_correction_is_on_its_way_it_explains_the_difference() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    world.own(ev.DifferenceAdjusted(standing(world)[0].proposal, "ada"))
    world.work()
    (row,) = stock(world)
    assert parts(row) == {"in flight": -2}


def test_a_second_approval_changes_nothing() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    proposal = standing(world)[0].proposal
    approve(world, proposal)
    approve(world, proposal, "bob")
    assert len(world.documents()) == 1
    assert standing(world)[0].by == "ada"


def test_a_proposal_is_foreseen_approved_by_two_and_stands_in_the_trail() -> None:
    world = world_of(Policy(approvals=("adjust",)))
    lose(world)
    kept(world, "stock")
    decision = ev.DifferenceAdjusted(standing(world)[0].proposal, "ada", "recount")
    desk = decisions.desk_of(world)
    foreseen = desk.decide(PLANT, decision, dry_run=True)
    assert foreseen.foreseen is not None
    assert [(each.kind, each.lines) for each in foreseen.foreseen.made.first] == [
        ("adjustment", (f"2 EA of BAR, at RM, reason reconciliation {decision.proposal}: recount",))
    ]
    assert "a second person must approve it" in foreseen.warnings[0]
    proposed = desk.decide(PLANT, decision)
    assert (proposed.came_of, world.documents()) == ("proposed", [])
    with pytest.raises(NotFitting, match="a second person must approve it"):
        desk.decide(PLANT, ev.DecisionApproved(proposed.position, "ada"))
    assert desk.decide(PLANT, ev.DecisionApproved(proposed.position, "bob")).came_of == "done"
    assert len(world.documents()) == 1
    assert [(each.by, each.verb, each.came_of) for each in desk.queue.audit(9)] == [
        ("bob", "approved", "done"),
        ("ada", "adjust", "proposed"),
    ]


def test_a_proposal_that_does_not_fit_any_more_is_refused_at_the_desk_and_by_the_plant() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    proposal = standing(world)[0].proposal
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(1), location="RM"))
    world.step()
    with pytest.raises(NotFitting, match="does not fit any more: the ledgers have moved at this place"):
        approve(world, proposal)
    world.own(ev.DifferenceAdjusted(proposal, "ada"))
    world.step()
    assert [posting.kind for posting in world.postings()] == ["issue"]
    assert (standing(world)[0].decision, standing(world)[0].by) == ("did not fit any more", "ada")


@pytest.mark.parametrize("proposal", ["1:1", "0:0", "x", "", "1", "1:1:1", "²:1", "9" * 60])
def test_a_proposal_that_there_is_not_is_refused(proposal: str) -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    with pytest.raises((NoSuchThing, NotFitting), match=r"there is no proposal|can't be meant"):
        decisions.desk_of(world).decide(PLANT, ev.DifferenceAdjusted(proposal, "ada"))
    world.own(ev.DifferenceAdjusted(proposal or "-", "ada"))
    world.step()
    assert world.documents() == []


def test_a_difference_of_an_order_has_no_proposal() -> None:
    world = world_of()
    world.tell(ev.DocumentBooked("9001", "receipt", (), "4711"), source="erp")  # type: ignore[arg-type]
    world.step()
    kept(world, "orders")
    assert all(not each.proposal for each in standing(world))


def test_what_was_counted_is_right_before_what_was_reported() -> None:
    """The WMS counts 97, ERP has 98, the plant reported 100: ERP loses one, and both ledgers follow."""
    world = world_of()
    lose(world)
    world.tell(ev.StockSnapshotTaken("wms", world.time, (ev.StockLine("BAR", "RM", ea(97)),)), source="wms")
    world.step()
    kept(world, "stock")
    assert [each.words for each in standing(world) if each.words] == ["Adjust item BAR at RM in ERP by -1 EA."]
    approve(world, next(each.proposal for each in standing(world) if each.proposal))
    assert world.books.stock["BAR", "RM", "", "", ""] == 97
    assert stock(world) == []
    assert (world.balance("BAR", "RM").booked, world.balance("BAR", "RM").reported) == (97, {"EA": Decimal(-3)})


def test_what_was_counted_is_right_before_erp_and_reports_that_agree() -> None:
    world = world_of()
    world.tell(ev.StockSnapshotTaken("wms", world.time, (ev.StockLine("BAR", "RM", ea(97)),)), source="wms")
    world.step()
    kept(world, "stock")
    assert [each.words for each in standing(world)] == ["Adjust item BAR at RM in ERP by -3 EA."]
    approve(world)
    assert world.books.stock["BAR", "RM", "", "", ""] == 97
    assert stock(world) == []


def test_where_erp_and_the_count_agree_only_the_own_ledgers_follow() -> None:
    world = world_of()
    lose(world)
    world.tell(ev.StockSnapshotTaken("wms", world.time, (ev.StockLine("BAR", "RM", ea(98)),)), source="wms")
    world.step()
    kept(world, "stock")
    (words,) = [each.words for each in standing(world) if each.words]
    assert words == "Take over that item BAR at RM is different by -2 EA, in both ledgers; ERP has it already."
    approve(world, next(each.proposal for each in standing(world) if each.proposal))
    assert (world.documents(), stock(world)) == ([], [])
    kept(world, "stock", scheduled=True)
    assert (world.exceptions(), standing(world)) == ([], ())


def test_a_correction_that_erp_refuses_is_an_exception_like_any_other() -> None:
    world = world_of()
    lose(world)
    kept(world, "stock")
    world.erp_knows(ev.PeriodChanged(world.time.date(), world.time.date(), open=False))
    position = approve(world)
    (row,) = stock(world)
    assert parts(row) == {"failed": -2}
    world.own(ev.FactDismissed(position, "ada", "not worth it"))
    world.step()
    (row,) = stock(world)
    assert parts(row) == {"not booked by decision": -2}


def test_nothing_is_proposed_while_something_moves() -> None:
    world = world_of()
    lose(world)
    world.tell(ev.MaterialConsumed("4711", "BAR", ea(5), location="RM"))
    world.work()
    report = asyncio.run(desk_of(world).compare("stock", PLANT))
    assert [(row.sure, row.proposal) for row in report.stock] == [(False, "")]


@pytest.mark.parametrize("scope", ["lots", "", "stock "])
def test_an_unknown_scope_or_plant_is_refused(scope: str) -> None:
    with pytest.raises(Unknown, match="there are stock, orders, states"):
        compared(world_of(), scope)
    with pytest.raises(Unknown, match="there is no plant 'pluto'; there are oslo"):
        asyncio.run(desk_of(world_of()).run("stock", "pluto"))
