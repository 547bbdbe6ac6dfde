"""The store as people ask it: a connection that can't write."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from synchromesh.plant.rows import EntityKey, ExceptionRow, FactRow, PostingId, PostingRow
from synchromesh.sqlite.database import connect, query
from synchromesh.state import encoding
from synchromesh.state.agreement import CauseRow, Moment
from synchromesh.state.sqlite import loads
from synchromesh.state.sqlite.identities import position_of_identity, positions_of_id
from synchromesh.state.sqlite.moment import SqliteMoment
from synchromesh.state.sqlite.outbox import claims_of
from synchromesh.state.sqlite.partitions import Partitions
from synchromesh.state.sqlite.rows import at
from synchromesh.state.sqlite.schema import in_state_words, open_existing

CACHE_KIB: Final = 8_192

_CAUSES: Final = """
SELECT partition, category, subject, count(*), sum(facts), count(DISTINCT nullif(of_order, '')), min(opened)
FROM exception INDEXED BY exception_of_cause WHERE state = 'open' GROUP BY category, subject, partition
"""
"""Answered from the index alone, in its order."""

_OF_CAUSE: Final = """
SELECT value FROM exception INDEXED BY exception_in_cause
WHERE state = 'open' AND partition = ? AND category = ? AND subject = ? AND (position, ordinal) > (?, ?)
ORDER BY position, ordinal LIMIT ?
"""


class SqliteReading:
    """`Reading` on one file. Safe for threads, one question at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_existing(path, CACHE_KIB)
        self._partitions = Partitions(self._connection)
        self._mutex = threading.Lock()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._mutex, in_state_words(self._path, "reading the state"):
            yield

    def moment(self) -> Moment:
        return SqliteMoment(self._path)

    def positions(self) -> Mapping[str, int]:
        with self._asking():
            return dict(query(self._connection, "SELECT name, position FROM partition"))

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]:
        with self._asking():
            number = self._partitions.number(partition)
            return {(kind, name): value for kind, name in keys for value in loads.entities(self._connection, number, kind, [name]).values()}

    def entities_of(self, partition: str, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        with self._asking():
            return query(
                self._connection,
                "SELECT name, value FROM entity WHERE partition = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?",
                (self._partitions.number(partition), kind, after, limit),
            )

    def facts_before(self, partition: str, position: int, limit: int) -> list[FactRow]:
        with self._asking():
            number = self._partitions.number(partition)
            rows = self._connection.execute(
                "SELECT value FROM fact WHERE at >= ? AND at < ? ORDER BY at DESC LIMIT ?", (at(number, 0), at(number, position), limit)
            )
            return [encoding.fact(value) for (value,) in rows]

    def fact(self, partition: str, position: int) -> FactRow | None:
        with self._asking():
            return loads.facts(self._connection, self._partitions.number(partition), [position]).get(position)

    def identity(self, partition: str, source: str, id: str) -> int | None:
        with self._asking():
            return position_of_identity(self._connection, self._partitions.number(partition), (source, id))

    def find_identity(self, id: str) -> list[tuple[str, int]]:
        with self._asking():
            partitions = self._partitions.all().items()
            return sorted((name, position) for name, number in partitions for position in positions_of_id(self._connection, number, id))

    def recent(self, limit: int) -> list[tuple[str, FactRow]]:
        newest: list[tuple[str, FactRow]] = []
        with self._asking():
            for name, number in self._partitions.all().items():
                rows = query(
                    self._connection,
                    "SELECT value FROM fact WHERE at >= ? AND at < ? ORDER BY at DESC LIMIT ?",
                    (at(number, 0), at(number + 1, 0), limit),
                )
                newest += [(name, encoding.fact(value)) for (value,) in rows]
        return sorted(newest, key=lambda each: (each[1].received, each[1].position, each[0]), reverse=True)[:limit]

    def postings_of(self, partition: str, position: int) -> list[PostingRow]:
        with self._asking():
            rows = query(
                self._connection,
                "SELECT value FROM posting WHERE partition = ? AND position = ? ORDER BY ordinal",
                (self._partitions.number(partition), position),
            )
            return [encoding.posting(value) for (value,) in rows]

    def document(self, number: str) -> list[tuple[str, PostingRow]]:
        found = []
        with self._asking():
            for name, partition in self._partitions.all().items():
                ids = loads.documents(self._connection, partition, [number]).values()
                found += [(name, row) for row in loads.postings(self._connection, partition, ids).values()]
        return found

    def exceptions(self, state: str, limit: int) -> list[tuple[str, ExceptionRow]]:
        with self._asking():
            names = {number: name for name, number in self._partitions.all().items()}
            indexed = "state = 'open' AND" if state == "open" else ""
            rows = query(
                self._connection,
                f"SELECT partition, value FROM exception WHERE {indexed} state = ? "  # noqa: S608 - constant
                "ORDER BY opened DESC, position DESC, ordinal DESC LIMIT ?",
                (state, limit),
            )
            return [(names[number], encoding.exception(value)) for number, value in rows]

    def posting(self, partition: str, id: PostingId) -> PostingRow | None:
        with self._asking():
            return loads.postings(self._connection, self._partitions.number(partition), [id]).get(id)

    def exception(self, partition: str, id: PostingId) -> ExceptionRow | None:
        with self._asking():
            return loads.exceptions(self._connection, self._partitions.number(partition), [id]).get(id)

    def causes(self) -> list[CauseRow]:
        with self._asking():
            names = {number: name for name, number in self._partitions.all().items()}
            return [CauseRow(names[number], *rest) for number, *rest in self._connection.execute(_CAUSES)]

    def of_cause(self, partition: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionRow]:
        with self._asking():
            rows = self._connection.execute(_OF_CAUSE, (self._partitions.number(partition), category, subject, *after, limit))
            return [encoding.exception(value) for (value,) in rows]

    def waiting(self, target: str = "") -> int:
        only, values = ("WHERE target = ?", (target,)) if target else ("", ())
        with self._asking():
            count: int = query(self._connection, f"SELECT count(*) FROM outbox {only}", values)[0][0]  # noqa: S608 - constant
            return count

    def troubles(self) -> dict[str, str]:
        """As agreed; they stand in the dispatchers' file, which is there once one has begun."""
        claims = claims_of(self._path)
        with self._asking():
            if not claims.exists():
                return {}
            connection = connect(claims, cache_kib=64, read_only=True)
            try:
                return dict(query(connection, "SELECT target, told FROM trouble"))
            finally:
                connection.close()

    def close(self) -> None:
        with self._mutex:
            self._connection.close()
