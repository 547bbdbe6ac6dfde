"""When each partition next needs a tick. Asking what is due costs nothing for those that wait for nothing, however many there are."""

from __future__ import annotations

from heapq import heappop, heappush


class Timetable:
    """Times are microseconds since 1970."""

    def __init__(self) -> None:
        self._when: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        """What was noted; only what still stands in `_when` counts."""

    def note(self, partition: str, when: int | None) -> None:
        """From now on the partition is due then; None for not at all."""
        if when is None:
            self._when.pop(partition, None)
        elif self._when.get(partition) != when:
            self._when[partition] = when
            heappush(self._heap, (when, partition))

    def due(self, now: int) -> list[str]:
        """Who is due; they are forgotten until they are noted again."""
        found = []
        while (soonest := self.soonest()) is not None and soonest <= now:
            partition = heappop(self._heap)[1]
            del self._when[partition]
            found.append(partition)
        return found

    def soonest(self) -> int | None:
        """When the next one is due; None for none."""
        heap = self._heap
        while heap and self._when.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None
