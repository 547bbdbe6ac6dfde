"""How fast messages are taken in while they are folded more slowly than they come.

What is stored and not yet folded is safe, and it costs: the outcomes of postings stand behind it in the log, and what they concern has left
every cache when their turn comes. So beyond `NEAR` messages in all, the plants that have more than a fair share of them store no more in a
second than is folded of theirs; the others go on at once. Nobody is refused for it; answers take longer. Where nothing is folded at all the
log goes on growing, by `LEAST` messages a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from synchromesh.log.fairness import shares

NEAR: Final = 8_000
"""Messages that may be stored and not yet folded before anybody is slowed down: about two batches of the worker."""

LEAST: Final = 2_000.0
"""Messages a second that are stored in any case, of all plants that are slowed down together."""

LONGEST: Final = 1.0
"""Seconds that one group of a plant waits at the most."""

LOOK: Final = 0.1
SPAN: Final = 3.0
"""Seconds between two looks at how far folding has come, and over how many of them its speed is measured."""

RARELY: Final = 20
"""A look is followed by so many times as long without one: with very many plants it takes some milliseconds."""

Progress = Callable[[], tuple[Mapping[str, int], Mapping[str, int]]]
"""Through where each plant's messages are stored, and through where they are folded."""


class Pacing(Protocol):
    """What the intake asks before it stores messages of a plant."""

    def wait(self, plant: str) -> float:
        """Seconds until messages of this plant may be stored."""
        ...

    def most(self, plant: str) -> int:
        """How many of its messages may be stored at a time."""
        ...

    def stored(self, plant: str, messages: int) -> None:
        """So many of them are stored now."""
        ...

    def lasting(self, plant: str, messages: int) -> float:
        """Seconds that it takes to store so many of them, as far as the pace decides."""
        ...


class AtOnce:
    """Nobody waits."""

    def wait(self, plant: str) -> float:
        return 0.0

    def most(self, plant: str) -> int:
        return NEAR

    def stored(self, plant: str, messages: int) -> None:
        pass

    def lasting(self, plant: str, messages: int) -> float:
        return 0.0


class Pace:
    """The pacing of each plant by how far it is folded. `clock` gives seconds. Only `lasting` may be asked by another thread."""

    def __init__(self, progress: Progress, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._seen: deque[tuple[float, Mapping[str, int]]] = deque()
        self._look_at = 0.0
        self._rates: dict[str, float] = {}
        """Messages a second of the plants that are slowed down."""
        self._free_at: dict[str, float] = {}

    def wait(self, plant: str) -> float:
        now = self._clock()
        if now >= self._look_at:
            self._look(now)
        return max(0.0, self._free_at.get(plant, 0.0) - now) if plant in self._rates else 0.0

    def most(self, plant: str) -> int:
        rate = self._rates.get(plant)
        return NEAR if rate is None else max(1, int(rate * LONGEST))

    def stored(self, plant: str, messages: int) -> None:
        rate = self._rates.get(plant)
        if rate is not None:
            now = self._clock()
            self._free_at[plant] = min(max(now, self._free_at.get(plant, 0.0)) + messages / rate, now + LONGEST)

    def lasting(self, plant: str, messages: int) -> float:
        rate = self._rates.get(plant)
        return 0.0 if rate is None else messages / rate

    def _look(self, now: float) -> None:
        stored, folded = self._progress()
        self._look_at = max(now + LOOK, now + RARELY * (self._clock() - now))
        self._seen.append((now, folded))
        while len(self._seen) > 1 and self._seen[0][0] < now - SPAN:
            self._seen.popleft()
        behind = {plant: count for plant, head in stored.items() if (count := head - folded.get(plant, 0)) > 0}
        fair = shares(behind, NEAR)
        slowed = [plant for plant, count in behind.items() if count > fair[plant]]
        self._rates = {plant: max(LEAST / len(slowed), self._speed(plant)) for plant in slowed}
        self._free_at = {plant: at for plant, at in self._free_at.items() if plant in self._rates}

    def _speed(self, plant: str) -> float:
        """Messages of this plant that were folded in a second, as far back as is looked."""
        (since, before), (now, folded) = self._seen[0], self._seen[-1]
        return (folded.get(plant, 0) - before.get(plant, 0)) / (now - since) if now > since else 0.0
