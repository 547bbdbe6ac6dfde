"""A state in several databases, as people ask it: each partition lies in one of them, and answers about all are put together.

A part is opened when it is first asked, so that one which is away concerns only who asks for what lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock

from synchromesh.plant.rows import EntityKey, ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.state.agreement import CauseRow, Moment, Reading, StateAway


class Parts:
    """Where what lies, and how each part is opened: `of_partition` and `of_system` name a part among `openings`."""

    def __init__(
        self, of_partition: Callable[[str], str], of_system: Callable[[str], str], openings: Mapping[str, Callable[[], Reading]]
    ) -> None:
        self.of_partition = of_partition
        self.of_system = of_system
        self.openings = openings


class PartedMoment:
    """One committed moment of each part; a partition lies in one of them. Who asks for what lies in a part that was away then hears so."""

    def __init__(self, of_partition: Callable[[str], str], openings: Mapping[str, Callable[[], Moment]]) -> None:
        self._of_partition = of_partition
        self._opened: dict[str, Moment | StateAway] = {}
        try:
            for part, opening in openings.items():
                try:
                    self._opened[part] = opening()
                except StateAway as away:
                    self._opened[part] = away
        except BaseException:
            self.close()
            raise

    def _part(self, part: str) -> Moment:
        moment = self._opened[part]
        if isinstance(moment, StateAway):
            raise StateAway(str(moment)) from moment
        return moment

    def _of(self, partition: str) -> Moment:
        return self._part(self._of_partition(partition))

    def positions(self) -> dict[str, int]:
        return {name: position for part in self._opened for name, position in self._part(part).positions().items()}

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        return self._of(partition).load(partition, kind, names)

    def known(self, partition: str, identities: list[Identity]) -> dict[Identity, int]:
        return self._of(partition).known(partition, identities)

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]:
        return self._of(partition).facts(partition, positions)

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        return self._of(partition).postings(partition, ids)

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        return self._of(partition).exceptions(partition, ids)

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]:
        return self._of(partition).documents(partition, numbers)

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        return self._of(partition).outgoing(partition, ids)

    def close(self) -> None:
        for moment in self._opened.values():
            if not isinstance(moment, StateAway):
                moment.close()


class PartedReading:
    """A `Reading` of all parts. Answers of one partition are of one committed moment; those of several parts are of one each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._opened: dict[str, Reading] = {}
        self._opening = Lock()

    def _part(self, part: str) -> Reading:
        with self._opening:
            if part not in self._opened:
                self._opened[part] = self._parts.openings[part]()
            return self._opened[part]

    def _of(self, partition: str) -> Reading:
        return self._part(self._parts.of_partition(partition))

    def _all(self) -> Iterator[Reading]:
        return map(self._part, self._parts.openings)

    # --- of one partition -----------------------------------------------------------------------------------------------------

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]:
        return self._of(partition).entities(partition, keys)

    def entities_of(self, partition: str, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        return self._of(partition).entities_of(partition, kind, after, limit)

    def fact(self, partition: str, position: int) -> FactRow | None:
        return self._of(partition).fact(partition, position)

    def facts_before(self, partition: str, position: int, limit: int) -> list[FactRow]:
        return self._of(partition).facts_before(partition, position, limit)

    def identity(self, partition: str, source: str, id: str) -> int | None:
        return self._of(partition).identity(partition, source, id)

    def postings_of(self, partition: str, position: int) -> list[PostingRow]:
        return self._of(partition).postings_of(partition, position)

    def posting(self, partition: str, id: PostingId) -> PostingRow | None:
        return self._of(partition).posting(partition, id)

    def exception(self, partition: str, id: PostingId) -> ExceptionRow | None:
        return self._of(partition).exception(partition, id)

    def of_cause(self, partition: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionRow]:
        return self._of(partition).of_cause(partition, category, subject, after, limit)

    # --- of all parts ---------------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        return PartedMoment(self._parts.of_partition, {part: self._moment_of(part) for part in self._parts.openings})

    def _moment_of(self, part: str) -> Callable[[], Moment]:
        return lambda: self._part(part).moment()

    def positions(self) -> Mapping[str, int]:
        return {name: position for part in self._all() for name, position in part.positions().items()}

    def find_identity(self, id: str) -> list[tuple[str, int]]:
        return [found for part in self._all() for found in part.find_identity(id)]

    def recent(self, limit: int) -> list[tuple[str, FactRow]]:
        found = [each for part in self._all() for each in part.recent(limit)]
        return sorted(found, key=lambda each: each[1].received, reverse=True)[:limit]

    def document(self, number: str) -> list[tuple[str, PostingRow]]:
        return [found for part in self._all() for found in part.document(number)]

    def exceptions(self, state: str, limit: int) -> list[tuple[str, ExceptionRow]]:
        found: Sequence[tuple[str, ExceptionRow]] = [each for part in self._all() for each in part.exceptions(state, limit)]
        return sorted(found, key=lambda each: (each[1].opened, each[1].position, each[1].ordinal), reverse=True)[:limit]

    def causes(self) -> list[CauseRow]:
        return [row for part in self._all() for row in part.causes()]

    def waiting(self, target: str = "") -> int:
        if target:
            return self._part(self._parts.of_system(target)).waiting(target)
        return sum(part.waiting() for part in self._all())

    def troubles(self) -> dict[str, str]:
        return {name: trouble for part in self._all() for name, trouble in part.troubles().items()}

    def close(self) -> None:
        for part in self._opened.values():
            with suppress(StateAway):
                part.close()
