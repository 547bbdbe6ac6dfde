"""What a fact moves is told without folding it, for facts that are late: it must be what folding it does."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.reconcile.desk import world_of
from tests.engine.world import PLANT, World, ea

from synchromesh.engine.reconcile.effects import of_event
from synchromesh.model import event as ev
from synchromesh.plant.entities import Balance
from synchromesh.plant.policy import Policy

POLICY = Policy(held_status="mrb", yield_operation="PACK")
AMOUNT = st.integers(0, 9).map(ea)
LOCATION = st.sampled_from(["", "FG", "RM"])
SOME = st.sampled_from(["FG", "RM"])
LOT = st.sampled_from(["", "L1"])
EVENTS = st.one_of(
    st.builds(ev.ProductionReported, st.just("4711"), operation=st.sampled_from(["", "PACK", "MILL"]), good=st.none() | AMOUNT,
              scrap=st.none() | AMOUNT, held=st.none() | AMOUNT, location=LOCATION, lot=LOT),
    st.builds(ev.MaterialConsumed, st.just("4711"), st.sampled_from(["BAR", "GEAR"]), AMOUNT, location=LOCATION, lot=LOT),
    st.builds(ev.ScrapRecorded, st.just("4711"), AMOUNT, item=st.sampled_from(["", "BAR", "GEAR"]), location=LOCATION, lot=LOT),
    st.builds(ev.MaterialTransferred, st.just("BAR"), AMOUNT, st.just("RM"), st.just("FG"), lot=LOT, status=st.sampled_from(["", "held"]),
              owner=st.sampled_from(["", "them"])),
    st.builds(ev.StockAdjusted, st.just("BAR"), st.integers(-9, 9).map(ea), SOME, st.just("counted"), lot=LOT),
)  # fmt: skip


def reported(world: World) -> dict[str, Decimal]:
    found = world.store.of(PLANT).entities
    balances = {name: msgspec.msgpack.decode(value, type=Balance) for (kind, name), value in found.items() if kind == "stock"}
    return {name: balance.reported["EA"] for name, balance in balances.items() if balance.reported}


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=6))
def test_what_is_told_of_a_fact_is_what_folding_it_does(events: list[ev.PlantEvent]) -> None:
    World.made.clear()
    world = world_of(POLICY)
    components = (ev.Component("BAR", ea(100), "RM"),)
    world.tell(ev.OrderChanged("4711", "GEAR", ea(100), components=components, location="FG"), source="erp")
    world.work()
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    for event in events:
        world.tell(event)
        for place, amount, _ in of_event(event, world.found_order(), POLICY):
            wanted[place] += amount
    world.work()
    assert reported(world) == {place: amount for place, amount in wanted.items() if amount}


def test_a_correction_tells_what_should_have_been() -> None:
    event = ev.FactCorrected("mes", "a", ev.StockAdjusted("BAR", ea(2), "RM", "counted"))
    assert of_event(event, None, POLICY) == of_event(event.event, None, POLICY)


def test_of_an_order_that_is_not_known_only_what_is_said_counts() -> None:
    assert of_event(ev.ProductionReported("4799", good=ea(3)), None, POLICY) == []
    ((place, amount, unit),) = of_event(ev.ProductionReported("4799", item="GEAR", location="FG", good=ea(3)), None, POLICY)
    assert (place.split("\x1f")[:2], amount, unit) == (["GEAR", "FG"], 3, "EA")
