"""The pace of taking in: as fast as sources want while folding keeps up, and as fast as folding when it does not."""

from __future__ import annotations

import pytest

from synchromesh.edges.pace import LEAST, LONGEST, NEAR, Pace


class World:
    """Sources that tell as much as they may, and a worker of a certain speed, in a time of its own."""

    def __init__(self, speed: float) -> None:
        self.now, self.stored, self.speed, self.folded = 0.0, 0.0, speed, 0.0
        self.pace = Pace(lambda: (int(self.stored), int(self.folded)), lambda: self.now)

    def tell(self, seconds: float, group: int = 100, rate: float = 20_000) -> float:
        """Groups come at a rate, one after the other; how many messages a second were stored."""
        began, before = self.now, self.stored
        while self.now < began + seconds:
            self.pass_(max(self.pace.pause(group), group / rate))
            self.stored += group
        return (self.stored - before) / (self.now - began)

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.folded = min(self.stored, self.folded + self.speed * seconds)


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
    assert world.stored - world.folded < 3 * NEAR


def test_the_log_grows_on_where_nothing_is_folded() -> None:
    world = World(speed=0)
    world.tell(5)
    assert world.tell(20) == pytest.approx(LEAST, rel=0.05)


def test_who_is_behind_no_more_is_at_once_as_fast_as_before() -> None:
    world = World(speed=0)
    world.tell(5)
    world.speed = 100_000
    world.pass_(5)
    assert world.tell(5, rate=10_000) == pytest.approx(10_000, rel=0.02)


def test_one_group_waits_a_second_at_the_most() -> None:
    world = World(speed=0)
    world.stored = 10 * NEAR
    world.pace.pause(100_000)
    assert world.pace.pause(1) == LONGEST
