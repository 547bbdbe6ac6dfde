"""Over-delivery: what is within the tolerance is booked, and a person is asked about the rest."""

from __future__ import annotations

import pytest
from tests.engine.world import World, ea

from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy


def world_of(percent: int, ordered: int = 10, differences: bool = False) -> World:
    world = World(Policy(over_delivery_percent=percent, differences=differences))
    world.order(quantity=str(ordered))
    return world


def report(world: World, good: int, id: str = "", **more: object) -> int:
    at = world.tell(ev.ProductionReported("4711", good=ea(good), **more), id=id)  # type: ignore[arg-type]
    world.step()
    return at


def amounts(world: World) -> list[int]:
    return [int(line.quantity.amount) for document in world.documents() for line in document.lines]


def test_erp_judges_where_the_plant_has_no_tolerance() -> None:
    world = world_of(-1)
    report(world, 15)
    assert amounts(world) == [15]


@pytest.mark.parametrize(("percent", "booked"), [(0, 10), (9, 10), (10, 11), (15, 11), (20, 12)])
def test_the_part_within_is_booked_and_a_person_is_asked_about_the_rest(percent: int, booked: int) -> None:
    world = world_of(percent)
    at = report(world, 15)
    assert amounts(world) == [booked]
    assert world.fate(at) == "exception"
    (exception,) = world.exceptions()
    assert exception.category == Category.OVER_TOLERANCE
    assert f"order 4711 of 10 EA with {percent} %" in exception.sentence


def test_all_reports_of_an_order_are_judged_together() -> None:
    world = world_of(0)
    told = [report(world, 6), report(world, 4), report(world, 1)]
    assert amounts(world) == [6, 4]
    assert [world.fate(at) for at in told] == ["booked", "booked", "exception"]


def test_lines_of_one_document_are_parted_from_the_last_one_back() -> None:
    world = world_of(0)
    report(world, 8, held=ea(5))
    assert world.booked() == {("received", "GEAR"): 10}
    assert [[int(line.quantity.amount) for line in document.lines] for document in world.documents()] == [[8, 2]]


def test_what_comes_after_it_in_its_order_waits_and_other_orders_do_not() -> None:
    world = world_of(0)
    world.order("4712")
    report(world, 11)
    done = world.tell(ev.OrderCompleted("4711"))
    world.tell(ev.ProductionReported("4712", good=ea(3)))
    world.step()
    assert world.fate(done) == "booking"
    assert world.booked("4712") == {("received", "GEAR"): 3}


def test_a_larger_order_lets_it_go_on() -> None:
    world = world_of(0)
    first, second = report(world, 12), report(world, 3)
    world.master(ev.OrderChanged("4711", "GEAR", ea(13), location="FG"))
    assert amounts(world) == [10, 2]
    assert [world.fate(first), world.fate(second)] == ["booked", "exception"]
    world.master(ev.OrderChanged("4711", "GEAR", ea(15), location="FG"))
    assert amounts(world) == [10, 2, 3]
    assert world.exceptions() == []


def test_a_person_books_it_all_the_same_or_dismisses_it() -> None:
    world = world_of(0)
    first, second = report(world, 12), report(world, 3)
    rejected = [row.key for row in world.postings() if row.state == "rejected"]
    world.own(ev.PostingRetried(rejected[0], "ann"))
    world.own(ev.FactDismissed(second, "ann", "counted twice"))
    world.step()
    assert amounts(world) == [10, 2]
    assert [world.fate(first), world.fate(second)] == ["booked", "dismissed"]
    assert world.exceptions() == []


@pytest.mark.parametrize("differences", [True, False])
def test_a_correction_takes_back_what_is_beyond_first(differences: bool) -> None:
    world = world_of(0, differences=differences)
    report(world, 12, id="r1")
    world.tell(ev.FactCorrected("mes", "r1", ev.ProductionReported("4711", good=ea(9))))
    world.step()
    assert world.booked() == {("received", "GEAR"): 9}
    assert world.exceptions() == []


def test_what_a_correction_leaves_beyond_is_asked_about_again() -> None:
    world = world_of(0)
    report(world, 15, id="r1")
    world.tell(ev.FactCorrected("mes", "r1", ev.ProductionReported("4711", good=ea(13))))
    world.step()
    assert amounts(world) == [10]
    (exception,) = world.exceptions()
    assert exception.category == Category.OVER_TOLERANCE
    world.own(ev.PostingRetried(exception.posting, "ann"))
    world.step()
    assert amounts(world) == [10, 3]
