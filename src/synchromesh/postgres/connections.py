"""Connections to a database: opened one way, used by one thread at a time, and replaced when the server has gone and come back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import psycopg
from psycopg.rows import TupleRow

from synchromesh.postgres.arrays import register
from synchromesh.postgres.database import Database
from synchromesh.postgres.errors import Kinds, cut, in_words

Connection = psycopg.Connection[TupleRow]
OLDEST: Final = 150000
"""The oldest server that is used, as PostgreSQL writes versions: 15."""
_PREPARE_AFTER: Final = 2
_LOOK: Final = b"""
SELECT pg_backend_pid(), current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('server_encoding'),
  current_setting('default_transaction_isolation')
"""
_T = TypeVar("_T")

DURABLE: Final = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
"""To be run in a transaction before it commits: then the commit is on the disk when it returns, whatever role and server are set to. Levels
that wait for standbys, or do not, stay as they are."""


class Standby(psycopg.OperationalError):
    """A server that only follows another one."""

    sqlstate = "25006"


def connect(database: Database, kinds: Kinds, *, oldest: int = OLDEST) -> Connection:
    """A connection in which each statement commits by itself, unless it stands in a `transaction`. Raises the agreement's exceptions.

    Behind a pooler that hands each transaction to another connection of its own (PgBouncer in transaction mode) nothing is prepared on the
    server. Such a pooler is known by this: the process that answers is not the one that was announced.
    """
    with in_words(database, kinds, "connecting"):
        connection = psycopg.connect(database.conninfo, autocommit=True, client_encoding="utf8", prepare_threshold=None)
        try:
            process, version, standby, encoding, isolation = _look(connection)
            if standby:
                raise Standby("this server stands by and takes no writes")
            if version < oldest:
                said = f"{version // 10000} and is too old: Synchromesh needs {oldest // 10000} or newer"
                raise kinds.error(f"connecting: {database}: the server is PostgreSQL {said}; nothing was changed")
            if encoding != "UTF8":
                raise kinds.error(f"connecting: {database}: the database keeps text as {encoding}; make one with ENCODING 'UTF8'")
            if isolation != "read committed":
                raise kinds.error(
                    f"connecting: {database}: transactions of this role are {isolation!r} by default; set default_transaction_isolation to "
                    "'read committed' for it"
                )
            register(connection)
            if process == connection.info.backend_pid:
                connection.prepare_threshold = _PREPARE_AFTER
        except BaseException:
            connection.close()
            raise
    return connection


def _look(connection: Connection) -> TupleRow:
    """What is at the other end. Asked in the simple way, so that nothing is left behind in a pooler's connection."""
    return connection.execute(_LOOK, prepare=False).fetchone() or ()


def pooled(connection: Connection) -> bool:
    """Whether the connection leads to a pooler, so that nothing may be expected of the session from one transaction to the next."""
    return connection.prepare_threshold is None


class Connections:
    """As many connections as are needed at a time. Safe for threads; not for use across a fork."""

    def __init__(self, database: Database, kinds: Kinds) -> None:
        self.database = database
        self._kinds = kinds
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for one thread's use. It may have been cut since its last use: what must go on after a restart of the server is
        done through `ask`, or tried again by whoever knows what may be repeated. One that is broken is not used again."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or connect(self.database, self._kinds)
        try:
            yield connection
        finally:
            self._give_back(connection)

    def ask(self, doing: str, question: Callable[[Connection], _T]) -> _T:
        """The answer to what changes nothing. Connections that were cut since their last use are replaced first."""
        with in_words(self.database, self._kinds, doing):
            try:
                with self.one() as connection:
                    return question(connection)
            except psycopg.Error as error:
                if not cut(error):
                    raise
            self.forget()
            with self.one() as connection:
                return question(connection)

    def forget(self) -> None:
        """Close what is idle: after one connection was cut, the others are too."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.forget()

    def _give_back(self, connection: Connection) -> None:
        """Keep a connection that is as it was taken: outside of any transaction."""
        usable = not connection.broken and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if usable and not self._closed:
                self._idle.append(connection)
                return
        connection.close()
