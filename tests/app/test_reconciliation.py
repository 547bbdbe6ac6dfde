"""Reconciliation in a running installation: real processes, a real ERP with an own screen, the schedule, and one exception for a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.app.installation import Installation, Serve, installation, report, until
from tests.engine.reconcile.desk import desk_of, world_of
from tests.engine.world import PLANT, World

from synchromesh.app.faults import SettingsError
from synchromesh.app.reading import read_settings
from synchromesh.app.reconciling import keep_reconciling
from synchromesh.app.settings import Plant, Reconcile
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import StockSet
from synchromesh.model.event import amount


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Serve]]:
    with installation(tmp_path_factory.mktemp("plant"), "[plant.reconcile]\nevery_hours = 24\n") as made:
        made.release("4711")
        made.erp.admin("stock", [{"type": "sandbox.stock", "item": "GEAR", "location": "FG", "quantity": {"amount": "10", "unit": "EA"}}])
        yield made, made.serve()


def look(serve: Serve, scope: str) -> Any:
    return serve.look(f"/v1/reconciliation/{scope}?plant=oslo")


def test_the_schedule_compares_everything_by_itself_and_keeps_it(plant: tuple[Installation, Serve]) -> None:
    _, serve = plant
    kept = until(lambda: (found := look(serve, "runs"))["runs"][2:] and found, "the scheduled runs")
    assert {(run["scope"], run["scheduled"]) for run in kept["runs"]} == {("stock", True), ("orders", True), ("states", True)}


def test_a_difference_is_found_approved_and_gone(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    status, told = serve.send("/v1/plants/oslo/events?wait=30", report("r-1", "4711", "9"))
    assert (status, told["accepted"][0]["fact"]["fate"]) == (200, "booked")
    assert look(serve, "stock")["different"] == 0
    made.erp.admin("stock", [{"type": "sandbox.stock", "item": "GEAR", "location": "FG", "quantity": {"amount": "17", "unit": "EA"}}])
    answer = made.command("reconcile", "stock", "--json")
    assert answer.returncode == 1, answer.stderr
    (found,) = json.loads(answer.stdout)
    assert [(row["theirs"], row["reported"]) for row in found["stock"]] == [("17", "19")]
    until(lambda: look(serve, "runs")["differences"], "the run to be folded")
    approved = made.command("reconcile", "approve", f"{found['kept']}:1", "--by", "ada", "--reason", "recount")
    assert approved.returncode == 0, approved.stderr
    until(lambda: look(serve, "stock")["different"] == 0, "the correction to be booked")
    (correction,) = [one for one in made.erp.look("/documents?after=") if one["kind"] == "adjustment"]
    assert correction["lines"][0]["quantity"] == {"amount": "2", "unit": "EA"}
    assert made.command("reconcile", "stock").returncode == 0
    made.verified()


def test_documents_by_hand_are_booked_outside(plant: tuple[Installation, Serve]) -> None:
    made, serve = plant
    line = {"item": "GEAR", "location": "FG", "quantity": {"amount": "3", "unit": "EA"}}
    entry = {"type": "sandbox.hand.booking", "kind": "receipt", "effective": datetime.now(UTC).date().isoformat(), "order": "4711"}
    made.erp.admin("book-by-hand", [{**entry, "lines": [line], "plant": "oslo"}])

    def outside() -> Any:
        rows = look(serve, "orders").get("orders", [])
        return rows and {share["part"]: share["amount"] for share in rows[0]["parts"] if share["amount"] != "0"}

    assert outside() in ({"booked outside": "3"}, {"late": "3"})
    until(lambda: outside() == {"booked outside": "3"}, "the document to be pulled and folded")


# --- the schedule alone -----------------------------------------------------------------------------------------------------


def plant_of(**schedule: object) -> Plant:
    return Plant(PLANT, ZoneInfo("Europe/Oslo"), "erp", reconcile=Reconcile(what=("stock",), **schedule))  # type: ignore[arg-type]


def scheduled(world: Any, plant: Plant, looks: int) -> None:
    """The schedule looks so many times, an hour apart."""

    async def run() -> None:
        stop = asyncio.Event()
        seen = 0

        def now() -> datetime:
            nonlocal seen
            world.work()
            seen += 1
            if seen > looks:
                stop.set()
            else:
                world.time += timedelta(hours=1)
            return world.time

        await keep_reconciling(desk_of(world), [plant], stop, now, look=0.001)

    asyncio.run(run())
    world.step()


def test_runs_come_when_they_are_due() -> None:
    world = world_of()
    scheduled(world, plant_of(every_hours=4), 12)
    runs = desk_of(world).kept(PLANT).runs
    assert 3 <= len(runs) <= 4
    assert all(run.scheduled for run in runs)


def test_nothing_is_compared_before_the_books_were_read_once() -> None:
    world = World()
    world.order()
    scheduled(world, plant_of(every_hours=1), 3)
    assert desk_of(world).kept(PLANT).runs == ()


def test_a_run_that_fails_is_tried_again_and_nothing_else_ends() -> None:
    world = world_of()
    world.erp_knows(StockSet("BAR", "RM", amount(98, "EA")))
    world.faults.set_rates({Fault.UNAVAILABLE: 1.0})
    scheduled(world, plant_of(every_hours=1), 3)
    assert desk_of(world).kept(PLANT).runs == ()
    world.faults.set_rates({})
    scheduled(world, plant_of(every_hours=1), 3)
    assert desk_of(world).kept(PLANT).runs
    assert len(world.exceptions()) == 1


def test_settings_of_a_schedule_are_checked(tmp_path: Path) -> None:
    config = tmp_path / "synchromesh.toml"
    head = '[[plant]]\nid = "oslo"\nzone = "Europe/Oslo"\nerp = "main"\n[erp.main]\nconnector = "listening"\n'
    for line, words in (
        ('at = ["25:00"]', "must be times of day such as"),
        ("every_hours = -1", "a whole number from 0"),
        ('what = ["lots"]', 'some of "stock", "orders" and "states"'),
        ("evry_hours = 1", "every_hours"),
    ):
        config.write_text(head.replace("[erp.main]", f"[plant.reconcile]\n{line}\n[erp.main]"))
        with pytest.raises(SettingsError) as refused:
            read_settings(config)
        assert words in str(refused.value), line
    for line, words in (('tolerance_absolute = "-1"', "a decimal in quotes"), ("tolerance_percent = 0.5", "a decimal in quotes"),
                        ('booking = "never"', "'post' or 'record'")):  # fmt: skip
        config.write_text(head.replace("[erp.main]", f"[plant.policy]\n{line}\n[erp.main]"))
        with pytest.raises(SettingsError) as refused:
            read_settings(config)
        assert words in str(refused.value), line
