"""Before a period is closed: everything that still has a day in it, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.engine.reconcile.desk import desk_of, world_of
from tests.engine.world import PLANT, World, ea

from synchromesh.engine.reconcile.period import PeriodError, parse
from synchromesh.engine.reconcile.reconciler import Unknown
from synchromesh.engine.reconcile.views import PeriodView
from synchromesh.model import event as ev
from synchromesh.plant.policy import Policy

MARCH = (date(2026, 3, 1), date(2026, 3, 31))
APRIL = (date(2026, 4, 1), date(2026, 4, 30))


def make(world: World, good: int = 5, **more: object) -> int:
    return world.tell(ev.ProductionReported("4711", good=ea(good)), **more)  # type: ignore[arg-type]


def look(world: World, period: tuple[date, date] = MARCH) -> PeriodView:
    return desk_of(world).period(PLANT, *period)


def rows(world: World, period: tuple[date, date] = MARCH) -> list[tuple[str, str, str, int, dict[str, int]]]:
    return [(row.sort, row.kind, row.state, row.count, dict(row.amounts)) for row in look(world, period).rows]  # type: ignore[arg-type]


def test_a_period_of_which_everything_is_booked_can_be_closed() -> None:
    world = world_of()
    make(world)
    world.step()
    assert look(world) == PeriodView(PLANT, "2026-03-01", "2026-03-31", can_be_closed=True)


def test_what_waits_what_is_gathered_and_what_is_on_its_way_are_told_with_amounts() -> None:
    world = world_of(Policy(gather="order"))
    make(world, 5)
    make(world, 6)
    world.tell(ev.ProductionReported("4799", good=ea(4), scrap=ea(1)))
    world.step()
    world.tell(ev.MaterialTransferred("BAR", ea(7), "RM", "FG"))
    world.work()
    assert rows(world) == [
        ("fact", "production.reported", "waiting", 1, {"EA": 5}),
        ("gather", "open gather", "gathered", 2, {"EA": 11}),
        ("posting", "transfer", "ready", 1, {"EA": 7}),
    ]
    assert not look(world).can_be_closed
    assert look(world, APRIL).can_be_closed


def test_refusals_come_with_what_people_are_asked() -> None:
    world = world_of()
    world.erp_knows(ev.PeriodChanged(*MARCH, open=False))
    make(world, 5)
    world.tell(ev.MaterialTransferred("BAR", ea(1), "RM", "RM"), id="wrong")
    world.step()
    told = {row.sort: row for row in look(world).rows}
    assert (told["posting"].state, told["posting"].exceptions) == ("rejected", (world.exceptions()[0].sentence,)) or told
    assert [len(row.exceptions) for row in look(world).rows] == [1, 1]
    assert told["posting"].references == (world.postings()[0].key,)


def test_a_posting_that_was_moved_to_another_day_counts_for_its_own_too() -> None:
    world = world_of()
    world.master(ev.PeriodChanged(*MARCH, open=False))
    world.erp_knows(ev.PeriodChanged(*APRIL, open=False))
    make(world, 5)
    world.step()
    assert [row[:3] for row in rows(world)] == [row[:3] for row in rows(world, APRIL)] == [("posting", "receipt", "rejected")]


def test_a_document_that_somebody_cancelled_is_open_again() -> None:
    world = world_of()
    make(world, 5)
    world.step()
    world.tell(ev.DocumentCancelled(world.documents()[0].number), source="erp")
    world.step()
    assert rows(world) == [("posting", "receipt", "reversed outside", 1, {"EA": 5})]


def test_a_fact_counts_for_the_day_of_the_plant() -> None:
    world = world_of(Policy(zone="Pacific/Auckland"))
    occurred = datetime(2026, 2, 28, 12, 0, tzinfo=UTC)
    world.tell(ev.ProductionReported("4799", good=ea(4)), occurred=occurred)
    world.step()
    assert [row[0] for row in rows(world)] == ["fact"]
    world.tell(ev.ProductionReported("4799", good=ea(4)), occurred=occurred - timedelta(hours=2))
    world.step()
    assert rows(world) == [("fact", "production.reported", "waiting", 1, {"EA": 4})]


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        ("2026-03-31", "2026-03-01", "the period ends on 2026-03-01, before it begins on 2026-03-31; say its first day first"),
        ("March", "2026-03-01", "a period is told by two days such as 2026-03-01 and 2026-03-31, not 'March' and '2026-03-01'"),
        ("", "", "a period is told by two days such as 2026-03-01 and 2026-03-31, not '' and ''"),
    ],
)
def test_a_period_that_can_not_be_meant_is_refused(first: str, last: str, sentence: str) -> None:
    with pytest.raises(PeriodError, match="period") as refused:
        parse(first, last)
    assert str(refused.value) == sentence


def test_an_unknown_plant_is_refused_by_name() -> None:
    with pytest.raises(Unknown, match="there is no plant 'pluto'; there are oslo"):
        desk_of(world_of()).period("pluto", *MARCH)
