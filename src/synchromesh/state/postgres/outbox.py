"""The outbox as a dispatcher sees it. Claims stand in the outbox's own rows, so that a claim leaves with its entry.

What is to be claimed is looked up first and claimed then, row by row where it still stands unclaimed. So a look that finds nothing writes
nothing, two dispatchers never claim the same, and neither waits for a worker longer than a transaction of either lasts.

A database that was put back from a backup, or that follows one whose last commits it did not get, has forgotten claims, and what was sent
since would be sent again. So the database remembers which server it is in, and where that server's history branched off. Where this is
not what it was, nothing is known of any partition's claims: whoever claims hears `Fenced`, begins anew, and takes over what stands in
the outbox as doubt, once the state has reached the log's head.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

from psycopg.types.numeric import Int8

from synchromesh.log.polling import look_until
from synchromesh.observe.lines import emit
from synchromesh.observe.names import CLAIMS_UNKNOWN
from synchromesh.postgres.arrays import Bigints, Ints, bigints, ints
from synchromesh.postgres.connections import Connection
from synchromesh.postgres.database import Database
from synchromesh.state import encoding
from synchromesh.state.agreement import LEASE_SECONDS, Fenced, Ready, StateCorrupt, TakenOver
from synchromesh.state.fairness import fairly
from synchromesh.state.postgres.loads import rows
from synchromesh.state.postgres.roster import Roster
from synchromesh.state.postgres.schema import check
from synchromesh.state.postgres.session import Session, in_state_words
from synchromesh.state.postgres.words import kept, texts, told

SHORTEST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.02
MOST_ROWS: Final = 4_096
"""About how many entries are looked at for one take, whatever the number of plants."""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_SENDER: Final = "SELECT owner, released, epoch FROM {schema}.sender WHERE name = %s"
_PLANTS: Final = """
SELECT p.number, p.name, p.position, c.head IS NULL FROM {schema}.partition p LEFT JOIN {schema}.claims c ON c.partition = p.name
WHERE p.position > 0 ORDER BY p.number
"""
_UNCLAIMED: Final = """
SELECT k.number, o.position, o.ordinal, o.lane, o.added FROM unnest(%s, %s) AS k (number, since) CROSS JOIN LATERAL (
  SELECT position, ordinal, lane, added FROM {schema}.outbox
  WHERE target = %s AND partition = k.number AND added >= k.since AND claimant IS NULL
  ORDER BY target, partition, added, position, ordinal LIMIT %s) AS o
"""
_CLAIM: Final = """
UPDATE {schema}.outbox o SET claimant = %s, claimed_at = %s FROM unnest(%s, %s, %s) AS k (partition, position, ordinal)
LEFT JOIN {schema}.posting t ON t.partition = k.partition AND t.position = k.position AND t.ordinal = k.ordinal
WHERE o.partition = k.partition AND o.position = k.position AND o.ordinal = k.ordinal AND o.claimant IS NULL AND EXISTS (
  SELECT 1 FROM {schema}.partition p JOIN {schema}.claims c ON c.partition = p.name AND c.head IS NULL WHERE p.number = o.partition)
RETURNING o.partition, o.position, o.ordinal, t.value
"""
_ORPHANS: Final = """
SELECT o.partition, o.position, o.ordinal, o.lane, o.claimed_at, t.value
FROM {schema}.partition p JOIN {schema}.outbox o ON o.partition = p.number
LEFT JOIN {schema}.posting t ON t.partition = o.partition AND t.position = o.position AND t.ordinal = o.ordinal
WHERE p.name = %s AND o.target = %s AND o.claimant <> %s ORDER BY o.position, o.ordinal LIMIT %s FOR UPDATE OF o
"""
_TAKE_OVER: Final = """
UPDATE {schema}.outbox o SET claimant = %s FROM unnest(%s, %s, %s) AS k (partition, position, ordinal)
WHERE o.partition = k.partition AND o.position = k.position AND o.ordinal = k.ordinal
"""
_DISOWN: Final = "UPDATE {schema}.outbox SET claimant = '' WHERE target = %s AND claimant = %s"
_RELEASE: Final = """
WITH gone AS (
  UPDATE {schema}.outbox o SET claimant = NULL, claimed_at = NULL
  FROM unnest(%s, %s, %s) AS k (name, position, ordinal) JOIN {schema}.partition p ON p.name = k.name
  WHERE o.partition = p.number AND o.position = k.position AND o.ordinal = k.ordinal AND o.claimant IS NOT NULL
  RETURNING o.target)
INSERT INTO {schema}.sender (name, epoch, owner, released) SELECT DISTINCT target, 0, '', 1 FROM gone
ON CONFLICT (name) DO UPDATE SET released = sender.released + 1
"""
_NOTICE_UNKNOWN: Final = """
INSERT INTO {schema}.claims SELECT * FROM unnest(%s, %s) ON CONFLICT (partition) DO UPDATE SET head = excluded.head WHERE claims.head < 0
"""
_TELL: Final = """
INSERT INTO {schema}.sender (name, epoch, owner, trouble) VALUES (%s, 0, '', %s) ON CONFLICT (name) DO UPDATE SET trouble = excluded.trouble
"""
_CAUGHT_UP: Final = """
SELECT c.partition, c.head, p.number FROM {schema}.claims c JOIN {schema}.partition p ON p.name = c.partition
WHERE c.head >= 0 AND p.position >= c.head ORDER BY c.partition FOR UPDATE OF c
"""
_DOUBT: Final = """
UPDATE {schema}.outbox SET claimant = '', claimed_at = 0 WHERE partition = %s AND position <= %s AND claimant IS NULL
"""
_REACHED: Final = """
SELECT p.name FROM unnest(%s, %s) AS k (name, head) JOIN {schema}.partition p ON p.name = k.name AND p.position >= k.head
WHERE p.position > 0 AND NOT EXISTS (SELECT 1 FROM {schema}.claims c WHERE c.partition = p.name AND c.head IS NOT NULL) ORDER BY p.name
"""
_SEE: Final = """
INSERT INTO {schema}.claims SELECT p.name, NULL FROM {schema}.partition p WHERE p.position > 0 AND NOT EXISTS (
  SELECT 1 FROM {schema}.claims c WHERE c.partition = p.name) ON CONFLICT (partition) DO NOTHING
"""
"""Before anything is claimed: of a partition that stands here, another one does not find later that nothing is known."""
_HISTORY: Final = """
SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
  (SELECT oid FROM pg_database WHERE datname = current_database()), '{schema}.outbox'::regclass::oid),
  (SELECT told FROM {schema}.history)
"""
"""The server, its branch of history, the database and the table: what they are now, and what they were when claims were last made."""


class _Choice(NamedTuple):
    """An entry that may be claimed."""

    number: int
    position: int
    ordinal: int
    plant: str
    lane: str
    added: int


class PostgresOutbox:
    """Safe for threads, and for dispatchers in many processes."""

    def __init__(self, database: Database, lease_seconds: float = LEASE_SECONDS) -> None:
        self._session = Session(database)
        self._roster = Roster(self._session, "dispatcher", "sender", lease_seconds)
        self._thread = threading.RLock()
        self._settled: Connection | None = None
        """The connection of which it is known that it leads to the database that knows its claims."""
        self._claimed_through: dict[tuple[str, int], int] = {}
        self._released: dict[str, int] = {}
        self._noticed = False
        """Whether this outbox has looked for partitions of which nothing is known."""
        self._turn = 0
        self._seen = -1
        try:
            check(self._session)
            with self._session.transaction("opening the claims") as connection:
                self._settle_history(connection)
        except BaseException:
            self._session.close()
            raise

    def _settle_history(self, connection: Connection) -> bool:
        """Make sure that the database is the one in which claims were made, or forget what is known of them; whether it is."""
        connection.execute(_LOCK, (f"{self._session.database.schema} history",))
        now, before = rows(connection, self._session.sql(_HISTORY), ())[0]
        self._settled = connection
        if now == before:
            return True
        run, sql = connection.execute, self._session.sql
        run(sql("INSERT INTO {schema}.history VALUES (1, %s) ON CONFLICT (one) DO UPDATE SET told = excluded.told"), (now,))
        if before is None:
            return True
        run(sql("INSERT INTO {schema}.claims SELECT name, -1 FROM {schema}.partition ON CONFLICT (partition) DO UPDATE SET head = -1"))
        return False

    def known(self) -> set[str]:
        sql = self._session.sql("SELECT partition FROM {schema}.claims WHERE head IS NULL")
        with self._thread:
            return {told(name) for (name,) in self._session.ask("reading the claims", lambda connection: rows(connection, sql, ()))}

    def attend(self, claimant: str, targets: Collection[str]) -> set[str]:
        with self._thread:
            return set(self._roster.attend(claimant, targets))

    def leave(self, claimant: str) -> None:
        with self._thread:
            self._roster.leave(claimant)

    def disown(self, target: str, claimant: str) -> None:
        with self._thread, self._session.transaction("beginning to send") as connection:
            connection.execute(self._session.sql(_DISOWN), (kept(target), kept(claimant)))

    def sends(self, target: str, claimant: str) -> bool:
        values = (kept(target),)
        with self._thread:
            found = self._session.ask("reading the claims", lambda connection: rows(connection, self._session.sql(_SENDER), values))
        return _may(found[0] if found else None, claimant)

    def tell(self, target: str, trouble: str) -> None:
        with self._thread, self._session.transaction("telling of a system") as connection:
            connection.execute(self._session.sql(_TELL), (kept(target), kept(trouble)))

    # --- taking -----------------------------------------------------------------------------------------------------------

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        with self._thread:
            self._know_history()
            while True:
                chosen = self._session.ask(
                    "taking from the outbox", lambda connection: self._look(connection, target, claimant, limit, full)
                )
                if not chosen:
                    return []
                try:
                    with self._session.transaction("taking from the outbox") as connection:
                        taken = self._claim(connection, target, claimant, chosen, now)
                except BaseException:
                    self._claimed_through.clear()
                    raise
                if taken:  # else others have claimed all of it since the look
                    return taken

    def _know_history(self) -> None:
        """Raises `Fenced` where a new connection leads to a database that may have forgotten claims."""
        with in_state_words(self._session.database, "opening the claims"):
            if self._session.connection() is self._settled:
                return
        with self._session.transaction("opening the claims") as connection:
            known = self._settle_history(connection)
        if not known:
            raise Fenced(
                f"{self._session.database} was put back or has failed over: claims may be lost; end this dispatcher, and begin anew"
            )

    def _look(self, connection: Connection, target: str, claimant: str, limit: int, full: Set[str]) -> list[_Choice]:
        """What may be claimed, fairly chosen."""
        sql, name = self._session.sql, kept(target)
        with connection.pipeline():
            sender = connection.execute(sql(_SENDER), (name,))
            plants = connection.execute(sql(_PLANTS))
        row = sender.fetchone()
        _refuse_other(target, claimant, row)
        self._notice_released(target, row)
        stands = plants.fetchall()
        self._seen = sum(position for _, _, position, _ in stands)
        numbers = {number: plant for number, stored, _, known in stands if known and (plant := told(stored)) not in full}
        return self._unclaimed(connection, target, numbers, limit)

    def _notice_released(self, target: str, row: tuple[Any, ...] | None) -> None:
        """What is given back stands before what was claimed through."""
        version = row[1] if row else 0
        if self._released.get(target) != version:
            self._claimed_through = {key: added for key, added in self._claimed_through.items() if key[0] != target}
            self._released[target] = version

    def _unclaimed(self, connection: Connection, target: str, plants: Mapping[int, str], limit: int) -> list[_Choice]:
        """What became ready before the newest that was claimed here is claimed as well, so it is not looked at again."""
        if not plants:
            return []
        since = [self._claimed_through.get((target, number), 0) for number in plants]
        share = max(min(limit, MOST_ROWS // len(plants)), 1)
        values = (ints(list(plants)), bigints(since), kept(target), Int8(share))
        found: dict[int, list[_Choice]] = {}
        for number, position, ordinal, lane, added in rows(connection, self._session.sql(_UNCLAIMED), values):
            found.setdefault(number, []).append(_Choice(number, position, ordinal, plants[number], told(lane), added))
        chosen = fairly([iter(found.get(number, ())) for number in plants], limit, self._turn + 1)
        self._turn += bool(chosen)
        return chosen

    def _claim(self, connection: Connection, target: str, claimant: str, chosen: Sequence[_Choice], now: int) -> list[Ready]:
        """Claim of these what stands there unclaimed, in one order for all dispatchers, so that none waits in a circle."""
        sql = self._session.sql
        keys = _keys(sorted((each.number, each.position, each.ordinal) for each in chosen))
        with connection.pipeline():
            connection.execute(self._roster.holding, (texts([target]),))
            sender = connection.execute(sql(_SENDER + " FOR SHARE"), (kept(target),))
            connection.execute(sql(_SEE))
            claims = connection.execute(sql(_CLAIM), (kept(claimant), Int8(now), *keys), binary=True)
        _refuse_other(target, claimant, sender.fetchone())
        values = {(number, position, ordinal): value for number, position, ordinal, value in claims.fetchall()}
        for each in chosen:
            place = (target, each.number)
            self._claimed_through[place] = max(each.added, self._claimed_through.get(place, 0))
        return [
            self._ready(each.plant, (each.position, each.ordinal), target, each.lane, values[key], now)
            for each in chosen
            if (key := (each.number, each.position, each.ordinal)) in values
        ]

    # --- taking over --------------------------------------------------------------------------------------------------------

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        wanted = (texts(list(heads)), bigints(list(heads.values())))
        with self._thread, self._session.transaction("taking over claims") as connection:
            if self._settled is not connection:
                self._settle_history(connection)
            self._settle_unknown(connection, wanted)
            taken = TakenOver([], [])
            for (name,) in rows(connection, self._session.sql(_REACHED), wanted):
                self._take_over(connection, told(name), target, claimant, limit, taken)
            return taken

    def _take_over(self, connection: Connection, name: str, target: str, claimant: str, limit: int, taken: TakenOver) -> None:
        left = limit - len(taken.entries)
        found = rows(connection, self._session.sql(_ORPHANS), (kept(name), kept(target), kept(claimant), Int8(left + 1)))
        if len(found) <= left:
            taken.partitions.append(name)
        if not (mine := found[:left]):
            return
        connection.execute(self._session.sql(_TAKE_OVER), (kept(claimant), *_keys([each[:3] for each in mine])))
        for _, position, ordinal, lane, at, value in mine:
            taken.entries.append(self._ready(name, (position, ordinal), target, told(lane), value, at))

    def _settle_unknown(self, connection: Connection, heads: Sequence[object]) -> None:
        """Notice partitions of which nothing is known, and put in doubt what those have in their outbox that have caught up."""
        sql = self._session.sql
        connection.execute(sql(_NOTICE_UNKNOWN), heads)
        for name, head, number in rows(connection, sql(_CAUGHT_UP), ()):
            doubted = connection.execute(sql(_DOUBT), (number, head)).rowcount
            if doubted:
                emit(CLAIMS_UNKNOWN, plant=told(name), postings=doubted, claims=str(self._session.database))
            connection.execute(sql("UPDATE {schema}.claims SET head = NULL WHERE partition = %s"), (name,))

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        if not ids:
            return
        names = texts([each[0] for each in ids])
        values = (names, bigints([each[1] for each in ids]), ints([each[2] for each in ids]))
        with self._thread, self._session.transaction("releasing claims") as connection:
            connection.execute(self._session.sql(_RELEASE), values)
            self._seen = -1

    # --- waiting ----------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float) -> bool:
        """As agreed, by looking again and again, as it works behind every pooler. A commit is noticed within `LONGEST_PAUSE`."""
        return look_until(self._changed, timeout, SHORTEST_PAUSE, LONGEST_PAUSE)

    def _changed(self) -> bool:
        sql = self._session.sql("SELECT coalesce(sum(position), 0)::bigint FROM {schema}.partition")
        with self._thread:
            before = self._seen
            self._seen = self._session.ask("reading the outbox", lambda connection: rows(connection, sql, ()))[0][0]
            return self._seen != before

    def _ready(self, name: str, id: tuple[int, int], target: str, lane: str, value: bytes | None, claimed_at: int) -> Ready:
        if value is None:
            raise StateCorrupt(
                f"{self._session.database} is damaged: partition {name}: the outbox names posting {id[0]}.{id[1]}, which is not there; "
                "nothing was changed: stop all processes and restore it from a backup"
            )
        return Ready(name, *id, target, lane, encoding.posting(value).content, claimed_at)

    def close(self) -> None:
        with self._thread:
            self._session.close()


def _may(row: Sequence[Any] | None, claimant: str) -> bool:
    """Whether a sender's row lets this one send: nobody has begun, or it was this one."""
    return row is None or not row[2] or told(row[0]) == claimant


def _refuse_other(target: str, claimant: str, row: Sequence[Any] | None) -> None:
    """Raises `Fenced` where another one sends to the target."""
    if not _may(row, claimant):
        raise Fenced(f"another dispatcher has begun to send to {target}; end this one")


def _keys(found: Sequence[tuple[int, int, int]]) -> tuple[Ints, Bigints, Ints]:
    """The columns partition, position and ordinal."""
    return (
        ints([each[0] for each in found]),
        bigints([each[1] for each in found]),
        ints([each[2] for each in found]),
    )
