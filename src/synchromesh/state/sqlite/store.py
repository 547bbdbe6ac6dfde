"""The store as its one writer sees it, in one SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw
import msgspec

from synchromesh.model.message import Message
from synchromesh.sqlite.database import connect, publish, query, transaction
from synchromesh.sqlite.lock import WriterLock
from synchromesh.state import encoding
from synchromesh.state.agreement import (
    Changes,
    Fenced,
    StateError,
)
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.sqlite.identities import Identities, all_entries
from synchromesh.state.sqlite.loads import SqliteLoads
from synchromesh.state.sqlite.partitions import Partitions
from synchromesh.state.sqlite.rows import at, position_of
from synchromesh.state.sqlite.schema import in_state_words, prepare

CACHE_KIB: Final = 32_768
CHECKPOINT_PAGES: Final = 8_000
"""Pages in the write-ahead log before they are written back: larger writes pages of hot entities fewer times."""


# A row that is there is changed where it stands: replacing would delete and insert it.
_PUT_ENTITY: Final = "INSERT INTO entity VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_PUT_POSTING: Final = "INSERT INTO posting VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_FORWARDS: Final = """
SELECT p.name, f.value FROM forward AS f JOIN partition AS p ON p.number = f.partition
WHERE p.name IN (SELECT value FROM json_each(?)) ORDER BY f.sequence LIMIT ?
"""
_TAKE: Final = "INSERT INTO lease VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET epoch = epoch + 1, owner = excluded.owner"
_INSERT_OUTBOX: Final = (
    "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET target = excluded.target, lane = excluded.lane"
)


def lock_of(path: Path) -> Path:
    """The writers' lock beside a store's file."""
    return path.with_suffix(".lock")


class SqliteState(SqliteLoads):
    """`State` on one file. Used by one thread at a time; other processes claim and read beside it."""

    def __init__(self, path: Path, segment_positions: int = SEGMENT_POSITIONS) -> None:
        self._path = path
        with in_state_words(path, "opening the state"):
            self._lock = WriterLock(lock_of(path))
            prepare(path, self._lock)
            self._connection = connect(path, cache_kib=CACHE_KIB)
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._partitions = Partitions(self._connection)
        self._identities = Identities(self._connection, segment_positions)
        self._waiting = ThreadPoolExecutor(1, "commit")
        self._begun = False
        """Whether this writer has attended: the first time it takes over from whoever was there."""

    def attend(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        with in_state_words(self._path, "taking the lease"):
            held = self._held()
            if self._begun and all(held.get(name, ("", 0))[0] == owner for name in partitions):
                return {name: held[name][1] for name in partitions}
            with self._lock, transaction(self._connection):
                taken = self._taken(owner, partitions)
            self._begun = True
            return taken

    def _held(self) -> dict[str, tuple[str, int]]:
        return {name: (owner, epoch) for name, owner, epoch in query(self._connection, "SELECT name, owner, epoch FROM lease")}

    def _taken(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        held = self._held()
        if self._begun:
            for name in partitions:
                if (other := held.get(name, ("", 0))[0]) not in ("", owner):
                    raise Fenced(f"{other} has taken over {name}; stop this worker")
        wanted = [name for name in partitions if not self._begun or held.get(name, ("", 0))[0] != owner]
        self._connection.executemany(_TAKE, [(name, owner) for name in wanted])
        return {name: epoch for name, (_, epoch) in self._held().items() if name in partitions}

    def leave(self, owner: str) -> None:
        with in_state_words(self._path, "giving the lease back"), self._lock, transaction(self._connection):
            self._connection.execute("UPDATE lease SET owner = '', epoch = epoch + 1 WHERE owner = ?", (owner,))

    def origin(self, log: str) -> str:
        with in_state_words(self._path, "reading the state"), self._lock, transaction(self._connection):
            if log:
                self._connection.execute("INSERT OR IGNORE INTO origin VALUES (1, ?)", (log,))
            found = query(self._connection, "SELECT log FROM origin")
            return str(found[0][0]) if found else ""

    def rebind(self, log: str) -> None:
        with in_state_words(self._path, "binding the state to its log"), self._lock, transaction(self._connection):
            self._connection.execute("INSERT INTO origin VALUES (1, ?) ON CONFLICT DO UPDATE SET log = excluded.log", (log,))

    def positions(self) -> dict[str, int]:
        with in_state_words(self._path, "reading the state"):
            return dict(query(self._connection, "SELECT name, position FROM partition"))

    def forwards(self, partitions: Collection[str], limit: int) -> list[tuple[str, Message]]:
        with in_state_words(self._path, "reading the state"):
            names = msgspec.json.encode(list(partitions)).decode()
            return [(name, encoding.message(value)) for name, value in query(self._connection, _FORWARDS, (names, limit))]

    # --- writing ----------------------------------------------------------------------------------------------------------

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        self._commit(epochs, batch)

    def commit_meanwhile(self, epochs: Mapping[str, int], batch: Sequence[Changes], meanwhile: Callable[[], None]) -> None:
        def commit() -> None:
            durable = self._waiting.submit(self._connection.execute, "COMMIT")
            try:
                meanwhile()
            finally:
                durable.result()

        self._commit(epochs, batch, commit)

    def _commit(self, epochs: Mapping[str, int], batch: Sequence[Changes], commit: Callable[[], None] | None = None) -> None:
        with in_state_words(self._path, "committing to the state"), self._lock:
            try:
                with transaction(self._connection, commit=commit):
                    self._check(epochs, batch)
                    for changes in batch:
                        self._write(self._partitions.made(changes.partition), changes)
            except BaseException:
                self._partitions.forget()
                self._identities.forget()
                raise

    def _check(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        held = self._held()
        for changes in batch:
            owner, epoch = held.get(changes.partition, ("", 0))
            if epochs.get(changes.partition) != epoch:
                raise Fenced(f"the epoch for {changes.partition} is over: {owner or 'nobody'} has taken over; stop this worker")

    def _write(self, number: int, changes: Changes) -> None:
        run, many = self._connection.execute, self._connection.executemany
        run("UPDATE partition SET position = ?, now = ? WHERE number = ?", (changes.position, changes.now, number))
        # Each row is made when it is written: none of them waits in memory for the others.
        entities = changes.entities.items()
        many(_PUT_ENTITY, ((number, kind, name, value) for (kind, name), value in entities if value is not None))
        many(
            "DELETE FROM entity WHERE partition = ? AND kind = ? AND name = ?", [(number, *key) for key, value in entities if value is None]
        )
        encode, facts, postings = encoding.encode, changes.facts, changes.postings
        first = at(number, 0)
        many("INSERT OR REPLACE INTO fact VALUES (?, ?)", ((first | position, encode(facts[position])) for position in sorted(facts)))
        many(_PUT_POSTING, ((number, key[0], key[1], encode(postings[key])) for key in sorted(postings)))
        self._identities.write(number, changes)
        self._write_outgoing(number, changes)

    def _write_outgoing(self, number: int, changes: Changes) -> None:
        run, many = self._connection.execute, self._connection.executemany
        removed = ((number, position, ordinal) for position, ordinal in sorted(changes.outbox_removed))
        many("DELETE FROM outbox WHERE partition = ? AND position = ? AND ordinal = ?", removed)
        position, outgoing = changes.position, changes.outbox_added
        added = ((number, key[0], key[1], *outgoing[key], position) for key in sorted(outgoing))
        many(_INSERT_OUTBOX, added)
        documents = changes.documents
        many("INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)", ((number, name, *documents[name]) for name in sorted(documents)))
        many(
            "INSERT OR REPLACE INTO exception VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, *key, row.state, row.opened, encoding.encode(row), row.category, row.subject, row.order, row.facts)
                for key, row in changes.exceptions.items()
            ],
        )
        if changes.forwarded:
            oldest = "SELECT sequence FROM forward WHERE partition = ? ORDER BY sequence LIMIT ?"
            run(f"DELETE FROM forward WHERE sequence IN ({oldest})", (number, changes.forwarded))  # noqa: S608 - constant
            if (gone := self._connection.changes()) != changes.forwarded:
                raise StateError(f"{self._path}: {changes.forwarded} forwards can't be forgotten, only {gone} are pending")
        many("INSERT INTO forward (partition, value) VALUES (?, ?)", [(number, encoding.encode(each)) for each in changes.forwards])

    # --- comparing --------------------------------------------------------------------------------------------------------

    def rows(self, partition: str) -> Iterator[encoding.Row]:
        with in_state_words(self._path, "reading the state"):
            number = self._partitions.number(partition)
            found = query(self._connection, "SELECT position, now FROM partition WHERE number = ?", (number,))
            if not found or not found[0][0]:
                return
            yield encoding.position_row(*found[0])
            yield from self._rows(number)

    def _rows(self, number: int) -> Iterator[encoding.Row]:
        run = self._connection.execute
        for kind, name, value in run("SELECT kind, name, value FROM entity WHERE partition = ? ORDER BY kind, name", (number,)):
            yield encoding.entity_row((kind, name), value)
        for row, value in run("SELECT at, value FROM fact WHERE at >= ? AND at < ? ORDER BY at", (at(number, 0), at(number + 1, 0))):
            yield encoding.fact_row(position_of(row), value)
        keyed = "FROM {} WHERE partition = ? ORDER BY position, ordinal"
        for position, ordinal, value in run("SELECT position, ordinal, value " + keyed.format("posting"), (number,)):
            yield encoding.posting_row((position, ordinal), value)
        for position, ordinal, target, lane in run("SELECT position, ordinal, target, lane " + keyed.format("outbox"), (number,)):
            yield encoding.outbox_row((position, ordinal), target, lane)
        for name, position, ordinal in run("SELECT number, position, ordinal FROM document WHERE partition = ? ORDER BY number", (number,)):
            yield encoding.document_row(name, (position, ordinal))
        for position, ordinal, value in run("SELECT position, ordinal, value " + keyed.format("exception"), (number,)):
            yield encoding.exception_row((position, ordinal), value)
        forwards = run("SELECT value FROM forward WHERE partition = ? ORDER BY sequence", (number,))
        for index, (value,) in enumerate(forwards):
            yield encoding.forward_row(index, value)
        for position, identity in all_entries(self._connection, number):
            yield encoding.identity_row(identity, position)

    def snapshot(self, path: Path) -> None:
        """Copy the store as it is at one committed moment, while others go on; the copy opens like the store. It is there complete and
        durable, or not at all. Claims are not part of it: what was sent since must stay known when it is put back."""
        provisional = path.with_name(path.name + ".new")
        with in_state_words(path, "copying the state"):
            provisional.unlink(missing_ok=True)
            source = connect(self._path, cache_kib=1024, read_only=True)
            try:
                target = apsw.Connection(str(provisional))
                try:
                    with target.backup("main", source, "main") as copying:
                        copying.step()
                finally:
                    target.close()
            finally:
                source.close()
            publish(provisional, path)

    def frozen(self, folder: Path) -> SqliteState:
        """As agreed: a copy, since a reader that stays holds up the write-ahead log."""
        copy = folder / "kept.db"
        self.snapshot(copy)
        return SqliteState(copy)

    def close(self) -> None:
        self._waiting.shutdown()
        self._connection.close()
        self._lock.close()
