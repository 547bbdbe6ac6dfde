"""Simulated plants: the same seed tells the same story, the story is possible, and the network does what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synchromesh.model.event import FactCancelled, FactCorrected, InputEnded, OrderChanged, OrderCompleted, PlantEvent
from synchromesh.sim.catalogue import PLAIN
from synchromesh.sim.chance import Chance
from synchromesh.sim.faults import QUIET, Rates, damaged, disturb
from synchromesh.sim.history import Stream, history
from synchromesh.sim.plants import Habits
from synchromesh.sim.told import Known, Told
from synchromesh.sim.truth import truth_of

START = datetime(2026, 5, 4, 8, tzinfo=UTC)


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    assert history(5, Habits(), 2) == history(5, Habits(), 2)
    assert history(5, Habits(), 2).told != history(6, Habits(), 2).told


@given(st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_a_story_is_possible(seed: int) -> None:
    past = history(seed, Habits(unknown_orders=0.1, unknown_items=0.2), 2)
    arrivals = disturb(past.told, seed, Rates(damaged=0.1))
    scene = msgspec.structs.replace(past.scene, opening=past.scene.opening + past.found)
    assert all(amount >= 0 for amount in truth_of(scene, arrivals.told).stock.values())
    assert [one.at for one in past.told] == sorted(one.at for one in past.told)
    assert len({one.fact for one in past.told}) == len(past.told)
    known = {one.event.order for one in past.known if isinstance(one.event, OrderChanged)}
    assert known == past.scene.orders.keys() - past.scene.never


def test_all_families_and_second_thoughts_occur() -> None:
    told = [one.event for seed in range(20) for one in history(seed, Habits(unknown_items=0.1), 2).told]
    families = {type(event) for event in told}
    assert len(families) == 12
    assert sum(isinstance(event, OrderCompleted) for event in told) == 80
    assert sum(isinstance(event, InputEnded) for event in told) > 80


def test_corrections_name_facts_that_were_told_before() -> None:
    for seed in range(20):
        seen = set()
        for one in history(seed, Habits(corrected=0.3, cancelled=0.2), 2).told:
            if isinstance(one.event, FactCorrected | FactCancelled):
                assert (one.plant, one.event.source, one.event.id) in seen
            seen.add((one.plant, one.source, one.id))


def test_a_quiet_network_changes_nothing() -> None:
    past = history(1, Habits(), 2)
    arrivals = disturb(past.told, 1, QUIET)
    assert arrivals.told == past.told
    assert [message.body for message in arrivals.messages] == [one.body() for one in past.told]


def test_a_bad_network_repeats_delays_damages_and_confuses() -> None:
    past = history(1, Habits(), 6)
    rates = Rates(repeated=0.5, repeated_late=0.2, damaged_then_told=0.2, damaged=0.5, reused=0.5)
    arrivals = disturb(past.told, 1, rates)
    assert disturb(past.told, 1, rates) == arrivals
    bodies = {}
    repeats = reuses = 0
    for message in arrivals.messages:
        key = (message.partition, message.source, message.id)
        if key in bodies:
            repeats += bodies[key] == message.body
            reuses += bodies[key] != message.body
        bodies.setdefault(key, message.body)
    assert repeats > 50
    assert reuses > 10
    assert sum(message.id.endswith("-damaged") for message in arrivals.messages) > 20
    assert len(arrivals.told) < len(past.told)
    assert [message.received for message in arrivals.messages] == sorted(message.received for message in arrivals.messages)
    first = [key for key in bodies if not key[2].endswith("-damaged")]
    assert first != [tuple(one.fact) for one in past.told]


def test_damage_is_never_readable() -> None:
    decoder: msgspec.json.Decoder[PlantEvent] = msgspec.json.Decoder(PlantEvent)
    chance = Chance(1, "damage")
    for one in history(1, Habits(), 4).told:
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            decoder.decode(damaged(one.body(), chance))


def test_a_stream_is_paced_and_endless_and_knows_its_truth_at_every_cut() -> None:
    stream = Stream(3, 20, START)
    told: list[Told] = []
    known: list[Known] = list(stream.masters())
    for happening in islice(stream.happenings(), 2_000):
        (told if isinstance(happening, Told) else known).append(happening)  # type: ignore[arg-type]
        if len(told) in (100, 1500):
            assert stream.truth().totals == truth_of(stream.scene, told).totals
    assert told[200].at - told[100].at == timedelta(seconds=5)
    assert {one.plant for one in told} == {"oslo", "lyon"}
    known += stream.rest()
    orders = {one.event.order for one in known if isinstance(one.event, OrderChanged)}
    assert {order for one in told if (order := getattr(one.event, "order", ""))} <= orders
    assert all(amount >= 0 for amount in stream.truth().stock.values())


def test_a_stream_told_again_is_the_same() -> None:
    def tell() -> list[object]:
        return list(islice(Stream(3, 20, START).happenings(), 300))

    assert tell() == tell()


@pytest.mark.parametrize("seed", range(5))
def test_plants_of_an_erp_that_closes_orders_tell_nothing_about_one_after_its_completion(seed: int) -> None:
    stream = Stream(seed, 20, START, Habits(steps=0, closing=True), PLAIN)
    closed: set[str] = set()
    orders: dict[tuple[str, str, str], str] = {}
    for happening in islice(stream.happenings(), 800):
        if isinstance(happening, Told):
            event = happening.event
            about = getattr(event.event if isinstance(event, FactCorrected) else event, "order", "")
            if isinstance(event, FactCancelled):
                about = orders[happening.plant, event.source, event.id]
            orders[happening.fact] = about
            assert about not in closed
            assert getattr(event, "operation", "") == ""
            if isinstance(event, OrderCompleted):
                closed.add(about)
    assert len(closed) > 20
    assert all(amount >= 0 for amount in stream.truth().stock.values())
    assert not any(item.alternatives for item in stream.scene.items.values())
