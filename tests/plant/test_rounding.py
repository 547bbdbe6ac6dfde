"""Rounding happens once, in the posting, and cumulatively: the books are the rounded total, whatever was told in which order."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.laws import check
from tests.engine.world import World, ea

from synchromesh.model import event as ev
from synchromesh.model.posting import PostingKind
from synchromesh.model.quantity import Quantity
from synchromesh.model.rounding import rounded
from synchromesh.model.unit import ItemUnits, convert
from synchromesh.plant.policy import Policy

THIRDS = (ev.AlternativeUnit("BX", 12), ev.AlternativeUnit("T3", 1, 3))


def report(amount: str, unit: str) -> ev.ProductionReported:
    return ev.ProductionReported("4711", good=ev.amount(amount, unit))


def test_three_thirds_are_one() -> None:
    world = World()
    world.order()
    told = [world.tell(report("1", "T3")) for _ in range(3)]
    world.step()
    assert world.booked() == {("received", "GEAR"): 1}
    assert [world.fate(at) for at in told] == ["recorded", "booked", "recorded"]


def test_too_little_to_book_is_carried_to_the_next_posting() -> None:
    world = World()
    world.order()
    at = world.tell(report("1", "T3"))
    world.step()
    assert world.fact(at).reference == "too little to book: the rest is carried to the next posting"
    world.tell(report("1.5", "EA"))
    world.step()
    assert world.booked() == {("received", "GEAR"): 2}


def test_taking_back_after_rounding_finds_a_document_that_still_stands() -> None:
    world = World()
    world.order()
    world.tell(report("1", "T3"), id="a")
    world.tell(report("1", "T3"), id="b")
    world.tell(report("12", "EA"), id="c")
    world.step()
    assert world.booked() == {("received", "GEAR"): 13}
    for id_, left in (("c", 1), ("a", 0), ("b", 0)):
        world.tell(ev.FactCancelled("mes", id_))
        world.step()
        assert world.booked().get(("received", "GEAR"), 0) == left, id_
    assert world.exceptions() == []


reports = st.tuples(
    st.sampled_from(["EA", "BX", "T3", "GRM", "KGM"]),
    st.decimals(min_value=0, max_value=500, places=3, allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "L1", "L2"]),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(reports, min_size=1, max_size=12), st.sampled_from(["report", "order", "operation"]), st.integers(0, 3), st.randoms())
def test_any_order_of_arrival_books_the_rounded_totals(
    told: list[tuple[str, Decimal, str, bool]], gather: str, decimals: int, chance: Random
) -> None:
    item = ev.ItemChanged("GEAR", "EA", decimals=decimals, alternatives=(*THIRDS, ev.AlternativeUnit("KGM", 7)))
    units = ItemUnits("GEAR", "EA", item.alternatives)
    totals: dict[tuple[str, str], Decimal] = {}
    for kind in ("received", "scrapped"):
        by_lot = {
            lot: sum(convert(amount, unit, "EA", units) for unit, amount, of, scrap in told if of == lot and scrap == (kind == "scrapped"))
            for lot in ("", "L1", "L2")
        }
        totals[kind, "GEAR"] = sum((rounded(total, decimals) if total else Decimal(0) for total in by_lot.values()), Decimal(0))
    for _ in range(2):
        chance.shuffle(told)
        World.made.clear()
        world = World(Policy(gather=gather))  # type: ignore[arg-type]
        world.master(ev.LocationChanged("FG"), item, ev.OrderChanged("4711", "GEAR", ea(100), location="FG"))
        for unit, amount, lot, scrap in told:
            quantity = Quantity(amount, unit)
            told_ = ev.ProductionReported("4711", **{"scrap" if scrap else "good": quantity}, lot=lot)  # type: ignore[arg-type]
            world.tell(told_)
            if chance.random() < 0.4:
                world.step()
        world.tell(ev.OrderCompleted("4711"))
        world.step()
        assert world.booked() == {what: amount for what, amount in totals.items() if amount}
        check(world)


@pytest.mark.parametrize("amount", ["999999999999999", "0.000000001"])
def test_the_largest_and_the_finest_amount_are_booked_exactly(amount: str) -> None:
    world = World()
    world.master(
        ev.LocationChanged("FG"),
        ev.ItemChanged("GEAR", "KGM", decimals=9),
        ev.OrderChanged("4711", "GEAR", ev.amount(1, "KGM"), location="FG"),
    )
    world.tell(report(amount, "KGM"))
    world.step()
    assert [line.quantity.amount for document in world.documents() for line in document.lines] == [Decimal(amount)]
    assert [document.kind for document in world.documents()] == [PostingKind.RECEIPT]
