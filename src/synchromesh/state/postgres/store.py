"""The store as a worker sees it, in one schema of a PostgreSQL database that many workers share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg.types.numeric import Int4, Int8

from synchromesh.model.message import Message
from synchromesh.postgres.arrays import ints
from synchromesh.postgres.connections import DURABLE, Connection
from synchromesh.postgres.database import Database
from synchromesh.state import encoding
from synchromesh.state.agreement import LEASE_SECONDS, Changes, Fenced, StateAway, StateError
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.postgres.comparing import Comparing
from synchromesh.state.postgres.frozen import Frozen
from synchromesh.state.postgres.identities import Identities
from synchromesh.state.postgres.loads import PostgresLoads, Statements, rows
from synchromesh.state.postgres.partitions import Partitions
from synchromesh.state.postgres.roster import Roster
from synchromesh.state.postgres.schema import prepare
from synchromesh.state.postgres.session import BEGIN, Session, in_state_words
from synchromesh.state.postgres.words import kept, texts, told
from synchromesh.state.postgres.writing import Writing

# Shared: the same worker may renew the lease meanwhile only when this commit is over, and nobody can take it over before.
_LEASES: Final = "SELECT name, epoch, owner FROM {schema}.lease WHERE name = ANY (%s) ORDER BY name FOR SHARE"
_STANDS: Final = "SELECT number, position FROM {schema}.partition WHERE number = ANY (%s) ORDER BY number FOR UPDATE"
_FORGET: Final = """
DELETE FROM {schema}.forward WHERE partition = %s AND sequence IN (
  SELECT sequence FROM {schema}.forward WHERE partition = %s ORDER BY sequence LIMIT %s)
"""
_FORWARDS: Final = """
SELECT p.name, f.value FROM {schema}.forward f JOIN {schema}.partition p ON p.number = f.partition
WHERE p.name = ANY (%s) ORDER BY f.sequence LIMIT %s
"""


class PostgresState(PostgresLoads):
    """`State` on one schema. Used by one thread at a time; other workers write other partitions beside it, others claim and read.

    A batch is committed in two trips to the server: one writes it and asks who may write and where the partitions stand, the other one
    commits it. It is refused when an epoch is over, and when a partition does not stand where this store has last seen it: then a
    commit whose answer was lost has happened after all, and whoever looks at the positions again goes on behind it.
    """

    def __init__(
        self, database: Database, installation: str, segment_positions: int = SEGMENT_POSITIONS, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._session = Session(database)
        try:
            prepare(self._session, installation)
            self._session.connection()
        except BaseException:
            self._session.close()
            raise
        self._partitions = Partitions(self._session)
        self._statements = Statements(self._session)
        self._identities: Identities = Identities(self._session, segment_positions)
        self._writing = Writing(self._session)
        self._comparing = Comparing(self._session)
        self._roster = Roster(self._session, "worker", "lease", lease_seconds)
        self._epochs: dict[str, int] = {}
        self._stands: dict[str, int] = {}
        """Where partitions stood when this store has last written them or looked."""

    # --- the lease --------------------------------------------------------------------------------------------------------

    def attend(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        epochs = self._roster.attend(owner, partitions)
        if epochs != self._epochs:
            # Others may have written what was another one's meanwhile.
            self._stands.clear()
            self._identities.forget()
        self._epochs = dict(epochs)
        return epochs

    def leave(self, owner: str) -> None:
        self._roster.leave(owner)
        self._epochs = {}

    def origin(self, log: str) -> str:
        sql = self._session.sql
        with self._session.transaction("reading the state") as connection:
            if log:
                connection.execute(sql("INSERT INTO {schema}.origin VALUES (1, %s) ON CONFLICT (one) DO NOTHING"), (kept(log),))
            found = rows(connection, sql("SELECT log FROM {schema}.origin"), ())
            return told(found[0][0]) if found else ""

    def rebind(self, log: str) -> None:
        upsert = "INSERT INTO {schema}.origin VALUES (1, %s) ON CONFLICT (one) DO UPDATE SET log = excluded.log"
        with self._session.transaction("binding the state to its log") as connection:
            connection.execute(self._session.sql(upsert), (kept(log),))

    # --- reading ----------------------------------------------------------------------------------------------------------

    def positions(self) -> dict[str, int]:
        found = self._session.ask("reading the state", self._positions)
        self._stands = dict(found)
        return found

    def _positions(self, connection: Connection) -> dict[str, int]:
        sql = self._session.sql("SELECT name, position FROM {schema}.partition WHERE position > 0")
        return {told(name): position for name, position in rows(connection, sql, ())}

    def forwards(self, partitions: Collection[str], limit: int) -> list[tuple[str, Message]]:
        values = (texts(list(partitions)), limit)
        found = self._session.ask("reading the state", lambda connection: rows(connection, self._session.sql(_FORWARDS), values))
        return [(told(name), encoding.message(value)) for name, value in found]

    # --- writing ----------------------------------------------------------------------------------------------------------

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        with self._session.changing("committing to the state") as connection:
            try:
                numbers = self._partitions.made(connection, [changes.partition for changes in batch])
                # In one order for all: two batches of the same partitions wait for each other, and not in a circle.
                numbered = sorted(zip(numbers, batch, strict=True), key=lambda each: each[0])
                self._write(connection, epochs, numbered)
            except BaseException:
                self._identities.forget()
                self._stands.clear()
                raise
        for number, changes in numbered:
            self._stands[changes.partition] = changes.position
            self._identities.written(number, changes.position)
        self._session.ask("dropping identities", self._identities.sweep)

    def _write(self, connection: Connection, epochs: Mapping[str, int], batch: Sequence[tuple[int, Changes]]) -> None:
        identities = [statement for number, changes in batch for statement in self._identities.statements(connection, number, changes)]
        run, sql = connection.execute, self._session.sql
        with connection.pipeline() as pipeline:
            for words in BEGIN.split(";"):
                run(words, prepare=False)
            names = texts([changes.partition for _, changes in batch])
            run(self._roster.holding, (names,))
            leases = run(sql(_LEASES), (names,))
            stands = run(sql(_STANDS), (ints([number for number, _ in batch]),))
            forgotten = [
                (changes, run(sql(_FORGET), (Int4(number), Int4(number), Int8(changes.forwarded))))
                for number, changes in batch
                if changes.forwarded
            ]
            for statement, values in self._writing.statements(batch):
                run(statement, values, prepare=True)
            for statement, values in identities:
                run(statement, values)
            run(DURABLE)
            pipeline.sync()
            self._check(epochs, batch, leases.fetchall(), dict(stands.fetchall()))
            for changes, cursor in forgotten:
                self._check_forgotten(changes, cursor.rowcount)
            run("COMMIT", prepare=False)

    def _check(
        self, epochs: Mapping[str, int], batch: Sequence[tuple[int, Changes]], leases: Sequence[Any], stands: Mapping[int, int]
    ) -> None:
        held = {told(name): (epoch, told(owner)) for name, epoch, owner in leases}
        for number, changes in batch:
            name = changes.partition
            epoch, owner = held.get(name, (0, ""))
            if epochs.get(name) != epoch:
                raise Fenced(f"the epoch for {name} is over: {owner or 'nobody'} has taken over; stop this worker")
            expected = self._stands.get(name, stands[number])
            if stands[number] != expected:
                raise StateAway(
                    f"{self._session.database}: {name} stands at position {stands[number]} and not at {expected}, behind which this batch "
                    "was made: the answer to a commit was lost; nothing was changed, and it goes on from there"
                )

    def _check_forgotten(self, changes: Changes, gone: int) -> None:
        if gone != changes.forwarded:
            raise StateError(
                f"{self._session.database}: {changes.forwarded} forwards of {changes.partition} can't be forgotten, only {gone} are pending"
            )

    # --- comparing --------------------------------------------------------------------------------------------------------

    def rows(self, partition: str) -> Iterator[encoding.Row]:
        """As agreed, read through a connection of its own: it may take as long as it likes."""
        session = Session(self._session.database)
        try:
            with in_state_words(session.database, "reading the state"):
                connection = session.connection()
                number = self._partitions.number(connection, partition)
                yield from self._comparing.rows(connection, number, self._identities.segments)
        finally:
            session.close()

    def frozen(self, folder: Path) -> Frozen:
        """As agreed; the server keeps what the moment needs, so nothing is copied."""
        return Frozen(self._session.database)

    def close(self) -> None:
        self._session.close()
