"""Exceptions say at which work centre they have their place: the fact's own word counts, then its operation's, then its order's."""

from __future__ import annotations

import msgspec
import pytest
from tests.engine.test_desk import desk_of
from tests.engine.world import World, ea

from synchromesh.model import event as ev
from synchromesh.plant.entities import Order

STEPS = (ev.Operation("10", work_centre="SAW-1"), ev.Operation("20"))


@pytest.mark.parametrize(
    ("operation", "told", "centre"), [("10", "SAW-2", "SAW-2"), ("10", "", "SAW-1"), ("20", "", "LINE-7"), ("", "", "LINE-7")]
)
def test_a_refused_posting_is_shown_with_the_work_centre_of_its_fact(operation: str, told: str, centre: str) -> None:
    world = World()
    world.order("4711", operations=STEPS, work_centre="LINE-7")
    del world.books.register.items["GEAR"]
    world.tell(ev.ProductionReported("4711", operation, scrap=ea(5), work_centre=told))
    world.step()
    (cause,) = desk_of(world).queue.causes(10)
    (shown,) = desk_of(world).queue.newest("open", 10)
    assert (shown.work_centre, cause.work_centres) == (centre, (centre,))


def test_a_fact_that_nobody_can_read_has_none_and_one_that_is_refused_has_its_own() -> None:
    world = World()
    world.order("4711")
    world.tell(ev.ProductionReported("4711", item="WRONG", good=ea(5), work_centre="SAW-2"))
    world.tell(ev.FactCorrected("mes", "never", ev.ProductionReported("4711", item="WRONG", good=ea(5), work_centre="SAW-3")))
    world.step()
    assert [each.work_centre for each in desk_of(world).queue.newest("open", 10)] == ["SAW-2"]


def test_an_order_that_an_earlier_program_kept_has_no_work_centre() -> None:
    kept = msgspec.msgpack.encode(["4711", "GEAR", "1", "EA", "released", "FG", [], []])
    assert msgspec.msgpack.decode(kept, type=Order).centre("10") == ""
