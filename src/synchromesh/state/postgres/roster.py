"""Who is at work, and who has what: members and leases, kept by the database's clock alone.

One transaction renews the membership and the leases of who attends, forgets members whose time is over, gives up what is more than a fair
share, and takes what is free. A lease is free when nobody has it or its time is over; taking it makes a new epoch, by which everything that
its owner before still tries to write is refused.

Whoever writes under a lease holds it until its transaction is over, and a lease that is held is not taken. An owner that stands still in
the midst of it would hold it for ever, since the server waits for it: so every transaction under a lease also has a lock that says whose
process it is, and who comes to take over ends those of which the time is over and that wait for nobody but their client.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from synchromesh.postgres.connections import Connection
from synchromesh.state.agreement import LEASE_SECONDS
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, texts, told

GRACE: Final = 0.5
"""Seconds after a lease's time before who stands still with it is ended."""

_MEMBER: Final = """
INSERT INTO {schema}.member VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (kind, owner) DO UPDATE SET until = excluded.until
"""
_FORGET: Final = """
DELETE FROM {schema}.member WHERE (kind, owner) IN (
  SELECT kind, owner FROM {schema}.member WHERE kind = %s AND owner <> %s AND until < clock_timestamp()
  FOR UPDATE SKIP LOCKED)
"""
_OTHERS: Final = "SELECT count(*) FROM {schema}.member WHERE kind = %s AND owner <> %s AND until >= clock_timestamp()"
_MAKE: Final = """
INSERT INTO {schema}.{table} (name, epoch, owner) SELECT w.name, 0, '' FROM unnest(%s) AS w (name)
WHERE NOT EXISTS (SELECT 1 FROM {schema}.{table} l WHERE l.name = w.name) ORDER BY w.name ON CONFLICT (name) DO NOTHING
"""
_MINE: Final = "SELECT name, epoch FROM {schema}.{table} WHERE owner = %s AND name = ANY (%s) ORDER BY name FOR UPDATE"
_RENEW: Final = """
UPDATE {schema}.{table} SET until = clock_timestamp() + %s * interval '1 second' WHERE owner = %s AND name = ANY (%s)
"""
_GIVE_UP: Final = "UPDATE {schema}.{table} SET owner = '', until = '-infinity', epoch = epoch + 1 WHERE owner = %s AND name = ANY (%s)"
_TAKE: Final = """
UPDATE {schema}.{table} l SET owner = %s, epoch = l.epoch + 1, until = clock_timestamp() + %s * interval '1 second' FROM (
  SELECT name FROM {schema}.{table} WHERE name = ANY (%s) AND owner <> %s AND (owner = '' OR until < clock_timestamp())
  ORDER BY name LIMIT %s FOR UPDATE SKIP LOCKED) AS free
WHERE l.name = free.name RETURNING l.name, l.epoch
"""
_LOCK: Final = "hashtextextended('{schema} {table} ' || name, 0)"
_HOLDING: Final = "SELECT pg_advisory_xact_lock({lock}) FROM (SELECT name FROM unnest(%s) AS k (name) ORDER BY name) AS n"
_END_STANDING: Final = """
SELECT pg_terminate_backend(l.pid) FROM {schema}.{table} t
JOIN pg_database d ON d.datname = current_database()
JOIN pg_locks l ON l.locktype = 'advisory' AND l.database = d.oid AND l.objsubid = 1 AND l.granted
AND (l.classid::bigint << 32 | l.objid::bigint) = {lock}
JOIN pg_stat_activity a ON a.pid = l.pid AND a.wait_event = 'ClientRead'
WHERE name = ANY (%s) AND owner NOT IN ('', %s) AND until < clock_timestamp() - %s * interval '1 second'
"""
_LEAVE: Final = "UPDATE {schema}.{table} SET owner = '', until = '-infinity', epoch = epoch + 1 WHERE owner = %s"
_GONE: Final = "DELETE FROM {schema}.member WHERE kind = %s AND owner = %s"


class Roster:
    """The leases of one table, shared among the members of one kind. Used by one thread at a time."""

    def __init__(self, session: Session, kind: str, table: str, seconds: float = LEASE_SECONDS) -> None:
        self._session = session
        self._kind = kind
        self._table = table
        self._seconds = seconds
        self.holding = self._sql(_HOLDING)
        """The statement that says whose process writes under these leases, a `text[]`, until its transaction is over."""

    def _sql(self, sql: str) -> bytes:
        return self._session.sql(sql.replace("{lock}", _LOCK).replace("{table}", self._table))

    def attend(self, owner: str, names: Collection[str]) -> dict[str, int]:
        """Say that `owner` is at work, and get its share of the names, each with its epoch."""
        with self._session.transaction("taking the lease") as connection:
            return self._attend(connection, kept(owner), sorted(set(names)))

    def _attend(self, connection: Connection, owner: str, names: list[str]) -> dict[str, int]:
        def run(sql: str, *values: object) -> Any:
            return connection.execute(self._sql(sql), values)

        wanted = texts(names)
        run(_MEMBER, self._kind, owner, self._seconds)
        run(_FORGET, self._kind, owner)
        run(_MAKE, wanted)
        share = -(-len(names) // (run(_OTHERS, self._kind, owner).fetchone()[0] + 1))
        mine = {told(name): epoch for name, epoch in run(_MINE, owner, wanted)}
        if excess := sorted(mine)[share:]:
            run(_GIVE_UP, owner, texts(excess))
            for name in excess:
                del mine[name]
        run(_RENEW, self._seconds, owner, texts(list(mine)))
        if len(mine) < share:
            found = run(_TAKE, owner, self._seconds, wanted, owner, share - len(mine))
            mine |= {told(name): epoch for name, epoch in found}
        if len(mine) < share:
            run(_END_STANDING, wanted, owner, GRACE)
        return mine

    def leave(self, owner: str) -> None:
        """Give everything back at once: whoever attends next may have it."""
        with self._session.transaction("giving the lease back") as connection:
            connection.execute(self._sql(_LEAVE), (kept(owner),))
            connection.execute(self._session.sql(_GONE), (self._kind, kept(owner)))
