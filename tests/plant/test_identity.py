"""A message is known by its own identity, never by its content."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.engine.world import PLANT, START, World, ea

from synchromesh.model import event as ev
from synchromesh.model.message import NATIVE, Message
from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy


def report(good: int = 5, order: str = "4711") -> ev.ProductionReported:
    return ev.ProductionReported(order, good=ea(good))


def received(world: World, order: str = "4711") -> int:
    return int(world.booked(order).get(("received", "GEAR"), 0))


def test_the_same_message_again_is_a_duplicate_and_books_nothing() -> None:
    world = World()
    world.order()
    first = world.tell(report(), id="r1")
    again = world.tell(report(), id="r1")
    world.step()
    later = world.tell(report(), id="r1")
    world.step()
    assert received(world) == 5
    assert [world.fact(at).fate for at in (again, later)] == ["duplicate", "duplicate"]
    assert world.fact(again).reference == str(first)


def test_equal_reports_under_different_identities_both_count() -> None:
    world = World()
    world.order()
    world.tell(report(), id="r1")
    world.tell(report(), id="r2")
    world.tell(report(), id="r1", source="another")
    world.step()
    assert received(world) == 15


def test_an_identity_that_returns_with_other_content_is_an_exception_and_the_first_counts() -> None:
    world = World()
    world.order()
    world.tell(report(5), id="r1")
    other = world.tell(report(6), id="r1")
    world.step()
    assert received(world) == 5
    assert world.fact(other).fate == "exception"
    assert [row.category for row in world.exceptions()] == [Category.DUPLICATE]
    world.own(ev.FactDismissed(other, "ann", "a second telling"))
    world.step()
    assert world.fact(other).fate == "dismissed"
    assert world.exceptions() == []


def test_a_repeat_is_known_after_a_restart() -> None:
    world = World()
    world.order()
    world.tell(report(), id="r1")
    world.step()
    world.start()
    world.tell(report(), id="r1")
    world.step()
    assert received(world) == 5
    assert world.fates() == {"booked": 1, "duplicate": 1}


def test_a_repeat_is_known_while_the_first_still_waits() -> None:
    world = World()
    world.tell(report(), id="r1")
    world.step()
    world.tell(report(), id="r1")
    world.order()
    world.step()
    assert received(world) == 5


def test_a_fact_older_than_the_horizon_cannot_be_told_from_a_repeat() -> None:
    world = World(Policy(horizon_days=2))
    world.order()
    old = world.tell(report(), occurred=START - timedelta(days=2, seconds=1))
    young = world.tell(report(), occurred=START - timedelta(days=2))
    world.step()
    assert world.fate(old) == "exception"
    assert world.fate(young) == "booked"
    assert "cannot be told from a repeat" in world.exceptions()[0].sentence


def test_a_fact_without_an_age_is_an_exception() -> None:
    world = World()
    world.order()
    world.log.append([Message(PLANT, "mes", "r1", NATIVE, world.time, b'{"type":"production.reported","order":"4711"}')])
    world.step()
    assert world.fates() == {"exception": 1}


def test_a_fact_from_the_future_cannot_be_told_from_a_repeat_for_its_identity_would_be_forgotten_before_it() -> None:
    world = World(Policy(horizon_days=2))
    world.order()
    future = world.tell(report(), occurred=START + timedelta(days=3))
    ahead = world.tell(report(), occurred=START + timedelta(hours=2))
    world.step()
    assert world.fate(future) == "exception"
    assert world.fate(ahead) == "booked"


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=23)])
def test_when_an_identity_is_forgotten_its_repeat_is_too_old_to_be_folded(ahead: timedelta) -> None:
    world = World(Policy(horizon_days=2))
    world.store.segment_positions = 1
    world.order()
    occurred = world.time + ahead
    world.tell(report(), id="r1", occurred=occurred)
    world.step()
    for _ in range(50):
        world.time += timedelta(hours=2)
        world.tell(ev.OrderStarted("4711"))
        world.tell(report(), id="r1", occurred=occurred)
        world.step()
    assert received(world) == 5
    assert world.fates()["duplicate"] > 0
    assert world.fates()["exception"] > 0


def test_a_message_of_an_unknown_interface_is_an_exception_and_makes_no_identity_last_for_ever() -> None:
    world = World(Policy(horizon_days=2))
    world.store.segment_positions = 1
    world.order()
    world.log.append([Message(PLANT, "plc", "x", "nobody/1", world.time, b"?")])
    world.tell(report(), id="r1")
    world.step()
    world.time += timedelta(days=4)
    world.tell(ev.OrderStarted("4711"))
    world.step()
    assert world.store.reading().identity(PLANT, "mes", "r1") is None
    assert world.fates() == {"exception": 1, "booked": 1, "recorded": 1}
