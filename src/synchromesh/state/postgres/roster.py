"""Who is at work, and who has what: members and leases, kept by the database's clock alone.

One transaction renews the membership and the leases of who attends, forgets members whose time is over, gives up what is more than a fair
share, and takes what is free. A lease is free when nobody has it or its time is over; taking it makes a new epoch, by which everything that
its owner before still tries to write is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from synchromesh.postgres.connections import Connection
from synchromesh.state.postgres import arrays
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, told

SECONDS: Final = 3.0
"""How long a share outlives its owner's last attendance."""

_MEMBER: Final = """
INSERT INTO {schema}.member VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (kind, owner) DO UPDATE SET until = excluded.until
"""
_FORGET: Final = """
DELETE FROM {schema}.member WHERE (kind, owner) IN (
  SELECT kind, owner FROM {schema}.member WHERE kind = %s AND until < clock_timestamp() FOR UPDATE SKIP LOCKED)
"""
_COUNT: Final = "SELECT count(*) FROM {schema}.member WHERE kind = %s AND until >= clock_timestamp()"
_MAKE: Final = """
INSERT INTO {schema}.lease SELECT %s, name, 0, '', '-infinity' FROM unnest(%s) AS name ON CONFLICT (kind, name) DO NOTHING
"""
_MINE: Final = "SELECT name, epoch FROM {schema}.lease WHERE kind = %s AND owner = %s AND name = ANY (%s) ORDER BY name FOR UPDATE"
_RENEW: Final = """
UPDATE {schema}.lease SET until = clock_timestamp() + %s * interval '1 second' WHERE kind = %s AND owner = %s AND name = ANY (%s)
"""
_GIVE_UP: Final = """
UPDATE {schema}.lease SET owner = '', until = '-infinity', epoch = epoch + 1 WHERE kind = %s AND owner = %s AND name = ANY (%s)
"""
_TAKE: Final = """
UPDATE {schema}.lease l SET owner = %s, epoch = l.epoch + 1, until = clock_timestamp() + %s * interval '1 second' FROM (
  SELECT name FROM {schema}.lease WHERE kind = %s AND name = ANY (%s) AND (owner = '' OR until < clock_timestamp())
  ORDER BY name LIMIT %s FOR UPDATE SKIP LOCKED) AS free
WHERE l.kind = %s AND l.name = free.name RETURNING l.name, l.epoch
"""
_LEAVE: Final = "UPDATE {schema}.lease SET owner = '', until = '-infinity', epoch = epoch + 1 WHERE kind = %s AND owner = %s"
_GONE: Final = "DELETE FROM {schema}.member WHERE kind = %s AND owner = %s"


class PostgresRoster:
    """Leases of every kind in one database. Used by one thread at a time."""

    def __init__(self, session: Session, seconds: float = SECONDS) -> None:
        self._session = session
        self._seconds = seconds
        self._sql = session.sql

    def attend(self, kind: str, owner: str, names: Collection[str]) -> dict[str, int]:
        """Say that `owner` is at work, and get its share of the names, each with its epoch."""
        with self._session.transaction("taking the lease") as connection:
            return self._attend(connection, kept(kind), kept(owner), sorted(set(names)))

    def _attend(self, connection: Connection, kind: str, owner: str, names: list[str]) -> dict[str, int]:
        def run(sql: str, *values: object) -> Any:
            return connection.execute(self._sql(sql), values)

        wanted = arrays.of_texts(names)
        run(_MEMBER, kind, owner, self._seconds)
        run(_FORGET, kind)
        run(_MAKE, kind, wanted)
        share = -(-len(names) // run(_COUNT, kind).fetchone()[0])
        mine = {told(name): epoch for name, epoch in run(_MINE, kind, owner, wanted)}
        if excess := sorted(mine)[share:]:
            run(_GIVE_UP, kind, owner, arrays.of_texts(excess))
            for name in excess:
                del mine[name]
        run(_RENEW, self._seconds, kind, owner, arrays.of_texts(list(mine)))
        if len(mine) < share:
            found = run(_TAKE, owner, self._seconds, kind, wanted, share - len(mine), kind)
            mine |= {told(name): epoch for name, epoch in found}
        return mine

    def leave(self, kind: str, owner: str) -> None:
        """Give everything back at once: whoever attends next may have it."""
        with self._session.transaction("giving the lease back") as connection:
            connection.execute(self._sql(_LEAVE), (kept(kind), kept(owner)))
            connection.execute(self._sql(_GONE), (kept(kind), kept(owner)))
