"""A log whose messages are rows of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from synchromesh.log.agreement import LogError
from synchromesh.log.postgres.appending import Appender
from synchromesh.log.postgres.reading import Reader
from synchromesh.log.postgres.tables import KINDS, PART
from synchromesh.log.postgres.trimming import Trimmer
from synchromesh.model.message import Message, Record
from synchromesh.postgres.connections import DURABLE, Connections
from synchromesh.postgres.database import Database
from synchromesh.postgres.errors import in_words
from synchromesh.postgres.schema import prepare

PATIENCE: Final = 10.0
"""Seconds for which an append is tried again while the server is away."""

_MAKE: Final = "INSERT INTO {schema}.log_partition (name) VALUES (%s) ON CONFLICT DO NOTHING"
_LOCK: Final = "SELECT FROM {schema}.log_partition WHERE name = %s FOR UPDATE"
_RESUME: Final = "UPDATE {schema}.log_partition SET trimmed = %s, chain = %s WHERE name = %s"


class PostgresLog:
    """The log in a schema of a database. Safe for threads and processes; not for use across a fork.

    An append whose answer is lost is found again when the server is back: it is neither lost nor written twice. One that meets a server
    that is away for longer than `patience` seconds ends with `LogAway`. `archive` is one folder for all hosts that trim.
    """

    def __init__(self, database: Database, archive: Path, installation: str = "synchromesh", *, patience: float = PATIENCE) -> None:
        self._id = prepare(database, PART, installation, KINDS)
        self._connections = Connections(database, KINDS)
        self._reader = Reader(self._connections)
        self._appender = Appender(self._connections, patience)
        self._trimmer = Trimmer(self._connections, self._reader, archive)

    def append(self, messages: Sequence[Message]) -> list[int]:
        return self._appender.append(messages)

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        return self._reader.read(after, limit)

    def head(self) -> dict[str, int]:
        return {name: each.head for name, each in self._reader.known().items() if each.head}

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        return self._reader.wait(after, timeout)

    def trim(self, partition: str, through: int) -> None:
        self._trimmer.trim(partition, through)

    def resume(self, partition: str, after: int, chain: str) -> None:
        sql = self._connections.database.sql
        words = in_words(self._connections.database, KINDS, "moving a partition here")
        with words, self._connections.one() as connection, connection.transaction():
            connection.execute(DURABLE.encode())
            connection.execute(sql(_MAKE), (partition,))
            connection.execute(sql(_LOCK), (partition,))
            head = self._reader.known_to(connection, [partition])[partition].head
            if head:
                raise LogError(f"partition {partition} has messages through {head}: it can't begin behind {after}")
            connection.execute(sql(_RESUME), (after, chain, partition))

    def chain(self, partition: str) -> str:
        known = self._reader.known([partition])
        return known[partition].chain if partition in known else ""

    def id(self) -> str:
        return self._id

    def close(self) -> None:
        self._connections.close()
