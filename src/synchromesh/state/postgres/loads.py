"""Loading rows by key, many at a time and each kind in one statement: what the writer and the readers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from psycopg.types.numeric import Int4

from synchromesh.plant.rows import ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.postgres.arrays import bigints, ints
from synchromesh.postgres.connections import Connection
from synchromesh.state import encoding
from synchromesh.state.postgres.partitions import Partitions
from synchromesh.state.postgres.rows import at, position_of
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, texts, told

_T = TypeVar("_T")

# Each key is looked up by itself, in the index: a plan that the server made when it knew little of a table can't become another one.
_ENTITIES: Final = """
SELECT k.name, r.value FROM unnest(%s) AS k (name) CROSS JOIN LATERAL (
  SELECT value FROM {schema}.entity WHERE partition = %s AND kind = %s AND name = k.name OFFSET 0) AS r
"""
_FACTS: Final = """
SELECT k.at, r.value FROM unnest(%s) AS k (at) CROSS JOIN LATERAL (SELECT value FROM {schema}.fact WHERE at = k.at OFFSET 0) AS r
"""
_KEYED: Final = """
SELECT k.position, k.ordinal, r.value FROM unnest(%s, %s) AS k (position, ordinal) CROSS JOIN LATERAL (
  SELECT {value} AS value FROM {schema}.{table} WHERE partition = %s AND position = k.position AND ordinal = k.ordinal OFFSET 0) AS r
"""
_DOCUMENTS: Final = """
SELECT k.number, r.position, r.ordinal FROM unnest(%s) AS k (number) CROSS JOIN LATERAL (
  SELECT position, ordinal FROM {schema}.document WHERE partition = %s AND number = k.number OFFSET 0) AS r
"""


class _Known(Protocol):
    def known(self, connection: Connection, partition: int, identities: Sequence[Identity]) -> dict[Identity, int]: ...


def rows(connection: Connection, sql: bytes, values: Sequence[object]) -> list[Any]:
    """All rows of a statement, told in binary form: tuples, whose types the statement decides."""
    return connection.execute(sql, values, binary=True).fetchall()


class Statements:
    """The statements of loads, for one schema."""

    def __init__(self, session: Session) -> None:
        self._entities = session.sql(_ENTITIES)
        self._facts = session.sql(_FACTS)
        self._documents = session.sql(_DOCUMENTS)
        self._postings, self._exceptions, self._outgoing = (
            session.sql(_KEYED.replace("{table}", table).replace("{value}", value))
            for table, value in (("posting", "value"), ("exception", "value"), ("outbox", "1"))
        )

    def entities(self, connection: Connection, number: int, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        found = rows(connection, self._entities, (texts(list(names)), Int4(number), kept(kind)))
        return {told(name): value for name, value in found}

    def facts(self, connection: Connection, number: int, positions: Iterable[int]) -> dict[int, FactRow]:
        keys = [at(number, position) for position in positions]
        return {position_of(row): encoding.fact(value) for row, value in rows(connection, self._facts, (bigints(keys),))}

    def postings(self, connection: Connection, number: int, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        return {
            (position, ordinal): encoding.posting(value)
            for position, ordinal, value in self._keyed(connection, self._postings, number, ids)
        }

    def exceptions(self, connection: Connection, number: int, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        found = self._keyed(connection, self._exceptions, number, ids)
        return {(position, ordinal): encoding.exception(value) for position, ordinal, value in found}

    def outgoing(self, connection: Connection, number: int, ids: Iterable[PostingId]) -> set[PostingId]:
        return {(position, ordinal) for position, ordinal, _ in self._keyed(connection, self._outgoing, number, ids)}

    def documents(self, connection: Connection, number: int, names: Iterable[str]) -> dict[str, PostingId]:
        found = rows(connection, self._documents, (texts(list(names)), Int4(number)))
        return {told(name): (position, ordinal) for name, position, ordinal in found}

    @staticmethod
    def _keyed(connection: Connection, sql: bytes, number: int, ids: Iterable[PostingId]) -> list[Any]:
        keys = list(ids)
        positions, ordinals = bigints([key[0] for key in keys]), ints([key[1] for key in keys])
        return rows(connection, sql, (positions, ordinals, Int4(number)))


class PostgresLoads:
    """Loads by key in one session, with the database's name in every refusal. Whoever inherits opens and closes the session."""

    _session: Session
    _partitions: Partitions
    _statements: Statements
    _identities: _Known

    def _asked(self, partition: str, question: Callable[[Connection, int], _T]) -> _T:
        return self._session.ask(
            "reading the state", lambda connection: question(connection, self._partitions.number(connection, partition))
        )

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        wanted = list(names)
        return self._asked(partition, lambda connection, number: self._statements.entities(connection, number, kind, wanted))

    def known(self, partition: str, identities: Sequence[Identity]) -> dict[Identity, int]:
        return self._asked(partition, lambda connection, number: self._identities.known(connection, number, identities))

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]:
        wanted = list(positions)
        return self._asked(partition, lambda connection, number: self._statements.facts(connection, number, wanted))

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        wanted = list(ids)
        return self._asked(partition, lambda connection, number: self._statements.postings(connection, number, wanted))

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        wanted = list(ids)
        return self._asked(partition, lambda connection, number: self._statements.exceptions(connection, number, wanted))

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]:
        wanted = list(numbers)
        return self._asked(partition, lambda connection, number: self._statements.documents(connection, number, wanted))

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        wanted = list(ids)
        return self._asked(partition, lambda connection, number: self._statements.outgoing(connection, number, wanted))
