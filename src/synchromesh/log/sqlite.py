"""The log in one SQLite file, for one machine: several processes append, durable when `append` returns.

A message is one row; its row number is (partition number, position), so partitions stay in order within the table and need no index.
Writers queue at a file lock beside the file and write one transaction per list; readers see committed transactions only, so positions
become visible in order.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from synchromesh.log.agreement import LogCorrupt, LogError, LogFull, Place, Trimmed, Version, known_only
from synchromesh.log.archive import ARCHIVE, Segment, discard_unfinished, write_segment
from synchromesh.log.encoding import decode, encode
from synchromesh.log.fairness import shares
from synchromesh.log.polling import look_until
from synchromesh.model.message import Message, Record
from synchromesh.sqlite.database import Kinds, connect, create, damaged, data_version, in_words, query, transaction
from synchromesh.sqlite.lock import WriterLock

KINDS: Final = Kinds(LogError, LogFull, LogCorrupt)
APPLICATION: Final = 0x534D4C47  # "SMLG": what `file` and SQLite's header say this is.
SCHEMA: Final = 2
FILE: Final = "log.db"
POSITION_BITS: Final = 40
READ_BYTES: Final = 1_500_000
"""How many bytes of messages one `read` returns at most, apart from the first message of each partition."""
SEGMENT_MESSAGES: Final = 20_000
"""How many messages one archived segment holds at most; appenders wait while one is deleted."""
CACHE_KIB: Final = 4 * 1024
SHORTEST_PAUSE: Final = 0.000_5
LONGEST_PAUSE: Final = 0.005

_ID: Final = """
CREATE TABLE log (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
INSERT INTO log VALUES (1, lower(hex(randomblob(8))));
PRAGMA user_version = 2;
"""

_TABLES: Final = f"""
CREATE TABLE partition (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL DEFAULT 0, chain TEXT NOT NULL DEFAULT ''
);
CREATE TABLE message (at INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
PRAGMA application_id = {APPLICATION};
{_ID}"""


class _Partition(msgspec.Struct):
    """What a connection knows of a partition: its number, its last position and through where it is in the archive."""

    number: int
    head: int
    trimmed: int

    def at(self, position: int) -> int:
        """The row number of a position."""
        return self.number << POSITION_BITS | position


class _View:
    """A connection and the partitions as it last saw them, renewed when another connection has committed."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.connection = connect(path, cache_kib=CACHE_KIB, read_only=read_only)
        self.partitions: dict[str, _Partition] = {}
        self._version = -1

    def refresh(self) -> None:
        """Bring `partitions` up to date with the transaction the connection is in, or with the last commit."""
        version = data_version(self.connection)
        if version == self._version:
            return
        self.partitions = {
            name: _Partition(number, self._last(number) or trimmed, trimmed)
            for number, name, trimmed in query(self.connection, "SELECT number, name, trimmed FROM partition")
        }
        self._version = version

    def forget(self) -> None:
        """What was learned in a transaction that failed is not true."""
        self._version = -1

    def _last(self, number: int) -> int:
        first = number << POSITION_BITS
        last: int | None = query(
            self.connection, "SELECT max(at) FROM message WHERE at BETWEEN ? AND ?", (first, first | (1 << POSITION_BITS) - 1)
        )[0][0]
        return 0 if last is None else last - first


class SqliteLog:
    """The log of one file. Safe for threads and processes; not for use across a fork."""

    def __init__(self, path: Path, archive: Path | None = None) -> None:
        self._path = path
        self._archive = archive or path.parent / ARCHIVE
        self._pool = threading.Lock()
        self._idle: list[_View] = []
        self._closed = False
        with in_words(path, KINDS, "opening the log"):
            self._lock = WriterLock(path.with_suffix(".lock"))
            self._trimming = WriterLock(path.with_suffix(".trim-lock"))
            with self._lock:
                if not path.exists():
                    create(path, _build)
            self._writer = _View(path, read_only=False)
            with self._lock:
                _upgrade(self._writer.connection)
        _check_schema(self._writer.connection, path)

    def append(self, messages: Sequence[Message]) -> list[int]:
        bodies = [encode(message) for message in messages]
        with in_words(self._path, KINDS, "appending to the log"), self._lock:
            try:
                with transaction(self._writer.connection):
                    return self._insert(messages, bodies)
            except BaseException:
                self._writer.forget()
                raise

    def _insert(self, messages: Sequence[Message], bodies: Sequence[bytes]) -> list[int]:
        self._writer.refresh()
        partitions = self._writer.partitions
        rows: list[tuple[int, int, bytes]] = []
        positions: list[int] = []
        for message, body in zip(messages, bodies, strict=True):
            partition = partitions.get(message.partition) or self._add_partition(message.partition)
            partition.head += 1
            positions.append(partition.head)
            rows.append((partition.at(partition.head), zlib.crc32(body), body))
        self._writer.connection.executemany("INSERT INTO message VALUES (?, ?, ?)", rows)
        return positions

    def _add_partition(self, name: str) -> _Partition:
        made = query(self._writer.connection, "INSERT INTO partition (name) VALUES (?) RETURNING number", (name,))
        partition = self._writer.partitions[name] = _Partition(made[0][0], 0, 0)
        return partition

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        with in_words(self._path, KINDS, "reading the log"), self._view() as view, transaction(view.connection, "BEGIN"):
            view.refresh()
            known = {partition: position for partition, position in after.items() if partition in view.partitions}
            for partition, position in known.items():
                _check_kept(partition, position, view.partitions[partition].trimmed)
            counts = {partition: view.partitions[partition].head - position for partition, position in known.items()}
            wanted = {partition: share for partition, share in shares(counts, limit).items() if share}
            return {partition: self._records(view, partition, known[partition], share, len(wanted)) for partition, share in wanted.items()}

    def _records(self, view: _View, partition: str, after: int, count: int, readers: int) -> list[Record]:
        at = view.partitions[partition].at
        room = READ_BYTES // readers
        records: list[Record] = []
        rows = view.connection.execute(
            "SELECT at, crc, body FROM message WHERE at > ? AND at <= ? ORDER BY at", (at(after), at(after + count))
        )
        for position, (row, crc, body) in enumerate(rows, after + 1):
            room -= len(body)
            if room < 0 and records:
                return records
            if row != at(position):
                break
            records.append(Record(position, self._decoded(partition, position, crc, body)))
        if len(records) < count:
            raise damaged(self._path, KINDS, f"partition {partition} has no message at position {after + len(records) + 1}")
        return records

    def _decoded(self, partition: str, position: int, crc: int, body: bytes) -> Message:
        try:
            if zlib.crc32(body) == crc:
                return decode(body)
        except msgspec.DecodeError as error:
            raise damaged(self._path, KINDS, f"partition {partition}, position {position}: {error}") from error
        raise damaged(self._path, KINDS, f"partition {partition}, position {position}: the checksum differs")

    def head(self) -> dict[str, int]:
        with in_words(self._path, KINDS, "reading the log"), self._view() as view, transaction(view.connection, "BEGIN"):
            view.refresh()
            return {name: partition.head for name, partition in view.partitions.items()}

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        """As agreed. Commits of any process are noticed within `LONGEST_PAUSE`."""
        with in_words(self._path, KINDS, "reading the log"), self._view() as view:
            return look_until(lambda: self._has_news(view, after), timeout, SHORTEST_PAUSE, LONGEST_PAUSE)

    @staticmethod
    def _has_news(view: _View, after: Mapping[str, int]) -> bool:
        view.refresh()
        partitions = view.partitions
        return any(name in partitions and partitions[name].head > position for name, position in after.items())

    def trim(self, partition: str, through: int) -> None:
        """As agreed, segment by segment: after a crash what was archived is forgotten and what was not is still in the log."""
        with in_words(self._path, KINDS, "trimming the log"), self._trimming, self._view() as view:
            view.refresh()
            known = view.partitions.get(partition)
            head = known.head if known else 0
            if through > head:
                raise LogError(f"partition {partition} ends at {head}: it can't be trimmed through {through}")
            if known is None:
                return
            discard_unfinished(self._archive, partition, known.trimmed)
            first = known.trimmed + 1
            while first <= through:
                last = min(first + SEGMENT_MESSAGES - 1, through)
                self._archive_segment(view, partition, first, last)
                first = last + 1

    def resume(self, partition: str, after: int, chain: str) -> None:
        with in_words(self._path, KINDS, "moving a partition here"), self._lock, transaction(self._writer.connection):
            self._writer.refresh()
            known = self._writer.partitions.get(partition)
            if known is not None and known.head:
                raise LogError(f"{self._path}: partition {partition} has messages through {known.head}: it can't begin behind {after}")
            self._writer.forget()
            self._writer.connection.execute(
                "INSERT INTO partition (name, trimmed, chain) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET trimmed = excluded.trimmed, chain = excluded.chain",
                (partition, after, chain),
            )

    def trimmed(self, partition: str) -> int:
        """Through where a partition is no longer in this file."""
        with in_words(self._path, KINDS, "reading the log"), self._view() as view:
            view.refresh()
            known = view.partitions.get(partition)
        return known.trimmed if known is not None else 0

    def id(self) -> str:
        with in_words(self._path, KINDS, "reading the log"), self._view() as view:
            return str(query(view.connection, "SELECT id FROM log")[0][0])

    def chain(self, partition: str) -> str:
        with in_words(self._path, KINDS, "reading the log"), self._view() as view:
            found = query(view.connection, "SELECT chain FROM partition WHERE name = ?", (partition,))
        return str(found[0][0]) if found else ""

    def _archive_segment(self, view: _View, partition: str, first: int, last: int) -> None:
        ((previous,),) = query(view.connection, "SELECT chain FROM partition WHERE name = ?", (partition,))
        at = view.partitions[partition].at
        digest = write_segment(self._archive, Segment(partition, first, last, previous), self._bodies(view, partition, first, last))
        with self._lock, transaction(self._writer.connection):
            self._writer.forget()
            self._writer.connection.execute("DELETE FROM message WHERE at BETWEEN ? AND ?", (at(first), at(last)))
            self._writer.connection.execute("UPDATE partition SET trimmed = ?, chain = ? WHERE name = ?", (last, digest, partition))

    def _bodies(self, view: _View, partition: str, first: int, last: int) -> Iterator[bytes]:
        at = view.partitions[partition].at
        rows = view.connection.execute("SELECT at, crc, body FROM message WHERE at BETWEEN ? AND ? ORDER BY at", (at(first), at(last)))
        expected = first
        for row, crc, body in rows:
            if row != at(expected):
                break
            self._decoded(partition, expected, crc, body)
            expected += 1
            yield body
        if expected <= last:
            raise damaged(self._path, KINDS, f"partition {partition} has no message at position {expected}")

    @contextmanager
    def _view(self) -> Iterator[_View]:
        """A reading connection for one thread's use; as many exist as were ever needed at a time."""
        with self._pool:
            view = self._idle.pop() if self._idle else _View(self._path, read_only=True)
        try:
            yield view
        finally:
            with self._pool:
                if self._closed:
                    view.connection.close()
                else:
                    self._idle.append(view)

    def close(self) -> None:
        with self._pool:
            if self._closed:
                return
            self._closed = True
            for view in self._idle:
                view.connection.close()
            self._idle.clear()
        with self._lock:
            self._writer.connection.close()
        self._lock.close()
        self._trimming.close()


def _build(path: Path) -> None:
    connection = apsw.Connection(str(path))
    try:
        query(connection, _TABLES)
    finally:
        connection.close()


def _upgrade(connection: apsw.Connection) -> None:
    """Bring a log of an earlier program up to date: it had no id."""
    application = query(connection, "PRAGMA application_id")[0][0]
    if application == APPLICATION and query(connection, "PRAGMA user_version")[0][0] == 1:
        with transaction(connection):
            query(connection, _ID)


def _check_schema(connection: apsw.Connection, path: Path, oldest: int = SCHEMA) -> int:
    """The log's schema. Refuses a file that is none, and one that this program can't use, or migrate from `oldest` on."""
    with in_words(path, KINDS, "opening the log"):
        application = query(connection, "PRAGMA application_id")[0][0]
        schema = query(connection, "PRAGMA user_version")[0][0]
    if application != APPLICATION:
        raise damaged(path, KINDS, "it is a database, but not a log of Synchromesh")
    if not oldest <= schema <= SCHEMA:
        raise LogError(f"{path} has schema {schema} and this program knows schema {SCHEMA}; use the program that wrote it, or a newer one")
    return int(schema)


def _check_kept(partition: str, after: int, trimmed: int) -> None:
    if after < trimmed:
        raise Trimmed(f"partition {partition}: positions through {trimmed} are in the archive; {after + 1} was asked for")


def open_log(place: Place) -> SqliteLog:
    """The log in the file `log.db` of the place's folder, made if it is missing; beside it are its locks.

    Raises `LogCorrupt` for a damaged or foreign file, `LogError` when the folder is missing or can't be written, `ValueError` for settings
    that it does not know.
    """
    known_only(place)
    return SqliteLog(place.folder / FILE, place.archive)


def version_of(place: Place) -> Version:
    """Of which version the log's file is; nothing is changed. Raises as `open_log` does."""
    known_only(place)
    path = place.folder / FILE
    if not path.exists():
        return Version(str(path), "", str(SCHEMA), due=True)
    with in_words(path, KINDS, "opening the log"):
        connection = connect(path, cache_kib=CACHE_KIB, read_only=True)
    try:
        schema = _check_schema(connection, path, oldest=1)
    finally:
        connection.close()
    return Version(str(path), str(schema), str(SCHEMA), due=schema < SCHEMA)
