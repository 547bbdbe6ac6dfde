"""Keys of postings carry the series of the policy under which they were made, and name their posting whatever the series is by now."""

from __future__ import annotations

import msgspec
import pytest
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.model import event as ev
from synchromesh.plant.keys import id_of, key_of, plant_of, stem_of
from synchromesh.plant.policy import Policy


@pytest.mark.parametrize(("series", "key"), [("", "oslo:6:receipt:1"), ("3f9a2c1d", "oslo.3f9a2c1d:6:receipt:1")])
def test_a_key_names_plant_series_and_place(series: str, key: str) -> None:
    assert key_of(stem_of("oslo", series), 6, "receipt", 1) == key
    assert (plant_of(key), id_of(key)) == ("oslo", (6, 1))


def test_a_new_series_is_carried_by_what_is_made_from_then_on() -> None:
    world = World(policy=Policy(series="aaaaaaaa"))
    world.order()
    world.faults.arm(Fault.LOCKED)
    first = world.tell(ev.ProductionReported("4711", good=ea(2)))
    world.work()
    world.activate(msgspec.structs.replace(Policy(), series="bbbbbbbb"))
    second = world.tell(ev.ProductionReported("4711", good=ea(3)))
    world.run(60)
    assert [row.key for row in world.postings()] == [f"oslo.aaaaaaaa:{first}:receipt:1", f"oslo.bbbbbbbb:{second}:receipt:1"]
    assert [row.state for row in world.postings()] == ["posted", "posted"]
