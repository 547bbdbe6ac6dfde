"""A fact about something unknown waits for that thing, by name, and goes on in order when it is there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.engine.world import World, ea

from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy

ITEM = ev.ItemChanged("GEAR", "EA", alternatives=(ev.AlternativeUnit("BX", 12),))
ORDER = ev.OrderChanged("4711", "GEAR", ea(100), location="FG")
PLACES = (ev.LocationChanged("FG"), ev.LocationChanged("RM"))


def report(good: int = 5, **more: str) -> ev.ProductionReported:
    return ev.ProductionReported("4711", good=ea(good), **more)


def received(world: World) -> int:
    return int(world.booked().get(("received", "GEAR"), 0))


def test_a_report_waits_for_its_order() -> None:
    world = World()
    at = world.tell(report())
    world.step()
    assert (world.fact(at).fate, world.fact(at).reference) == ("waiting", "order 4711")
    world.order()
    assert received(world) == 5


def test_a_report_waits_for_the_release_of_its_order() -> None:
    world = World()
    world.order(status="planned")
    at = world.tell(report())
    world.step()
    assert world.fact(at).reference == "release of order 4711"
    world.master(ORDER)
    assert received(world) == 5


def test_a_report_waits_for_one_thing_after_the_other() -> None:
    world = World()
    at = world.tell(report(location="NEW"))
    world.step()
    world.tell(ORDER, source="erp")
    world.step()
    assert world.fact(at).reference == "item GEAR"
    world.master(*PLACES, ITEM)
    world.erp_knows_as(ORDER)
    assert world.fact(at).reference == "location NEW"
    world.master(ev.LocationChanged("NEW"))
    assert received(world) == 5
    assert world.found_order().waiting == 0


def test_a_report_waits_for_the_conversion_of_its_unit() -> None:
    world = World()
    world.master(*PLACES, ev.ItemChanged("GEAR", "EA"), ORDER)
    at = world.tell(ev.ProductionReported("4711", good=ev.amount(2, "BX")))
    world.step()
    assert world.fact(at).reference == "unit BX of item GEAR"
    world.master(ITEM)
    assert received(world) == 24


def test_a_unit_may_be_reached_through_another_one_of_its_dimension() -> None:
    world = World()
    world.master(*PLACES, ev.ItemChanged("GEAR", "EA"), ORDER)
    at = world.tell(ev.ProductionReported("4711", good=ev.amount(500, "GRM")))
    world.step()
    assert world.fact(at).reference == "unit GRM of item GEAR"
    world.master(ev.ItemChanged("GEAR", "EA", alternatives=(ev.AlternativeUnit("KGM", 10),)))
    assert received(world) == 5


def test_a_correction_that_overtook_its_original_waits_for_it() -> None:
    world = World()
    world.order()
    at = world.tell(ev.FactCorrected("mes", "r1", report(3)))
    world.step()
    assert world.fact(at).reference == "fact mes/r1"
    world.tell(report(5), id="r1")
    world.step()
    assert received(world) == 3


def test_a_correction_of_a_fact_that_waits_comes_after_it() -> None:
    world = World()
    world.tell(ev.FactCorrected("mes", "r1", report(3)))
    world.tell(report(5), id="r1")
    world.step()
    assert world.fates() == {"waiting": 2}
    world.order()
    assert received(world) == 3


def test_facts_go_on_in_the_order_they_were_told() -> None:
    world = World()
    told = [world.tell(ev.MaterialConsumed("4711", "GEAR", ea(1), lot=f"L{number:04}")) for number in range(1000)]
    world.step()
    assert world.fates() == {"waiting": 1000}
    world.work()
    head = world.log.head()["oslo"]
    world.tell(PLACES[0], source="erp")
    world.tell(ITEM, source="erp")
    world.tell(ORDER, source="erp")
    world.work()
    assert world.log.head()["oslo"] - head == 3 + 4, "a page of 256 a tick"
    first = [row.position for row in sorted(world.postings(), key=lambda row: row.turn)]
    assert first == told
    assert world.fates() == {"booking": 1000}


def test_waiting_too_long_is_one_exception_that_ends_when_the_thing_comes() -> None:
    world = World(Policy(waiting_hours=2))
    for _ in range(3):
        world.tell(report())
    world.step()
    world.time += timedelta(hours=2, seconds=1)
    world.step()
    row = world.exceptions()[0]
    assert (row.category, row.subject) == (Category.UNKNOWN_ORDER, "order 4711")
    assert "3 fact(s)" in row.sentence
    assert world.fates() == {"waiting": 3}
    world.order()
    assert world.exceptions() == []
    assert received(world) == 15


def test_what_becomes_late_while_it_goes_on_is_no_exception() -> None:
    world = World(Policy(waiting_hours=2))
    for _ in range(600):
        world.tell(report())
    world.step()
    world.time += timedelta(hours=2, seconds=1)
    world.order()
    world.time += timedelta(hours=2)
    world.work()
    assert world.exceptions() == []
    assert "waiting" not in world.fates()


def test_a_correction_of_what_waits_for_the_order_does_not_let_its_end_go_before_what_waits_for_something_else() -> None:
    world = World()
    world.order("4712")
    corrected = world.tell(report())
    world.step()
    world.tell(PLACES[0], source="erp")
    world.tell(ITEM, source="erp")
    world.tell(ORDER, source="erp")
    waits = world.tell(ev.MaterialConsumed("4711", "NUT", ea(1)))
    row = world.fact(corrected)
    world.tell(ev.FactCorrected(row.source, row.id, report(7)))
    end = world.tell(ev.OrderCompleted("4711"))
    world.work()
    assert (world.fact(waits).reference, world.fact(end).fate) == ("item NUT", "waiting")
    world.master(ev.ItemChanged("NUT", "EA"))
    assert world.fact(end).fate == "booked"


def test_waiting_too_long_ends_when_all_that_wait_are_dismissed() -> None:
    world = World(Policy(waiting_hours=2))
    told = [world.tell(report()) for _ in range(2)]
    world.step()
    world.time += timedelta(hours=3)
    world.step()
    for at in told:
        assert len(world.exceptions()) == 1
        world.own(ev.FactDismissed(at, "ann", "a test"))
        world.step()
    assert world.exceptions() == []
    assert world.fates() == {"dismissed": 2}
    world.order()
    assert received(world) == 0


def test_what_was_dismissed_before_it_was_late_is_no_exception() -> None:
    world = World(Policy(waiting_hours=2))
    at = world.tell(report())
    world.step()
    world.own(ev.FactDismissed(at, "ann", "a test"))
    world.time += timedelta(hours=3)
    world.step()
    assert world.exceptions() == []


def test_waiting_is_no_exception_when_the_policy_sets_no_limit() -> None:
    world = World(Policy(waiting_hours=0))
    world.tell(report())
    world.time += timedelta(days=20)
    world.step()
    assert world.exceptions() == []


def test_the_end_of_an_order_comes_after_everything_of_it_that_waits() -> None:
    world = World()
    world.order()
    world.tell(report(5, location="NEW"))
    end = world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert (world.fact(end).fate, world.fact(end).reference) == ("waiting", "open facts of order 4711")
    world.master(ev.LocationChanged("NEW"))
    assert [document.kind for document in world.documents()] == ["receipt", "completion"]


@pytest.mark.parametrize("count", [1, 600])
def test_the_end_that_is_told_while_a_long_list_is_worked_off_comes_last(count: int) -> None:
    world = World()
    for _ in range(count):
        world.tell(report(1))
    world.step()
    for event in (*PLACES, ITEM, ORDER):
        world.erp_knows_as(event)
        world.tell(event, source="erp")
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert received(world) == count
    assert [document.kind for document in world.documents()][-1] == "completion"


def test_dismissing_the_last_that_waits_lets_the_end_go_on() -> None:
    world = World()
    world.order()
    at = world.tell(report(5, location="NEW"))
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    world.own(ev.FactDismissed(at, "ann", "no such place"))
    world.step()
    assert [document.kind for document in world.documents()] == ["completion"]


def test_the_first_fact_of_an_order_that_waited_stands_once_in_its_chain() -> None:
    world = World()
    world.order()
    first = world.tell(ev.ScrapRecorded("4711", ea(1), item="NUT"))
    second = world.tell(ev.ScrapRecorded("4711", ea(1)))
    world.step()
    world.master(ev.ItemChanged("NUT", "EA"))
    assert [world.fact(at).previous for at in (first, second)] == [0, first]
    assert world.found_order().last_fact == second
    world.own(ev.FactDismissed(first, "ann", "walks the whole chain"))
    world.step()
    early = world.tell(ev.ScrapRecorded("4712", ea(1)))
    world.order("4712")
    later = world.tell(ev.ScrapRecorded("4712", ea(1)))
    world.step()
    assert world.fact(early).previous == 0
    assert world.fact(later).previous == early


def late(world: World) -> set[str]:
    return {row.subject for row in world.exceptions() if not row.posting}


def test_names_that_become_late_together_are_an_exception_each() -> None:
    world = World()
    world.order()
    for item in ("NUT", "BOLT"):
        world.tell(ev.ScrapRecorded("4711", ea(1), item=item))
    world.step()
    world.time += timedelta(hours=25)
    world.step()
    assert late(world) == {"item NUT", "item BOLT"}
    world.master(ev.ItemChanged("NUT", "EA"))
    assert late(world) == {"item BOLT"}
    world.master(ev.ItemChanged("BOLT", "EA"))
    assert late(world) == set()


def test_what_cancels_a_fact_that_is_about_to_go_on_stands_once_in_the_chain() -> None:
    world = World()
    world.order("4712")
    first = world.tell(ev.ScrapRecorded("4711", ea(1)), id="s1")
    world.work()
    world.erp_knows_as(ev.OrderChanged("4711", "GEAR", ea(9), location="FG"))
    world.tell(ev.OrderChanged("4711", "GEAR", ea(9), location="FG"), source="erp")
    second = world.tell(ev.FactCancelled("mes", "s1"))
    third = world.tell(ev.ScrapRecorded("4711", ea(1)))
    world.step()
    chain, at = [], world.found_order().last_fact
    while at and len(chain) < 9:
        chain.append(at)
        at = world.fact(at).previous
    assert sorted(chain) == [first, second, third]


@pytest.mark.parametrize("correction", ["cancelled", "corrected"])
def test_the_end_of_an_order_goes_on_when_the_last_fact_that_waits_is_taken_back(correction: str) -> None:
    world = World()
    world.order()
    world.tell(ev.ScrapRecorded("4711", ea(1), item="NUT"), id="s1")
    world.tell(ev.OrderCompleted("4711"))
    world.run(25 * 3600, pace=3600)
    assert world.documents() == []
    assert {row.subject for row in world.exceptions()} == {"item NUT", "order 4711"}
    told = ev.FactCancelled("mes", "s1") if correction == "cancelled" else ev.FactCorrected("mes", "s1", ev.ScrapRecorded("4711", ea(1)))
    world.tell(told)
    world.step()
    booked = ["completion"] if correction == "cancelled" else ["scrap", "completion"]
    assert [document.kind for document in world.documents()] == booked
    assert world.exceptions() == [], "nothing is late any more"
    assert world.found_order().waiting == 0


def test_what_waits_again_for_the_same_is_not_looked_at_without_end() -> None:
    world = World()
    world.master(*PLACES, ev.ItemChanged("GEAR", "EA"), ORDER)
    world.tell(ev.ProductionReported("4711", good=ev.amount(2, "BX")))
    world.run(60)
    world.tell(ev.ItemChanged("GEAR", "EA", "still without a box"), source="erp")
    head = world.log.head()
    for _ in range(20):
        world.worker.step()
        world.worker.tick()
    assert sum(world.log.head().values()) <= sum(head.values()) + 1  # one tick looks at it
    assert world.fates() == {"waiting": 1}
    world.master(ITEM)
    world.run(60)
    assert received(world) == 24
