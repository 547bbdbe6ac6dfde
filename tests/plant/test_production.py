"""What a report means: confirmations, backflushed components, scrap, completion, and output that is no yield."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.laws import check
from tests.engine.world import World, ea

from synchromesh.connectors.sandbox.records import Rules
from synchromesh.model import event as ev
from synchromesh.model.posting import Category
from synchromesh.plant.policy import Policy

ROUTING = (ev.Operation("saw"), ev.Operation("pack"))
MARKED = (ev.Operation("saw", yields=True), ev.Operation("pack"))


def report(operation: str = "", **more: object) -> ev.ProductionReported:
    return ev.ProductionReported("4711", operation, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "routing", "operation", "received"),
    [
        (Policy(), (), "any", 5),
        (Policy(), ROUTING, "pack", 5),
        (Policy(), ROUTING, "saw", 0),
        (Policy(), ROUTING, "", 5),
        (Policy(), MARKED, "saw", 5),
        (Policy(), MARKED, "pack", 0),
        (Policy(yield_operation="saw"), ROUTING, "saw", 5),
        (Policy(yield_operation="saw"), MARKED, "pack", 0),
    ],
)
def test_which_output_is_the_orders_yield(policy: Policy, routing: tuple[ev.Operation, ...], operation: str, received: int) -> None:
    world = World(policy)
    world.order(operations=routing)
    world.tell(report(operation, good=ea(5)))
    world.step()
    assert world.booked().get(("received", "GEAR"), 0) == received
    assert world.found_order().operations[operation].good == {"EA": 5}


def test_documents_of_one_report_keep_their_sequence() -> None:
    world = World(Policy(confirmations=True), Rules(check_stock=False))
    world.master(ev.ItemChanged("BOLT", "EA"))
    world.order(operations=ROUTING, components=(ev.Component("BOLT", ea(200), "FG", backflush=True),))
    world.tell(report("pack", good=ea(5), scrap=ea(1), held=ea(2), labour_seconds=60, machine_seconds=30, reason="burr"))
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert [str(document.kind) for document in world.documents()] == ["issue", "confirmation", "scrap", "receipt", "completion"]
    assert world.booked() == {
        ("issued", "BOLT"): 14, ("confirmed", "pack"): 6, ("labour", "pack"): 60, ("machine", "pack"): 30,
        ("scrapped", "GEAR"): 1, ("received", "GEAR"): 7,
    }  # fmt: skip


def test_times_alone_are_a_confirmation_and_without_confirmations_they_are_recorded() -> None:
    for confirmations in (True, False):
        world = World(Policy(confirmations=confirmations))
        world.order(operations=ROUTING)
        at = world.tell(ev.TimeRecorded("4711", "saw", labour_seconds=90))
        world.step()
        assert world.fate(at) == ("booked" if confirmations else "recorded")
        assert world.booked() == ({("labour", "saw"): 90} if confirmations else {})


def test_rework_changes_no_stock() -> None:
    world = World()
    world.order()
    at = world.tell(report("pack", rework=ea(5)))
    world.step()
    assert (world.fate(at), world.documents()) == ("recorded", [])
    assert world.found_order().operations["pack"].rework == {"EA": 5}


def test_a_report_of_nothing_is_recorded() -> None:
    world = World()
    world.order()
    for event in (report(), report(good=ea(0)), ev.MaterialConsumed("4711", "GEAR", ea(0)), ev.ScrapRecorded("4711", ea(0))):
        world.tell(event)
    world.tell(ev.OrderStarted("4711"))
    world.step()
    assert world.fates() == {"recorded": 5}


def test_a_report_under_the_wrong_item_is_an_exception() -> None:
    world = World()
    world.order()
    at = world.tell(report(item="WHEEL", good=ea(1)))
    world.step()
    assert world.fate(at) == "exception"
    assert world.exceptions()[0].category == Category.INVALID


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 60), st.integers(1, 60), st.sampled_from(["report", "order"]))
def test_components_are_backflushed_in_proportion_to_all_output(made: list[int], per: int, of: int, gather: str) -> None:
    World.made.clear()
    world = World(Policy(gather=gather), Rules(check_stock=False))  # type: ignore[arg-type]
    world.master(ev.ItemChanged("OIL", "KGM", decimals=2))
    world.order(quantity=str(of), components=(ev.Component("OIL", ev.amount(per, "KGM"), "FG", backflush=True),))
    for good in made:
        world.tell(report(good=ea(good)))
    world.tell(ev.OrderCompleted("4711"))
    world.step()
    issued = world.booked().get(("issued", "OIL"), Decimal(0))
    assert abs(issued - Decimal(per) * sum(made) / of) <= Decimal("0.005")
    check(world)


def test_backflushing_an_order_of_nothing_is_an_exception() -> None:
    world = World()
    world.master(ev.ItemChanged("OIL", "KGM"))
    world.order(quantity="0", components=(ev.Component("OIL", ev.amount(1, "KGM"), "FG", backflush=True),))
    at = world.tell(report(good=ea(1)))
    world.step()
    assert world.fate(at) == "exception"
    assert world.exceptions()[0].category == Category.INVALID
    assert "quantity 0" in world.exceptions()[0].sentence


def test_backflushing_waits_for_the_conversion_of_the_orders_unit() -> None:
    world = World(None, Rules(check_stock=False))
    world.master(
        ev.LocationChanged("FG"), ev.ItemChanged("OIL", "KGM"), ev.ItemChanged("GEAR", "EA", alternatives=(ev.AlternativeUnit("PR", 2),)),
    )  # fmt: skip
    components = (ev.Component("OIL", ev.amount(10, "KGM"), "FG", backflush=True),)
    world.tell(ev.OrderChanged("4711", "GEAR", ev.amount(5, "BX"), location="FG", components=components), source="erp")
    at = world.tell(report(good=ea(12)))
    world.step()
    assert world.fact(at).reference == "unit BX of item GEAR"
    gear = ev.ItemChanged("GEAR", "EA", alternatives=(ev.AlternativeUnit("BX", 12),))
    for event in (gear, ev.OrderChanged("4711", "GEAR", ev.amount(5, "BX"), location="FG", components=components)):
        world.erp_knows_as(event)
    world.tell(gear, source="erp")
    world.step()
    assert world.booked() == {("received", "GEAR"): 12, ("issued", "OIL"): 2}


def test_components_of_another_orders_open_gather_are_booked_before_they_are_backflushed() -> None:
    world = World(Policy(gather="order"))
    world.order("4711")
    world.master(ev.ItemChanged("PUMP", "EA"))
    world.master(ev.OrderChanged("4712", "PUMP", ea(5), location="FG", components=(ev.Component("GEAR", ea(5), "FG", backflush=True),)))
    world.tell(ev.StockObserved((), ("GEAR",)), source="erp")
    world.tell(report(good=ea(2)))
    world.tell(ev.ProductionReported("4712", good=ea(2)))
    world.tell(ev.OrderCompleted("4712"))
    world.step()
    assert [str(document.kind) for document in world.documents()] == ["receipt", "issue", "receipt", "completion"]


@pytest.mark.parametrize("completions", [True, False])
def test_an_order_is_completed_once_and_behind_everything(completions: bool) -> None:
    world = World(Policy(completions=completions))
    world.order()
    world.tell(report(good=ea(5)))
    first = world.tell(ev.OrderCompleted("4711"))
    second = world.tell(ev.OrderCompleted("4711"))
    world.step()
    assert [str(document.kind) for document in world.documents()] == ["receipt", *(["completion"] if completions else [])]
    assert (world.fate(first), world.fate(second)) == ("booked" if completions else "recorded", "recorded")


def test_a_supplement_after_completion_is_booked() -> None:
    world = World()
    world.order()
    world.tell(ev.OrderCompleted("4711"))
    at = world.tell(report(good=ea(5)))
    world.step()
    assert world.fate(at) == "booked"
    assert [str(document.kind) for document in world.documents()] == ["completion", "receipt"]


def test_the_end_of_an_operation_is_remembered() -> None:
    world = World()
    world.order(operations=ROUTING)
    world.tell(ev.OperationCompleted("4711", "saw"))
    world.step()
    assert world.found_order().operations["saw"].completed


def test_facts_of_an_order_are_chained_for_the_trace() -> None:
    world = World()
    early = world.tell(report(good=ea(1)))
    world.order()
    later = [world.tell(report(good=ea(1))) for _ in range(2)]
    world.step()
    chain, position = [], world.found_order().last_fact
    while position:
        chain.append(position)
        position = world.fact(position).previous
    assert sorted(chain) == sorted([early, *later])
