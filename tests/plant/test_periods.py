"""Facts of closed periods: three policies, and what happens when a period opens."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from tests.engine.world import START, World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy

FEBRUARY = ev.PeriodChanged(date(2026, 2, 1), date(2026, 2, 28), open=False)
LATE = START - timedelta(days=5)
"""A moment in February."""


def world_of(closed_period: str) -> World:
    world = World(Policy(closed_period=closed_period))  # type: ignore[arg-type]
    world.order()
    world.master(FEBRUARY)
    return world


def report(world: World, good: int = 5) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good)), occurred=LATE)


def reopen(world: World) -> None:
    world.master(ev.PeriodChanged(FEBRUARY.first, FEBRUARY.last, open=True))


def test_a_late_fact_is_booked_on_the_first_open_day_and_keeps_its_own() -> None:
    world = world_of("first open day")
    at = report(world)
    world.step()
    assert [document.effective for document in world.documents()] == [date(2026, 3, 1)]
    assert world.fate(at) == "booked"
    assert b'"original":"2026-02-25"' in world.postings()[0].content


def test_a_fact_waits_for_its_period_and_keeps_its_lane_in_order() -> None:
    world = world_of("wait")
    report(world)
    world.tell(ev.ProductionReported("4711", good=ea(1)))
    world.step()
    assert world.documents() == []
    assert world.postings()[0].waits_for == "the period of 2026-02-25 to open"
    reopen(world)
    assert [document.effective for document in world.documents()] == [LATE.date(), START.date()]
    assert world.fates() == {"booked": 2}


def test_many_facts_that_wait_for_a_period_go_on_a_page_a_step() -> None:
    world = world_of("wait")
    for number in range(300):
        world.erp_knows_as(ev.OrderChanged(f"P{number}", "GEAR", ea(1), location="FG"))
        world.tell(ev.OrderChanged(f"P{number}", "GEAR", ea(1), location="FG"), source="erp")
        world.tell(ev.ProductionReported(f"P{number}", good=ea(1)), occurred=LATE)
    world.step()
    assert world.fates() == {"booking": 300}
    head = world.log.head()["oslo"]
    world.erp_knows_as(ev.PeriodChanged(FEBRUARY.first, FEBRUARY.last, open=True))
    world.tell(ev.PeriodChanged(FEBRUARY.first, FEBRUARY.last, open=True), source="erp")
    world.work()
    assert world.log.head()["oslo"] == head + 1 + 2
    world.step()
    assert world.fates() == {"booked": 300}


def test_a_period_that_closes_again_before_all_have_gone_on_is_waited_for_again() -> None:
    world = world_of("wait")
    report(world)
    world.step()
    world.tell(ev.PeriodChanged(FEBRUARY.first, FEBRUARY.last, open=True), source="erp")
    world.tell(FEBRUARY, source="erp")
    world.step()
    assert world.documents() == []
    reopen(world)
    assert world.fates() == {"booked": 1}


def test_a_person_is_asked_and_it_goes_on_by_itself_when_the_period_is_open() -> None:
    world = world_of("ask")
    at = report(world)
    world.step()
    row = world.exceptions()[0]
    assert (row.category, world.fate(at)) == (Category.CLOSED_PERIOD, "exception")
    world.own(ev.PostingRetried(row.posting, "ann"))
    world.step()
    assert len(world.exceptions()) == 1, "still closed: asked again"
    reopen(world)
    assert world.exceptions() == []
    assert [document.effective for document in world.documents()] == [LATE.date()]


def test_the_newest_word_about_a_day_counts() -> None:
    world = world_of("first open day")
    world.master(ev.PeriodChanged(date(2026, 2, 20), date(2026, 3, 20), open=True))
    report(world)
    world.step()
    assert [document.effective for document in world.documents()] == [LATE.date()]


def test_the_first_open_day_lies_inside_a_longer_closing_when_part_of_it_was_opened() -> None:
    world = World()
    world.order()
    world.master(
        ev.PeriodChanged(date(2026, 1, 1), date(2026, 3, 31), open=False), ev.PeriodChanged(date(2026, 3, 1), date(2026, 3, 31), open=True)
    )
    report(world)
    world.step()
    assert [document.effective for document in world.documents()] == [date(2026, 3, 1)]


@pytest.mark.parametrize("policy", ["first open day", "wait", "ask"])
def test_a_closing_until_further_notice_leaves_no_open_day(policy: str) -> None:
    world = World(Policy(closed_period=policy))  # type: ignore[arg-type]
    world.order()
    world.master(ev.PeriodChanged(date(2026, 2, 1), date.max, open=False))
    at = report(world)
    world.step()
    assert world.documents() == []
    assert world.fate(at) in ("exception", "booking")


def test_a_correction_in_a_closed_period_is_booked_on_the_first_open_day() -> None:
    world = World(Policy(differences=True))
    world.order()
    world.tell(ev.ProductionReported("4711", good=ea(5)), id="r1", occurred=LATE)
    world.step()
    world.master(FEBRUARY)
    world.tell(ev.FactCorrected("mes", "r1", ev.ProductionReported("4711", good=ea(4))), occurred=LATE)
    world.step()
    assert [document.effective for document in world.documents()] == [LATE.date(), date(2026, 3, 1)]


def test_a_rebooking_after_a_closing_is_booked_on_the_first_open_day() -> None:
    world = World(Policy(differences=False))
    world.order()
    world.tell(ev.ProductionReported("4711", good=ea(5)), id="r1", occurred=LATE)
    world.step()
    world.master(FEBRUARY)
    world.tell(ev.FactCorrected("mes", "r1", ev.ProductionReported("4711", good=ea(4))))
    world.step()
    assert world.exceptions() == []
    assert world.booked() == {("received", "GEAR"): 4}


def queued(policy: str) -> World:
    """A report whose period closes while it stands behind a refused one."""
    world = World(Policy(closed_period=policy))  # type: ignore[arg-type]
    world.order()
    world.faults.arm(Fault.CLOSED_PERIOD)
    world.tell(ev.ProductionReported("4711", good=ea(1)))
    world.step()
    report(world)
    world.step()
    world.master(FEBRUARY)
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
    world.step()
    return world


def test_a_period_that_closes_while_a_posting_is_queued_moves_it() -> None:
    world = queued("first open day")
    assert world.exceptions() == []
    assert [(document.effective, document.original) for document in world.documents()] == [
        (START.date(), None), (date(2026, 3, 1), LATE.date())
    ]  # fmt: skip


def test_a_period_that_closes_while_a_posting_is_queued_is_waited_for() -> None:
    world = queued("wait")
    assert [row.waits_for for row in world.postings() if row.state == "waiting"] == ["the period of 2026-02-25 to open"]
    reopen(world)
    assert [document.effective for document in world.documents()] == [START.date(), LATE.date()]


def test_a_period_that_closes_while_a_posting_is_queued_is_asked_about() -> None:
    world = queued("ask")
    assert [row.category for row in world.exceptions()] == [Category.CLOSED_PERIOD]
    assert len(world.documents()) == 1
    assert world.fates() == {"booked": 1, "exception": 1}
    assert not world.postings()[-1].refusal, "ERP was not asked"


def test_what_erp_refused_for_its_period_is_sent_again_on_the_first_open_day() -> None:
    world = World()
    world.order()
    world.erp_knows(FEBRUARY)
    report(world)
    world.step()
    assert [row.category for row in world.exceptions()] == [Category.CLOSED_PERIOD]
    world.tell(FEBRUARY, source="erp")
    world.own(ev.PostingRetried(world.exceptions()[0].posting, "ann"))
    world.step()
    assert [(document.effective, document.original) for document in world.documents()] == [(date(2026, 3, 1), LATE.date())]


def test_a_reversal_is_not_booked_before_the_day_to_which_its_original_was_moved() -> None:
    world = World(Policy(differences=False), Rules(differences=False))
    world.order()
    world.master(FEBRUARY)
    world.tell(ev.ProductionReported("4711", good=ea(5)), id="r1", occurred=LATE)
    world.step()
    reopen(world)
    world.tell(ev.FactCancelled("mes", "r1"), occurred=LATE)
    world.step()
    assert [document.effective for document in world.documents()] == [date(2026, 3, 1)] * 2
    assert world.exceptions() == []
