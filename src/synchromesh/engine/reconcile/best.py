"""The most important rows of a long comparison, so that memory does not grow with it."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

R = TypeVar("R")


class Best(Generic[R]):
    """Keeps the `limit` rows with the greatest rank; of equal ones the first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[object, int, R]] = []
        self.count = 0

    def add(self, row: R, rank: tuple[object, ...]) -> None:
        """Look at one row more."""
        self.count += 1
        entry = (rank, -self.count, row)
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def rows(self) -> list[R]:
        """The greatest first."""
        return [row for _, _, row in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]

    @property
    def more(self) -> int:
        """How many rows were not kept."""
        return self.count - len(self._heap)
