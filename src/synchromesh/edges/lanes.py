"""Who waits in the intake, by plant: the next group is drawn from those that may go, in turn, each in its own order."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from synchromesh.edges.pace import Pacing
from synchromesh.log.agreement import MOST_PARTITIONS
from synchromesh.model.message import Message

GROUP: Final = 2_000
GROUP_BYTES: Final = 8_000_000
"""How much is appended together: whoever comes when a group has reached this waits for the next one."""


class Call:
    """One caller's messages and where its answer goes."""

    __slots__ = ("answer", "bytes", "messages", "plant")

    def __init__(self, plant: str, messages: Sequence[Message], size: int, answer: asyncio.Future[list[int]]) -> None:
        self.plant = plant
        self.messages = messages
        self.bytes = size
        self.answer = answer


class Lanes:
    """Used by one thread."""

    def __init__(self, pace: Pacing) -> None:
        self._pace = pace
        self._lanes: dict[str, deque[Call]] = {}
        """The plants of which something waits; the one that went last is the last."""

    @property
    def waiting(self) -> bool:
        return bool(self._lanes)

    def put(self, call: Call) -> None:
        """It comes behind those of its plant."""
        lane = self._lanes.get(call.plant)
        if lane is None:
            lane = self._lanes[call.plant] = deque()
        lane.append(call)

    def wait(self) -> float | None:
        """Seconds until something may go; None where nothing waits."""
        return min(map(self._pace.wait, self._lanes), default=None)

    def group(self, *, hurry: bool) -> list[Call]:
        """Who goes next, empty when nobody may just now. In a `hurry` the pace is not asked."""
        left = {plant: GROUP if hurry else self._pace.most(plant) for plant in self._lanes if hurry or not self._pace.wait(plant)}
        turns = deque(left)
        group: list[Call] = []
        counts: Counter[str] = Counter()
        messages = size = 0
        while turns and messages < GROUP and size < GROUP_BYTES and (len(counts) < MOST_PARTITIONS or turns[0] in counts):
            plant = turns.popleft()
            call = self._lanes[plant].popleft()
            group.append(call)
            counts[plant] += len(call.messages)
            messages += len(call.messages)
            size += call.bytes
            if not self._lanes[plant]:
                del self._lanes[plant]
            elif counts[plant] < left[plant]:
                turns.append(plant)
        for plant, count in counts.items():
            self._pace.stored(plant, count)
            if plant in self._lanes:
                self._lanes[plant] = self._lanes.pop(plant)
        return group
