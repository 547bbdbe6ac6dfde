"""Whose turn it is: what may be sent now, drawn from the plants one by one, within the rates of all and of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from synchromesh.engine.job import Job
from synchromesh.engine.sending import Limits

HELD_SECONDS: Final = 10.0
"""A plant with a rate keeps at most what it may send in so many seconds: what is more would only take the others' places."""


class Bucket:
    """At most `rate` tokens a second, of which one second's worth gathers; without end when the rate is 0."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = self._most = max(1.0, rate)
        self._at = now

    def has(self, now: float) -> bool:
        if not self._rate:
            return True
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= 1.0

    def take(self) -> None:
        if self._rate:
            self._tokens -= 1.0

    def next_at(self, now: float) -> float:
        """When there is a token."""
        return now if self.has(now) else now + (1.0 - self._tokens) / self._rate


class Turns:
    """The plants of one business system, in turn. The one that went last is the last in the next round."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._all = Bucket(limits.rate_per_second, now)
        self._each: dict[str, Bucket] = {}
        self._order: deque[str] = deque()

    def draw(self, due: dict[str, deque[Job]], wanted: int, now: float) -> list[Job]:
        """Up to `wanted` jobs to go, taken out of `due` (by plant, each in its own order); fewer when the rates allow no more now."""
        self._meet(due, now)
        drawn: list[Job] = []
        idle = 0
        while len(drawn) < wanted and idle < len(self._order) and self._all.has(now):
            plant = self._order[0]
            self._order.rotate(-1)
            jobs = due.get(plant)
            if jobs and self._each[plant].has(now):
                self._all.take()
                self._each[plant].take()
                drawn.append(jobs.popleft())
                idle = 0
            else:
                idle += 1
        return drawn

    def next_at(self, due: Iterable[str], now: float) -> float:
        """When the rates allow something of one of these plants."""
        self._meet(due, now)
        return max(self._all.next_at(now), min((self._each[plant].next_at(now) for plant in due), default=now))

    def full(self, held: Mapping[str, int]) -> set[str]:
        """Plants of which so much is held that their rate will not let more go soon."""
        share = self.share
        return {plant for plant, count in held.items() if count >= share} if share else set()

    @property
    def share(self) -> int:
        """How much of one plant is enough to hold, and to take at a time; 0 for no bound."""
        rate = self._limits.plant_rate_per_second
        return max(1, int(rate * HELD_SECONDS)) if rate else 0

    def _meet(self, plants: Iterable[str], now: float) -> None:
        for plant in plants:
            if plant not in self._each:
                self._each[plant] = Bucket(self._limits.plant_rate_per_second, now)
                self._order.append(plant)
