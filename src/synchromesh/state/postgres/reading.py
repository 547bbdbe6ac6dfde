"""The store as people ask it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from psycopg.types.numeric import Int4, Int8

from synchromesh.plant.rows import EntityKey, ExceptionRow, FactRow, PostingId, PostingRow
from synchromesh.postgres.connections import Connection
from synchromesh.postgres.database import Database
from synchromesh.state import encoding
from synchromesh.state.agreement import CauseRow, Moment
from synchromesh.state.postgres.identities import ReadIdentities
from synchromesh.state.postgres.loads import Statements, rows
from synchromesh.state.postgres.moment import PostgresMoment
from synchromesh.state.postgres.partitions import Partitions
from synchromesh.state.postgres.rows import at
from synchromesh.state.postgres.schema import check
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, told

_T = TypeVar("_T")

_ENTITIES_OF: Final = "SELECT name, value FROM {schema}.entity WHERE partition = %s AND kind = %s AND name > %s ORDER BY name LIMIT %s"
_FACTS: Final = "SELECT value FROM {schema}.fact WHERE at >= %s AND at < %s ORDER BY at DESC LIMIT %s"
_RECENT: Final = """
SELECT p.name, f.value FROM {schema}.partition p CROSS JOIN LATERAL (
  SELECT value FROM {schema}.fact WHERE at >= p.number::bigint << 40 AND at < (p.number + 1)::bigint << 40 ORDER BY at DESC LIMIT %s) f
"""
_POSTINGS_OF: Final = "SELECT value FROM {schema}.posting WHERE partition = %s AND position = %s ORDER BY ordinal"
_DOCUMENT: Final = """
SELECT p.name, t.value FROM {schema}.partition p JOIN {schema}.document d ON d.partition = p.number AND d.number = %s
JOIN {schema}.posting t ON t.partition = d.partition AND t.position = d.position AND t.ordinal = d.ordinal ORDER BY p.name
"""
_EXCEPTIONS: Final = """
SELECT p.name, e.value FROM {schema}.exception e JOIN {schema}.partition p ON p.number = e.partition
WHERE {indexed} e.state = %s ORDER BY e.opened DESC, e.position DESC, e.ordinal DESC LIMIT %s
"""
_CAUSES: Final = """
SELECT p.name, e.* FROM (
  SELECT partition, category, subject, count(*) AS exceptions, sum(facts)::bigint, count(DISTINCT nullif(of_order, '')), min(opened)
  FROM {schema}.exception WHERE state = 'open' GROUP BY category, subject, partition) e JOIN {schema}.partition p ON p.number = e.partition
"""
_OF_CAUSE: Final = """
SELECT value FROM {schema}.exception WHERE state = 'open' AND partition = %s AND category = %s AND subject = %s
AND (position, ordinal) > (%s, %s) ORDER BY position, ordinal LIMIT %s
"""


class PostgresReading:
    """`Reading` on one schema. Safe for threads, one question at a time; each is one statement, or several that no commit comes between."""

    def __init__(self, database: Database) -> None:
        self._session = Session(database)
        try:
            check(self._session)
        except BaseException:
            self._session.close()
            raise
        self._partitions = Partitions(self._session)
        self._statements = Statements(self._session)
        self._identities = ReadIdentities(self._session)
        self._mutex = threading.Lock()

    def _ask(self, question: Callable[[Connection], _T]) -> _T:
        with self._mutex:
            return self._session.ask("reading the state", question)

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._ask(lambda connection: rows(connection, self._session.sql(sql), values))

    def _of(self, partition: str, question: Callable[[Connection, int], _T]) -> _T:
        return self._ask(lambda connection: question(connection, self._partitions.number(connection, partition)))

    def moment(self) -> Moment:
        return PostgresMoment(self._session.database)

    def positions(self) -> Mapping[str, int]:
        return {told(name): at for name, at in self._rows("SELECT name, position FROM {schema}.partition WHERE position > 0")}

    def entities(self, partition: str, keys: Iterable[EntityKey]) -> dict[EntityKey, bytes]:
        kinds: dict[str, list[str]] = {}
        for kind, name in keys:
            kinds.setdefault(kind, []).append(name)

        def question(connection: Connection, number: int) -> dict[EntityKey, bytes]:
            return {
                (kind, name): value
                for kind, names in kinds.items()
                for name, value in self._statements.entities(connection, number, kind, names).items()
            }

        return self._of(partition, question)

    def entities_of(self, partition: str, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        values = (kept(kind), kept(after), Int8(limit))
        found = self._of(partition, lambda connection, number: rows(connection, self._session.sql(_ENTITIES_OF), (Int4(number), *values)))
        return [(told(name), value) for name, value in found]

    def facts_before(self, partition: str, position: int, limit: int) -> list[FactRow]:
        def question(connection: Connection, number: int) -> list[Any]:
            return rows(connection, self._session.sql(_FACTS), (Int8(at(number, 0)), Int8(at(number, position)), Int8(limit)))

        return [encoding.fact(value) for (value,) in self._of(partition, question)]

    def fact(self, partition: str, position: int) -> FactRow | None:
        return self._of(partition, lambda connection, number: self._statements.facts(connection, number, [position]).get(position))

    def identity(self, partition: str, source: str, id: str) -> int | None:
        wanted = (source, id)
        return self._of(partition, lambda connection, number: self._identities.known(connection, number, [wanted]).get(wanted))

    def find_identity(self, id: str) -> list[tuple[str, int]]:
        def question(connection: Connection) -> list[tuple[str, int]]:
            partitions = self._partitions.all(connection).items()
            of_id = self._identities.segments.of_id
            return sorted((name, position) for name, number in partitions for position in of_id(connection, number, id))

        return self._ask(question)

    def recent(self, limit: int) -> list[tuple[str, FactRow]]:
        newest = [(told(name), encoding.fact(value)) for name, value in self._rows(_RECENT, Int8(limit))]
        return sorted(newest, key=lambda each: (each[1].received, each[1].position, each[0]), reverse=True)[:limit]

    def postings_of(self, partition: str, position: int) -> list[PostingRow]:
        def question(connection: Connection, number: int) -> list[Any]:
            return rows(connection, self._session.sql(_POSTINGS_OF), (Int4(number), Int8(position)))

        return [encoding.posting(value) for (value,) in self._of(partition, question)]

    def document(self, number: str) -> list[tuple[str, PostingRow]]:
        return [(told(name), encoding.posting(value)) for name, value in self._rows(_DOCUMENT, kept(number))]

    def exceptions(self, state: str, limit: int) -> list[tuple[str, ExceptionRow]]:
        # Open ones have an index of their own, which is used only where the statement says so.
        sql = _EXCEPTIONS.replace("{indexed}", "e.state = 'open' AND" if state == "open" else "")
        found = self._rows(sql, kept(state), Int8(limit))
        return [(told(name), encoding.exception(value)) for name, value in found]

    def posting(self, partition: str, id: PostingId) -> PostingRow | None:
        return self._of(partition, lambda connection, number: self._statements.postings(connection, number, [id]).get(id))

    def exception(self, partition: str, id: PostingId) -> ExceptionRow | None:
        return self._of(partition, lambda connection, number: self._statements.exceptions(connection, number, [id]).get(id))

    def causes(self) -> list[CauseRow]:
        found = self._rows(_CAUSES)
        return [CauseRow(told(name), told(category), told(subject), *rest) for name, _, category, subject, *rest in found]

    def of_cause(self, partition: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionRow]:
        values = (kept(category), kept(subject), Int8(after[0]), Int4(after[1]), Int8(limit))
        found = self._of(partition, lambda connection, number: rows(connection, self._session.sql(_OF_CAUSE), (Int4(number), *values)))
        return [encoding.exception(value) for (value,) in found]

    def waiting(self, target: str = "") -> int:
        if target:
            found = self._rows("SELECT count(*) FROM {schema}.outbox WHERE target = %s", kept(target))
        else:
            found = self._rows("SELECT count(*) FROM {schema}.outbox")
        return int(found[0][0])

    def troubles(self) -> dict[str, str]:
        found = self._rows("SELECT name, trouble FROM {schema}.sender WHERE trouble <> ''")
        return {told(name): told(trouble) for name, trouble in found}

    def close(self) -> None:
        with self._mutex:
            self._session.close()
