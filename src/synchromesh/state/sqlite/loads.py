"""Loading rows by key, many at a time: what the writer and the readers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import apsw

from synchromesh.plant.rows import ExceptionRow, FactRow, Identity, PostingId, PostingRow
from synchromesh.state import encoding
from synchromesh.state.sqlite.identities import Identities
from synchromesh.state.sqlite.partitions import Partitions
from synchromesh.state.sqlite.rows import at, many, named, position_of
from synchromesh.state.sqlite.schema import in_state_words

_ENTITIES: Final = (
    "SELECT e.name, e.value FROM carray(?) AS k CROSS JOIN entity AS e ON e.partition = ? AND e.kind = ? AND e.name = CAST(k.value AS TEXT)"
)
_FACTS: Final = "SELECT f.at, f.value FROM ({keys}) AS k CROSS JOIN fact AS f ON f.at = k.column1"
_POSTINGS: Final = (
    "SELECT p.position, p.ordinal, p.value FROM ({keys}) AS k "
    "CROSS JOIN posting AS p ON p.partition = ? AND p.position = k.column1 AND p.ordinal = k.column2"
)
_EXCEPTIONS: Final = _POSTINGS.replace("posting AS", "exception AS")
_DOCUMENTS: Final = (
    "SELECT d.number, d.position, d.ordinal FROM ({keys}) AS k CROSS JOIN document AS d ON d.partition = ? AND d.number = k.column1"
)
_OUTGOING: Final = (
    "SELECT o.position, o.ordinal FROM ({keys}) AS k "
    "CROSS JOIN outbox AS o ON o.partition = ? AND o.position = k.column1 AND o.ordinal = k.column2"
)


def entities(connection: apsw.Connection, number: int, kind: str, names: Iterable[str]) -> dict[str, bytes]:
    return dict(named(connection, _ENTITIES, names, (number, kind)))


def facts(connection: apsw.Connection, number: int, positions: Iterable[int]) -> dict[int, FactRow]:
    keys = ((at(number, position),) for position in positions)
    return {position_of(row): encoding.fact(value) for row, value in many(connection, _FACTS, (), keys)}


def postings(connection: apsw.Connection, number: int, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
    return {(position, ordinal): encoding.posting(value) for position, ordinal, value in many(connection, _POSTINGS, (number,), ids)}


def exceptions(connection: apsw.Connection, number: int, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
    return {(position, ordinal): encoding.exception(value) for position, ordinal, value in many(connection, _EXCEPTIONS, (number,), ids)}


def documents(connection: apsw.Connection, number: int, numbers: Iterable[str]) -> dict[str, PostingId]:
    keys = ((each,) for each in numbers)
    return {name: (position, ordinal) for name, position, ordinal in many(connection, _DOCUMENTS, (number,), keys)}


def outgoing(connection: apsw.Connection, number: int, ids: Iterable[PostingId]) -> set[PostingId]:
    return set(many(connection, _OUTGOING, (number,), ids))


class SqliteLoads:
    """Loads by key on one connection, with the file's name in every refusal. Whoever inherits opens and closes the connection."""

    _path: Path
    _connection: apsw.Connection
    _partitions: Partitions
    _identities: Identities

    def load(self, partition: str, kind: str, names: Iterable[str]) -> dict[str, bytes]:
        with in_state_words(self._path, "reading the state"):
            return entities(self._connection, self._partitions.number(partition), kind, names)

    def known(self, partition: str, identities: Sequence[Identity]) -> dict[Identity, int]:
        with in_state_words(self._path, "reading the state"):
            return self._identities.known(self._partitions.number(partition), identities)

    def facts(self, partition: str, positions: Iterable[int]) -> dict[int, FactRow]:
        with in_state_words(self._path, "reading the state"):
            return facts(self._connection, self._partitions.number(partition), positions)

    def postings(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, PostingRow]:
        with in_state_words(self._path, "reading the state"):
            return postings(self._connection, self._partitions.number(partition), ids)

    def exceptions(self, partition: str, ids: Iterable[PostingId]) -> dict[PostingId, ExceptionRow]:
        with in_state_words(self._path, "reading the state"):
            return exceptions(self._connection, self._partitions.number(partition), ids)

    def documents(self, partition: str, numbers: Iterable[str]) -> dict[str, PostingId]:
        with in_state_words(self._path, "reading the state"):
            return documents(self._connection, self._partitions.number(partition), numbers)

    def outgoing(self, partition: str, ids: Iterable[PostingId]) -> set[PostingId]:
        with in_state_words(self._path, "reading the state"):
            return outgoing(self._connection, self._partitions.number(partition), ids)
