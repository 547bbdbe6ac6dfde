"""One connection of a store, replaced when it was cut, with every refusal in the state's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec
import psycopg

from synchromesh.postgres.connections import DURABLE, Connection, connect, pooled
from synchromesh.postgres.database import Database
from synchromesh.postgres.errors import Kinds, cut, in_words
from synchromesh.state.agreement import StateAway, StateCorrupt, StateError, StateFull

KINDS: Final = Kinds(StateError, StateFull, StateCorrupt, StateAway)
_T = TypeVar("_T")

# Rows are found by key. A plan that the server has kept since its tables were small must not read through them when they have grown.
_PLANS: Final = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
# A client whose machine has gone is noticed, and what it holds let go, sooner than after the system's two hours.
_ALIVE: Final = "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 2; SET tcp_user_timeout = 4000"


IDLE_SECONDS: Final = 3
"""After so long the server ends a transaction that nobody goes on with: its client is gone or stands still, and others wait."""
BEGIN: Final = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; SET LOCAL lock_timeout = '10s'"
"""The begin of a transaction that changes something."""


@contextmanager
def in_state_words(database: Database, doing: str) -> Iterator[None]:
    """Turn what the driver or the decoder of rows says into the agreement's exceptions."""
    try:
        with in_words(database, KINDS, doing):
            yield
    except msgspec.DecodeError as error:
        raise StateCorrupt(f"{doing}: {database}: a row can't be read ({error}); nothing was changed: restore the database") from error
    except UnicodeEncodeError as error:
        raise StateError(f"{doing}: {database}: a value can't be stored ({error}); nothing was changed") from error


class Session:
    """Used by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Connection | None = None

    def sql(self, statement: str) -> bytes:
        """A statement in which `{schema}` stands for the schema's name."""
        return self.database.sql(statement)

    def connection(self) -> Connection:
        """The connection, opened where there is none or where it is known to be broken."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.database, KINDS)
            if not pooled(self._connection):
                self._connection.execute(f"{_PLANS}; {_ALIVE}", prepare=False)
        return self._connection

    def ask(self, doing: str, question: Callable[[Connection], _T]) -> _T:
        """The answer to what changes nothing. A connection that was cut since its last use is replaced first."""
        with in_state_words(self.database, doing):
            try:
                return question(self.connection())
            except psycopg.Error as error:
                if not cut(error):
                    raise
            self.close()
            return question(self.connection())

    @contextmanager
    def changing(self, doing: str) -> Iterator[Connection]:
        """A connection for one transaction. One that did not end as it should is closed: the server gives up what it had begun."""
        with in_state_words(self.database, doing):
            connection = self.connection()
            try:
                yield connection
            except BaseException:
                self._give_up()
                raise

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """A transaction that is on the disk when the block is left, or nothing. The server ends one that nobody goes on with."""
        with self.changing(doing) as connection:
            begun = self._begun(connection)
            yield begun
            begun.execute(DURABLE)
            begun.execute("COMMIT", prepare=False)

    def _begun(self, connection: Connection) -> Connection:
        """A connection in a new transaction. One that was cut since its last use is replaced: nothing has been done yet."""
        try:
            connection.execute(BEGIN, prepare=False)
        except psycopg.Error as error:
            if not cut(error):
                raise
            self.close()
            connection = self.connection()
            connection.execute(BEGIN, prepare=False)
        return connection

    def _give_up(self) -> None:
        """Roll back; where that can't be said, the connection's end says it."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
