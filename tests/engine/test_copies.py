"""A log that goes on from an older copy of itself: what was sent after the copy was made is asked about and not sent again, whenever the
posting becomes ready."""

from __future__ import annotations

import pytest
from tests.engine.test_dispatcher import GRADES, Between, report, world_of
from tests.engine.world import PLANT, World, ea

from synchromesh.connectors.agreement import Grade
from synchromesh.engine.activation import is_copy
from synchromesh.log.memory import MemoryLog
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy
from synchromesh.state.memory import MemoryStore


def copied(world: World) -> MemoryLog:
    """The log as it is now, elsewhere, saying that it is a copy."""
    log = MemoryLog()
    records = world.log.read({PLANT: 0}, 10_000)[PLANT]
    log.append([record.message for record in records])
    log.append([is_copy(PLANT, "backup", len(records), world.time)])
    return log


def go_on_from(world: World, log: MemoryLog) -> None:
    """The installation is lost, and another one has the copy, with no knowledge of what was sent, and a new series."""
    world.log, world.store = log, MemoryStore()
    world.activate(Policy(series="second"))
    world.start()


def sent_of(between: Between, order: str) -> int:
    return sum(posting.order == order for batch in between.sent for posting in batch)


@GRADES
def test_what_became_ready_only_after_the_copy_was_made_is_not_booked_twice(grade: Grade) -> None:
    world, between = world_of(grade)
    at = report(world, order="later")
    world.step()
    assert world.fate(at) == "waiting"
    log = copied(world)
    world.order("later")
    world.run(5)
    assert (world.fate(at), sent_of(between, "later")) == ("booked", 1)
    go_on_from(world, log)
    world.run(5)
    assert world.fate(at) == "waiting"
    world.tell(ev.OrderChanged("later", "GEAR", ea(100), location="FG"), source="erp")
    world.run(20)
    assert (sent_of(between, "later"), len(world.documents())) == (1, 1)
    assert world.fate(at) == ("exception" if grade is Grade.BLIND else "booked")


@pytest.mark.parametrize("grade", [Grade.UNIQUE, Grade.ASKABLE])
def test_what_nobody_sent_is_sent_after_the_question(grade: Grade) -> None:
    world, between = world_of(grade)
    at = report(world, order="later")
    world.step()
    go_on_from(world, copied(world))
    world.order("later")
    world.run(30)
    assert (world.fate(at), sent_of(between, "later")) == ("booked", 1)


@GRADES
def test_facts_after_the_copy_are_booked_without_a_question(grade: Grade) -> None:
    world, between = world_of(grade)
    go_on_from(world, copied(world))
    world.run(2)
    at = report(world)
    world.run(2)
    assert (world.fate(at), between.asked) == ("booked", [])


def test_where_it_cant_be_told_whether_it_is_a_copy_nothing_is_sent_and_nothing_stays_claimed() -> None:
    world, between = world_of(Grade.ASKABLE)

    def away(partition: str) -> int:
        raise ConnectionError(partition)

    world.dispatcher._copied = away
    report(world)
    world.work()
    with pytest.raises(ConnectionError):
        world.step()
    assert (between.sent, world.store.claims) == ([], {})
