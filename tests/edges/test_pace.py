"""The pace of taking in: as fast as sources want while folding keeps up, and as fast as folding when it does not."""

from __future__ import annotations

import pytest

from synchromesh.edges.pace import LEAST, LONGEST, LOOK, NEAR, Pace


class World:
    """Sources that tell as much as they may, and a worker that folds each plant at a speed, in a time of its own."""

    def __init__(self, speed: float, plant: str = "oslo") -> None:
        self.now = 0.0
        self.plant = plant
        self.speed = {plant: speed}
        self.stored = {plant: 0.0}
        self.folded = {plant: 0.0}
        self.pace = Pace(lambda: ({name: int(at) for name, at in self.stored.items()}, self.behind()), lambda: self.now)

    def behind(self) -> dict[str, int]:
        return {name: int(at) for name, at in self.folded.items()}

    def tell(self, seconds: float, group: int = 100, rate: float = 20_000) -> float:
        """Groups come at a rate, one after the other; how many messages a second were stored."""
        began, before = self.now, self.stored[self.plant]
        while self.now < began + seconds:
            self.pass_(self.pace.wait(self.plant))
            self.stored[self.plant] += group
            self.pace.stored(self.plant, group)
            self.pass_(group / rate)
        return (self.stored[self.plant] - before) / (self.now - began)

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        for name, speed in self.speed.items():
            self.folded[name] = min(self.stored[name], self.folded[name] + speed * seconds)

    def add(self, plant: str, behind: int, speed: float = 0.0) -> None:
        """One more plant."""
        self.stored[plant], self.folded[plant], self.speed[plant] = float(behind), 0.0, speed

    def look(self) -> None:
        """Time passes until folding is looked at again."""
        self.pass_(2 * LOOK)
        self.pace.wait(self.plant)


def test_nobody_waits_while_folding_keeps_up() -> None:
    world = World(speed=30_000)
    assert world.tell(10) == pytest.approx(20_000, rel=0.01)


def test_a_burst_is_stored_as_fast_as_it_comes() -> None:
    world = World(speed=0)
    assert world.tell(NEAR / 20_000) == pytest.approx(20_000, rel=0.05)


def test_no_more_is_stored_than_is_folded_when_it_stays_behind() -> None:
    world = World(speed=6_000)
    world.tell(5)
    assert world.tell(20) == pytest.approx(6_000, rel=0.1)
    assert world.stored["oslo"] - world.folded["oslo"] < 3 * NEAR


def test_the_log_grows_on_where_nothing_is_folded() -> None:
    world = World(speed=0)
    world.tell(5)
    assert world.tell(20) == pytest.approx(LEAST, rel=0.05)


def test_who_is_behind_no_more_is_at_once_as_fast_as_before() -> None:
    world = World(speed=0)
    world.tell(5)
    world.speed["oslo"] = 100_000
    world.pass_(5)
    assert world.tell(5, rate=10_000) == pytest.approx(10_000, rel=0.02)


def test_one_group_waits_a_second_at_the_most() -> None:
    world = World(speed=0)
    world.stored["oslo"] = 10 * NEAR
    world.look()
    world.pace.stored("oslo", 100_000)
    assert world.pace.wait("oslo") == pytest.approx(LONGEST)
    assert world.pace.most("oslo") == LEAST * LONGEST, "more at a time would go faster than the pace"


def test_only_the_plant_that_is_behind_waits() -> None:
    world = World(speed=0)
    world.stored["oslo"] = 100 * NEAR
    for number in range(999):
        world.add(f"plant-{number}", behind=5)
    world.look()
    for plant in world.stored:
        world.pace.stored(plant, 100)
    waiting = [plant for plant in world.stored if world.pace.wait(plant)]
    assert waiting == ["oslo"]
    assert world.pace.lasting("oslo", 2_000) == pytest.approx(2_000 / LEAST)
    assert world.pace.lasting("plant-1", 2_000) == 0


def test_many_that_are_a_little_behind_each_are_bounded_together() -> None:
    world = World(speed=0)
    for number in range(1_000):
        world.add(f"plant-{number}", behind=20)
    world.look()
    assert sum(1 / world.pace.lasting(f"plant-{number}", 1) for number in range(1_000)) == pytest.approx(LEAST)


def test_each_that_waits_keeps_the_pace_of_its_own_folding() -> None:
    world = World(speed=6_000)
    world.add("rome", behind=10 * NEAR, speed=3_000)
    world.stored["oslo"] = 10 * NEAR
    for _ in range(10):
        world.look()
    assert world.pace.lasting("oslo", 6_000) == pytest.approx(1, rel=0.05)
    assert world.pace.lasting("rome", 3_000) == pytest.approx(1, rel=0.05)


def test_where_looking_takes_long_it_is_done_rarely() -> None:
    now, looks = 0.0, 0

    def progress() -> tuple[dict[str, int], dict[str, int]]:
        nonlocal now, looks
        now, looks = now + 0.05, looks + 1
        return {}, {}

    pace = Pace(progress, lambda: now)
    while now < 10:
        pace.wait("oslo")
        now += 0.01
    assert looks == pytest.approx(10, abs=1), "a twentieth of the time at most"
