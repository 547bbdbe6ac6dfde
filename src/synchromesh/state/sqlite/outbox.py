"""The outbox as a dispatcher sees it. Claims stand in a file of their own beside the store.

So dispatchers and the worker never wait for each other, and claims outlive a store that is rebuilt or restored: what was sent stays
known. For each partition the file also keeps the highest position at which claims were made or forgotten. A store that stands before it
is being restored, its outbox may name what was sent long ago, and nothing is taken from it until it has caught up.

A partition that the file does not know may have been sent from by claims that are lost, with the file or before it. Nothing is taken from
it until its state has caught up with the log, and what it then has in its outbox of messages from before is in doubt: it is asked about,
or where the business system cannot be asked, a person settles it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from synchromesh.log.polling import look_until
from synchromesh.observe.lines import emit
from synchromesh.observe.names import CLAIMS_UNKNOWN
from synchromesh.sqlite.database import connect, create, damaged, data_version, query, transaction
from synchromesh.sqlite.lock import WriterLock
from synchromesh.state import encoding
from synchromesh.state.agreement import Fenced, PostingId, Ready, StateCorrupt, TakenOver
from synchromesh.state.fairness import fairly
from synchromesh.state.sqlite.schema import KINDS, in_state_words, open_existing

APPLICATION: Final = 0x534D434C  # "SMCL": what `file` and SQLite's header say this is.
SCHEMA: Final = 4
CACHE_KIB: Final = 8 * 1024
SWEEP_AFTER: Final = 512
"""How many claims are made between two looks for claims whose posting has left the outbox."""
SHORTEST_PAUSE: Final = 0.000_5
LONGEST_PAUSE: Final = 0.005

_UNKNOWN: Final = """
CREATE TABLE unknown (partition TEXT PRIMARY KEY, head INTEGER NOT NULL) WITHOUT ROWID;
"""
"""Partitions of which it is not known what was claimed of the messages through `head`."""

_SENDER: Final = """
CREATE TABLE sender (target TEXT PRIMARY KEY, claimant TEXT NOT NULL) WITHOUT ROWID;
"""
"""Who sends to each business system: the one that began last."""

_TROUBLE: Final = f"""
CREATE TABLE trouble (target TEXT PRIMARY KEY, told TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""
"""Why a business system does not answer just now."""

_TABLES: Final = f"""
CREATE TABLE claim (
  partition TEXT NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL, target TEXT NOT NULL, claimant TEXT NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY (partition, position, ordinal)
) WITHOUT ROWID;
CREATE TABLE seen (partition TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
{_UNKNOWN}{_SENDER}{_TROUBLE}"""

_UNCLAIMED: Final = """
SELECT p.name, o.position, o.ordinal, o.lane, t.value, p.number, o.added
FROM state.partition p JOIN state.outbox o ON o.partition = p.number
LEFT JOIN state.posting t ON t.partition = o.partition AND t.position = o.position AND t.ordinal = o.ordinal
WHERE p.number = ? AND o.target = ? AND o.added >= ? AND NOT EXISTS (
  SELECT 1 FROM claim c WHERE c.partition = p.name AND c.position = o.position AND c.ordinal = o.ordinal)
ORDER BY o.added, o.position, o.ordinal
"""
_ORPHANS: Final = """
SELECT c.partition, c.position, c.ordinal, o.lane, t.value, c.at FROM claim c JOIN state.partition p ON p.name = c.partition
JOIN state.outbox o ON o.partition = p.number AND o.position = c.position AND o.ordinal = c.ordinal
LEFT JOIN state.posting t ON t.partition = o.partition AND t.position = o.position AND t.ordinal = o.ordinal
WHERE c.partition = ? AND o.target = ? AND c.claimant <> ? ORDER BY c.position, c.ordinal LIMIT ?
"""
_REACHED: Final = """
SELECT 1 FROM state.partition p WHERE p.name = ? AND p.position >= ?
AND NOT EXISTS (SELECT 1 FROM unknown u WHERE u.partition = p.name)
"""
_NOTICE_UNKNOWN: Final = """
INSERT OR IGNORE INTO unknown SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM seen WHERE partition = ?1)
"""
_CAUGHT_UP: Final = """
SELECT u.partition, u.head, p.number FROM unknown u JOIN state.partition p ON p.name = u.partition WHERE p.position >= u.head
"""
_DOUBT: Final = """
INSERT OR IGNORE INTO claim SELECT ?, o.position, o.ordinal, o.target, '', 0 FROM state.outbox o WHERE o.partition = ? AND o.position <= ?
"""
# Only a store that stands where it stood or later may say that a posting has left.
_SWEEP: Final = """
DELETE FROM claim WHERE NOT EXISTS (
  SELECT 1 FROM state.outbox o JOIN state.partition p ON p.number = o.partition
  WHERE p.name = claim.partition AND o.position = claim.position AND o.ordinal = claim.ordinal
) AND EXISTS (
  SELECT 1 FROM state.partition p LEFT JOIN seen s ON s.partition = p.name
  WHERE p.name = claim.partition AND p.position >= coalesce(s.position, 0))
"""
_SEE: Final = """
INSERT INTO seen SELECT name, position FROM state.partition WHERE true
ON CONFLICT (partition) DO UPDATE SET position = excluded.position WHERE excluded.position > seen.position
"""
_READY: Final = """
SELECT p.number, p.name FROM state.partition p LEFT JOIN seen s ON s.partition = p.name
WHERE p.position >= coalesce(s.position, 0) AND NOT EXISTS (SELECT 1 FROM unknown u WHERE u.partition = p.name) ORDER BY p.number
"""
_KNOWN: Final = "SELECT partition FROM seen EXCEPT SELECT partition FROM unknown"
_FENCED: Final = "SELECT 1 FROM sender WHERE target = ? AND claimant <> ?"
_ANY: Final = "SELECT EXISTS (SELECT 1 FROM state.outbox WHERE target = ?)"


def claims_of(path: Path) -> Path:
    """The file of the claims beside a store's file."""
    return path.with_suffix(".claims")


class SqliteOutbox:
    """Safe for threads, and for dispatchers in many processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._claims = claims_of(path)
        self._thread = threading.RLock()
        # Whoever claims needs a store; only its writer makes one.
        open_existing(path, 256).close()
        with _in_claims_words(self._claims, "opening the claims"):
            self._lock = WriterLock(path.with_suffix(".claims-lock"))
            with self._lock:
                if not self._claims.exists():
                    create(self._claims, _build)
                self._connection = connect(self._claims, cache_kib=1024)
                _upgrade(self._connection, self._claims)
            self._connection.execute("ATTACH ? AS state", (f"{path.absolute().as_uri()}?mode=ro",))
            self._connection.execute(f"PRAGMA state.cache_size = -{CACHE_KIB}")
        self._begun = False
        """Whether this outbox has attended: the first time it takes over from whoever was there."""
        self._known = False
        """Whether this outbox has looked for partitions of which nothing is known."""
        self._claimed_through: dict[tuple[str, int], int] = {}
        self._turn = 0
        self._version = -1
        self._unswept = SWEEP_AFTER
        self._seen = -1

    def known(self) -> set[str]:
        with _in_claims_words(self._claims, "reading the claims"), self._thread:
            return {name for (name,) in query(self._connection, _KNOWN)}

    def attend(self, claimant: str, targets: Collection[str]) -> set[str]:
        with in_state_words(self._path, "beginning to send"), self._thread:
            sending = self._sending(claimant)
            if not self._begun or not sending.issuperset(targets):
                with self._lock, transaction(self._connection):
                    how = "INSERT OR IGNORE" if self._begun else "INSERT OR REPLACE"
                    self._connection.executemany(f"{how} INTO sender VALUES (?, ?)", [(target, claimant) for target in targets])
                self._begun = True
                if lost := set(targets) - self._sending(claimant):
                    raise Fenced(f"another dispatcher sends to {', '.join(sorted(lost))} now; stop this one")
            return set(targets)

    def _sending(self, claimant: str) -> set[str]:
        return {target for (target,) in query(self._connection, "SELECT target FROM sender WHERE claimant = ?", (claimant,))}

    def leave(self, claimant: str) -> None:
        with in_state_words(self._path, "ending to send"), self._thread, self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM sender WHERE claimant = ?", (claimant,))

    def disown(self, target: str, claimant: str) -> None:
        with in_state_words(self._path, "beginning to send"), self._thread, self._lock, transaction(self._connection):
            self._connection.execute("UPDATE claim SET claimant = '' WHERE target = ? AND claimant = ?", (target, claimant))

    def tell(self, target: str, trouble: str) -> None:
        with in_state_words(self._path, "telling of a system"), self._thread, self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM trouble WHERE target = ?", (target,))
            if trouble:
                self._connection.execute("INSERT INTO trouble VALUES (?, ?)", (target, trouble))

    def sends(self, target: str, claimant: str) -> bool:
        with _in_claims_words(self._claims, "reading the claims"), self._thread:
            return self._connection.execute(_FENCED, (target, claimant)).fetchone() is None

    def take(self, target: str, claimant: str, limit: int, now: int, full: Set[str] = frozenset()) -> list[Ready]:
        with in_state_words(self._path, "taking from the outbox"), self._thread:
            self._seen = data_version(self._connection, "state")
            if not query(self._connection, _ANY, (target,))[0][0]:
                return []
            # The look at the outbox is part of the transaction: what another dispatcher has claimed and finished is gone from both.
            with self._lock:
                try:
                    with transaction(self._connection):
                        return self._claim(target, claimant, limit, now, full)
                except BaseException:
                    self._claimed_through.clear()
                    raise

    def _claim(self, target: str, claimant: str, limit: int, now: int, full: Set[str]) -> list[Ready]:
        if self._connection.execute(_FENCED, (target, claimant)).fetchone():
            raise Fenced(f"another dispatcher has begun to send to {target}; end this one")
        self._notice_others()
        numbers = [number for number, name in query(self._connection, _READY) if name not in full]
        rows = fairly([self._unclaimed(number, target) for number in numbers], limit, self._turn + 1)
        if not rows:
            return []
        self._turn += 1
        claims = [(name, position, ordinal, target, claimant, now) for name, position, ordinal, *_ in rows]
        self._connection.executemany("INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?)", claims)
        self._claimed_through |= {(target, number): added for *_, number, added in rows}
        self._unswept += len(rows)
        if self._unswept >= SWEEP_AFTER:
            self._connection.execute(_SWEEP)
            self._unswept = 0
        self._connection.execute(_SEE)
        return [self._ready(name, (position, ordinal), target, lane, value, now) for name, position, ordinal, lane, value, *_ in rows]

    def _unclaimed(self, number: int, target: str) -> Iterator[tuple[str, int, int, str, bytes | None, int, int]]:
        """One partition's unclaimed postings, fetched as far as they are asked for. What became ready before the newest that was claimed
        here is claimed as well, so it is not looked at again."""
        return iter(self._connection.execute(_UNCLAIMED, (number, target, self._claimed_through.get((target, number), 0))))

    def _notice_others(self) -> None:
        """Another dispatcher may have released what it had claimed."""
        version = data_version(self._connection)
        if version != self._version:
            self._claimed_through.clear()
            self._version = version

    def take_over(self, target: str, claimant: str, heads: Mapping[str, int], limit: int) -> TakenOver:
        with in_state_words(self._path, "taking over claims"), self._thread:
            stands = dict(query(self._connection, "SELECT name, position FROM state.partition"))
            if self._known and all(stands.get(name, 0) < head for name, head in heads.items()):
                return TakenOver([], [])
            with self._lock, transaction(self._connection):
                self._settle_unknown(heads)
                taken = TakenOver([], [])
                for name in sorted(heads):
                    if query(self._connection, _REACHED, (name, heads[name])):
                        self._take_over(name, target, claimant, limit, taken)
            self._known = True
            return taken

    def _take_over(self, name: str, target: str, claimant: str, limit: int, taken: TakenOver) -> None:
        left = limit - len(taken.entries)
        rows = query(self._connection, _ORPHANS, (name, target, claimant, left + 1))
        if len(rows) <= left:
            taken.partitions.append(name)
        for _, position, ordinal, lane, value, at in rows[:left]:
            self._connection.execute(
                "UPDATE claim SET claimant = ? WHERE partition = ? AND position = ? AND ordinal = ?", (claimant, name, position, ordinal)
            )
            taken.entries.append(self._ready(name, (position, ordinal), target, lane, value, at))

    def _settle_unknown(self, heads: Mapping[str, int]) -> None:
        """Notice partitions of which nothing is known, and put in doubt what those have in their outbox that have caught up."""
        run = self._connection.execute
        self._connection.executemany(_NOTICE_UNKNOWN, heads.items())
        for name, head, number in query(self._connection, _CAUGHT_UP):
            run(_DOUBT, (name, number, head))
            if doubted := self._connection.changes():
                emit(CLAIMS_UNKNOWN, plant=name, postings=doubted, claims=str(self._claims))
            run("DELETE FROM unknown WHERE partition = ?", (name,))
            run("INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, head))

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        with in_state_words(self._path, "releasing claims"), self._thread, self._lock, transaction(self._connection):
            self._connection.executemany("DELETE FROM claim WHERE partition = ? AND position = ? AND ordinal = ?", ids)
            self._claimed_through.clear()
            self._seen = -1

    def wait(self, timeout: float) -> bool:
        """As agreed. A commit of the worker is noticed within `LONGEST_PAUSE`."""
        return look_until(self._changed, timeout, SHORTEST_PAUSE, LONGEST_PAUSE)

    def _changed(self) -> bool:
        with in_state_words(self._path, "reading the outbox"), self._thread:
            before, self._seen = self._seen, data_version(self._connection, "state")
            return self._seen != before

    def _ready(self, name: str, id: PostingId, target: str, lane: str, value: bytes | None, claimed_at: int) -> Ready:
        if value is None:
            raise damaged(self._path, KINDS, f"partition {name}: the outbox names posting {id[0]}.{id[1]}, which is not there")
        return Ready(name, *id, target, lane, encoding.posting(value).content, claimed_at)

    def close(self) -> None:
        with self._thread:
            self._connection.close()
            self._lock.close()


@contextmanager
def _in_claims_words(path: Path, doing: str) -> Iterator[None]:
    """As `in_state_words`, for a file that nobody should take from a backup: an older one has forgotten what was sent since."""
    try:
        with in_state_words(path, doing):
            yield
    except StateCorrupt as error:
        if error.__cause__ is None:  # it is told in our own words
            raise
        raise _damaged(path, f"{doing}: {error.__cause__}") from error


def _damaged(path: Path, what: str) -> StateCorrupt:
    return StateCorrupt(
        f"{path} is damaged ({what}); nothing was changed: stop all processes and move the file away; after the next start "
        "the business systems are asked about everything that may have been sent"
    )


def _build(path: Path) -> None:
    connection = apsw.Connection(str(path))
    try:
        query(connection, _TABLES)
    finally:
        connection.close()


def _upgrade(connection: apsw.Connection, path: Path) -> None:
    """Bring the file of an earlier program up to date; refuse one that is not ours, or of a newer program."""
    application = query(connection, "PRAGMA application_id")[0][0]
    schema = query(connection, "PRAGMA user_version")[0][0]
    if application != APPLICATION:
        raise _damaged(path, "it is a database, but not the claims of Synchromesh")
    if 1 <= schema < SCHEMA:
        missing = "".join((_UNKNOWN, _SENDER, _TROUBLE)[schema - 1 :])
        query(connection, f"BEGIN IMMEDIATE; {missing} COMMIT;")
    elif schema != SCHEMA:
        raise StateCorrupt(
            f"{path} has schema {schema} and this program knows schema {SCHEMA}; use the program that wrote it, or a newer one"
        )
