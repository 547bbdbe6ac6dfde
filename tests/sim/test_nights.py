"""Whole nights with every fault: plants, network, deaths, ERP and people. The auditor must find nothing."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.job import Job
from synchromesh.model.posting import Category
from synchromesh.sim.harness import Night, run_seed
from synchromesh.sim.profile import PROFILES


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "profile",
    ["calm", "rough", "unique", "askable", "blind", "gathered", "operations", "confirmed", "undone", "moved", "waiting", "asking"],
)
def test_a_night_ends_well(profile: str, seed: int) -> None:
    verdict = run_seed(seed, profile)
    assert verdict.ok, f"seed {seed}, {profile}: {verdict}"
    assert verdict.facts > 20
    assert verdict.documents > 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "profile",
    [
        "scarce",
        "odd",
        "reformed",
        "piled up",
        "two minds",
        "cancelled",
        "misspoken",
        "misread",
        "put right by reversals",
        "put right by two",
        "booked instead",
    ],
)
def test_a_night_of_rarer_troubles_ends_well(profile: str, seed: int) -> None:
    verdict = run_seed(seed, profile)
    assert verdict.ok, f"seed {seed}, {profile}: {verdict}"


@pytest.mark.parametrize("seed", [3, 23])
def test_what_waits_again_for_what_it_had_waited_for_ends_no_night_in_a_circle(seed: int) -> None:
    verdict = run_seed(seed, "misread")
    assert verdict.ok, f"seed {seed}: {verdict}"


def test_people_put_much_right() -> None:
    """Corrections of facts and messages, messages that are read again, and documents that others book all happen in these nights."""
    facts = messages = replays = by_hand = 0
    for seed in range(8):
        nights = [Night(seed, PROFILES[name]) for name in ("misspoken", "misread", "booked instead")]
        for night in nights:
            asyncio.run(night.play())
        messages += sum(right.by_message for night in nights for right in night.clerk.put_right)
        facts += sum(not right.by_message for night in nights for right in night.clerk.put_right)
        replays += sum(len(night.clerk.replayed) for night in nights)
        by_hand += sum(len(night.clerk.instead) for night in nights)
    assert min(facts, messages, replays, by_hand) >= 10


@pytest.mark.parametrize("seed", [18, 700_031])
def test_what_goes_on_together_after_a_pause_keeps_its_order(seed: int) -> None:
    verdict = run_seed(seed, "piled up")
    assert verdict.ok, f"seed {seed}: {verdict}"


@pytest.mark.parametrize("seed", [3, 5, 10, 13, 22, 28, 30, 37])
def test_a_night_of_reversals_ends_well(seed: int) -> None:
    verdict = run_seed(seed, "reversals")
    assert verdict.ok, f"seed {seed}: {verdict}"


@pytest.mark.parametrize(
    ("profile", "seed"),
    [
        ("reversals", 481),
        ("reversals", 5007),
        ("reversals", 20661),
        ("reversals", 40265),
        ("reversals", 60214),
        ("reversals", 110011),
        ("reversals", 150088),
        ("rough", 20074),
        ("blind", 20418),
    ],
)
def test_stock_that_comes_behind_what_needs_it_ends_no_night_in_a_circle(profile: str, seed: int) -> None:
    verdict = run_seed(seed, profile)
    assert verdict.ok, f"seed {seed}, {profile}: {verdict}"
    assert not verdict.fates.get("booking")


def test_periods_close_and_open_in_the_night_and_policies_move_and_ask() -> None:
    moved = asked = 0
    for seed in range(6):
        for profile in ("moved", "asking"):
            night = Night(seed, PROFILES[profile])
            asyncio.run(night.play())
            moved += sum(document.original is not None for document in night.books.documents.values())
            asked += sum(row.category == Category.CLOSED_PERIOD for _, row in night.store.reading().exceptions("resolved", 1000))
    assert min(moved, asked) > 10


def test_the_same_seed_is_the_same_night() -> None:
    assert _play(5) == _play(5)
    assert _play(5) != _play(6)


def _play(seed: int) -> list[object]:
    night = Night(seed, PROFILES["rough"])
    asyncio.run(night.play())
    rows = [row for plant in night.scene.zones for row in night.store.state().rows(plant)]
    return [night.log.read({"oslo": 0}, 10_000), rows, list(night.books.documents.values())]


@pytest.mark.parametrize("grade", ["unique", "askable", "blind"])
def test_a_night_of_each_grade_has_every_fault_that_the_grade_is_promised_to_stand(grade: str, monkeypatch: pytest.MonkeyPatch) -> None:
    met: Counter[str] = Counter()
    for_request, ask = Faults.for_request, Dispatcher._ask

    def noted(self: Faults) -> Fault | None:
        fault = for_request(self)
        met[fault or "none"] += 1
        return fault

    async def asked(self: Dispatcher, job: Job, *, probe: bool) -> None:
        met["asked after a takeover"] += not job.attempts
        met["asked after a sending"] += bool(job.attempts)
        await ask(self, job, probe=probe)

    monkeypatch.setattr(Faults, "for_request", noted)
    monkeypatch.setattr(Dispatcher, "_ask", asked)
    for seed in range(15):
        night = Night(seed, PROFILES[grade])
        asyncio.run(night.play())
        met["killed"] += night.processes.deaths
        met["came back"] += night.processes.revenants
        met["ERP restarted"] += night.restarts
    wanted = [
        Fault.LOST,
        Fault.DROPPED,
        Fault.LATE,
        "killed",
        "came back",
        "ERP restarted",
        "asked after a takeover",
        "asked after a sending",
    ]
    assert [what for what in wanted if met[what] < 10] == [], met


def test_a_rough_night_is_rough() -> None:
    """Every fault that the profile names really happens: a simulation that stopped doing harm would prove nothing."""
    deaths = repeats = refusals = by_hand = 0
    for seed in range(10):
        night = Night(seed, PROFILES["rough"])
        verdict = asyncio.run(night.play())
        deaths += night.processes.deaths
        repeats += verdict.fates.get("duplicate", 0)
        refusals += len(night.connector.refused)
        by_hand += sum(document.by_hand for document in night.books.documents.values())
    assert deaths > 20
    assert repeats > 20
    assert refusals > 10
    assert by_hand > 10
