"""What people are told of facts that wait: they are found by the name of an order that nobody knows yet."""

from __future__ import annotations

from datetime import datetime

from tests.engine.world import PLANT, World, ea

from synchromesh.engine.inquiry import Inquiry
from synchromesh.engine.views import Trace
from synchromesh.model import event as ev
from synchromesh.plant.paged import PAGE


def trace(world: World, query: str) -> Trace:
    def now() -> datetime:
        return world.time

    return Inquiry("test", [PLANT], world.store.reading(), world.log, tuple, now=now, clock=lambda: 0.0).trace(query)


def fates(found: Trace) -> list[tuple[str, str, str]]:
    return [(story.fact.id, story.fact.fate, story.fact.reference) for story in found.stories]


def test_facts_that_wait_for_an_unknown_order_are_found_by_its_name() -> None:
    world = World()
    world.tell(ev.ProductionReported("4711", good=ea(9)), id="a")
    world.tell(ev.ProductionReported("4712", good=ea(9)), id="other")
    world.tell(ev.ProductionReported("4711", good=ea(1)), id="b")
    world.step()
    found = trace(world, "4711")
    assert found.matched == ("order",)
    assert fates(found) == [("b", "waiting", "order 4711"), ("a", "waiting", "order 4711")]


def test_when_the_order_comes_each_is_found_once() -> None:
    world = World()
    world.tell(ev.ProductionReported("4711", good=ea(9)), id="a")
    world.order()
    world.tell(ev.ProductionReported("4711", good=ea(1)), id="b")
    world.step()
    assert [(id_, fate) for id_, fate, _ in fates(trace(world, "4711"))] == [("b", "booked"), ("a", "booked")]


def test_a_long_list_is_told_from_its_newest_and_says_that_there_is_more() -> None:
    world = World()
    for number in range(PAGE + 10):
        world.tell(ev.ProductionReported("4711", good=ea(1)), id=f"r-{number}")
    world.step()
    found = trace(world, "4711")
    assert found.more
    assert [story.fact.id for story in found.stories] == [f"r-{number}" for number in range(PAGE + 9, PAGE - 41, -1)]
