"""The store as a dispatcher sees it: claims, each durable before it is returned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from synchromesh.sqlite.database import connect, data_version, in_words, transaction
from synchromesh.sqlite.lock import WriterLock
from synchromesh.state import encoding
from synchromesh.state.agreement import Ready
from synchromesh.state.fairness import fairly
from synchromesh.state.sqlite.partitions import Partitions
from synchromesh.state.sqlite.schema import KINDS, check, open_existing
from synchromesh.state.sqlite.store import lock_of

SHORTEST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.004
CACHE_KIB: Final = 8_192

_UNCLAIMED: Final = (
    "SELECT partition, position, ordinal FROM outbox WHERE target = ? AND partition = ? AND claimed = 0 ORDER BY position, ordinal LIMIT ?"
)
_CONTENT: Final = (
    "SELECT o.target, o.lane, p.value, o.claimed FROM outbox AS o JOIN posting AS p USING (partition, position, ordinal) "
    "WHERE o.partition = ? AND o.position = ? AND o.ordinal = ?"
)


class SqliteOutbox:
    """`Outbox` on one file. `wait` may be called from a second thread, everything else from one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = open_existing(path, 256)
        self._seen = -1
        with in_words(path, KINDS, "opening the state"):
            self._lock = WriterLock(lock_of(path))
            self._connection = connect(path, cache_kib=CACHE_KIB)
            check(self._connection, path)
        self._partitions = Partitions(self._connection)

    def take(self, target: str, claimant: str, limit: int, now: int) -> list[Ready]:
        with in_words(self._path, KINDS, "claiming postings"):
            names = {number: name for name, number in self._partitions.all().items()}
            if not self._unclaimed(target, names, 1):
                return []
            with self._lock, transaction(self._connection):
                found = self._unclaimed(target, names, limit)
                self._connection.executemany(
                    "UPDATE outbox SET claimant = ?, claimed = ? WHERE partition = ? AND position = ? AND ordinal = ?",
                    [(claimant, now, *key) for key in found],
                )
            return [self._ready(names[number], number, position, ordinal) for number, position, ordinal in found]

    def _unclaimed(self, target: str, names: dict[int, str], limit: int) -> list[tuple[int, int, int]]:
        each = [iter(self._connection.execute(_UNCLAIMED, (target, number, limit)).fetchall()) for number in names]
        return fairly(each, limit)

    def _ready(self, name: str, number: int, position: int, ordinal: int) -> Ready:
        target, lane, value, claimed = self._connection.execute(_CONTENT, (number, position, ordinal)).fetchone()
        return Ready(name, position, ordinal, target, lane, encoding.posting(value).content, claimed)

    def orphans(self, target: str, claimant: str) -> list[Ready]:
        with in_words(self._path, KINDS, "claiming postings"), self._lock:
            names = {number: name for name, number in self._partitions.all().items()}
            with transaction(self._connection):
                found = self._connection.execute(
                    "UPDATE outbox SET claimant = ? WHERE target = ? AND claimed <> 0 AND claimant <> ? "
                    "RETURNING partition, position, ordinal",
                    (claimant, target, claimant),
                ).fetchall()
            return [self._ready(names[number], number, position, ordinal) for number, position, ordinal in sorted(found)]

    def release(self, ids: Sequence[tuple[str, int, int]]) -> None:
        with in_words(self._path, KINDS, "giving claims back"), self._lock, transaction(self._connection):
            self._connection.executemany(
                "UPDATE outbox SET claimant = '', claimed = 0 WHERE partition = ? AND position = ? AND ordinal = ?",
                [(self._partitions.number(name), position, ordinal) for name, position, ordinal in ids],
            )

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        pause = SHORTEST_PAUSE
        with in_words(self._path, KINDS, "reading the state"):
            while (version := data_version(self._waiting)) == self._seen:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(pause, left))
                pause = min(pause * 1.1, LONGEST_PAUSE)
        self._seen = version
        return True

    def close(self) -> None:
        self._waiting.close()
        self._connection.close()
        self._lock.close()
