"""Which identities were told, for 5,000,000 of them as fast as for none.

A partition's identities stand in segments, cut by position, so that which ones leave together is decided by the log alone. A segment
is a table of entries in the order of arrival, and an index of their 64-bit hashes. Hashes arrive at random, and an index written at
random writes a page an entry; so new ones are held in memory (the tail) and reach the index many at a time, in its order. After a crash
the tail is read from the entries. A filter in memory tells for nearly all new identities that an older segment can't hold them. Whatever
hash and filter say, an identity is known only when an entry equals it in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import apsw
import msgspec

from synchromesh.plant.rows import Changes, Identity
from synchromesh.sqlite.database import data_version, query
from synchromesh.state.filters import add_to, empty_filter, hash_of, in_filter, maybe

TAIL: Final = 32_768
"""How many entries wait in memory, at about 150 bytes, before their hashes are written to the index."""
_REMEMBERED: Final = 50_000


class Segment(msgspec.Struct):
    """One segment as its writer holds it. `last` is the newest row, `indexed` the row through which the index is written."""

    partition: int
    number: int
    newest: int
    indexed: int
    last: int = 0
    tail: dict[int, tuple[int, ...]] = {}
    bits: bytearray | None = None

    @property
    def entries(self) -> str:
        """The table of entries."""
        return f"identity_{self.partition}_{self.number}"

    @property
    def index(self) -> str:
        """The table of hashes."""
        return f"identity_hash_{self.partition}_{self.number}"


class Entry(msgspec.Struct, frozen=True):
    """Where an identity stands."""

    segment: Segment
    row: int
    position: int


def segments_of(connection: apsw.Connection, partition: int) -> list[Segment]:
    """A partition's segments, oldest first, without tails and filters."""
    rows = query(connection, "SELECT segment, newest, indexed FROM identity_segment WHERE partition = ? ORDER BY segment", (partition,))
    return [Segment(partition, number, newest, indexed) for number, newest, indexed in rows]


def indexed_entries(connection: apsw.Connection, segment: Segment, source: str, id: str) -> list[tuple[int, int]]:
    """(row, position) of the entries that the index finds for an identity and that equal it in full, newest last."""
    return query(
        connection,
        f"SELECT e.row, e.position FROM {segment.index} h JOIN {segment.entries} e ON e.row = h.row "  # noqa: S608 - numbers in the name
        "WHERE h.hash = ? AND e.source = ? AND e.id = ? ORDER BY e.row",
        (hash_of(source, id), source, id),
    )


def position_of_identity(connection: apsw.Connection, partition: int, identity: Identity) -> int | None:
    """Where an identity was told, as a reader finds it, who has no tail: that part of the newest segments is read through."""
    for segment in reversed(segments_of(connection, partition)):
        fresh = query(
            connection,
            f"SELECT row, position FROM {segment.entries} WHERE row > ? AND source = ? AND id = ? ORDER BY row",  # noqa: S608 - as above
            (segment.indexed, *identity),
        )
        found = fresh or indexed_entries(connection, segment, *identity)
        if found:
            return int(found[-1][1])
    return None


def positions_of_id(connection: apsw.Connection, partition: int, id: str) -> list[int]:
    """Where any source told this id: reads all entries through."""
    return [
        int(position)
        for segment in segments_of(connection, partition)
        for (position,) in query(connection, f"SELECT position FROM {segment.entries} WHERE id = ?", (id,))  # noqa: S608 - as above
    ]


def all_entries(connection: apsw.Connection, partition: int) -> Iterator[tuple[int, Identity]]:
    """(position, identity) of all of a partition, by position."""
    for segment in segments_of(connection, partition):
        rows = connection.execute(f"SELECT position, source, id FROM {segment.entries} ORDER BY position, source, id")  # noqa: S608 - as above
        for position, source, id in rows:
            yield position, (source, id)


class Identities:
    """A store's identities as its one writer sees them. What it holds in memory follows the writer's transactions: `forget` it after one
    that failed. It notices by itself when another writer has been there."""

    def __init__(self, connection: apsw.Connection, span: int) -> None:
        self._connection = connection
        self._span = span
        self._partitions: dict[int, list[Segment]] = {}
        self._absent: dict[int, dict[Identity, int]] = {}
        self._version = -1

    def forget(self) -> None:
        """What is in memory may not be true any more; it is loaded anew when asked for."""
        self._partitions.clear()
        self._absent.clear()

    def known(self, partition: int, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions of those that were told; the others are remembered, for they are probably about to be."""
        self._notice_others()
        found = self._find(partition, {identity: hash_of(*identity) for identity in identities})
        return {identity: entry.position for identity, entry in found.items()}

    def _find(self, partition: int, hashes: Mapping[Identity, int]) -> dict[Identity, Entry]:
        candidates = _maybe(self._loaded(partition), set(hashes.values()))
        found: dict[Identity, Entry] = {}
        absent = self._absent.setdefault(partition, {})
        if len(absent) > _REMEMBERED:
            absent.clear()
        absent.update(hashes)
        for identity, value in hashes.items() if candidates else ():
            entry = self._look_up(partition, identity, value) if value in candidates else None
            if entry is not None:
                found[identity] = entry
                del absent[identity]
        return found

    def _look_up(self, partition: int, identity: Identity, value: int) -> Entry | None:
        for segment in reversed(self._loaded(partition)):
            for row in reversed(segment.tail.get(value, ())):
                found = query(
                    self._connection,
                    f"SELECT position FROM {segment.entries} WHERE row = ? AND source = ? AND id = ?",  # noqa: S608
                    (row, *identity),
                )
                if found:
                    return Entry(segment, row, found[0][0])
            if segment.bits is not None and in_filter(segment.bits, value):
                rows = indexed_entries(self._connection, segment, *identity)
                if rows:
                    return Entry(segment, *rows[-1])
        return None

    def write(self, partition: int, changes: Changes) -> None:
        """Add a batch's identities and drop the segments that are over, within the caller's transaction."""
        self._notice_others()
        if changes.identities:
            self._add(partition, changes.identities, changes.now)
        if changes.forget_identities_before:
            self._drop(partition, changes.forget_identities_before)

    def _notice_others(self) -> None:
        version = data_version(self._connection)
        if version != self._version:
            self.forget()
            self._version = version

    def _add(self, partition: int, identities: Mapping[Identity, int], now: int) -> None:
        """One that was told before moves to its new position."""
        hashes = self._hashes_of_new(partition, identities)
        rows: dict[int, list[tuple[int, str, str, int]]] = {}
        for identity, position in identities.items():
            rows.setdefault(position // self._span, []).append((position, *identity, hashes[identity]))
        segments = {segment.number: segment for segment in self._loaded(partition)}
        for number, entries in rows.items():
            segment = segments.get(number) or self._add_segment(partition, number, now)
            segment.newest = max(segment.newest, now)
            self._connection.executemany(f"INSERT INTO {segment.entries} VALUES (?, ?, ?, ?)", _entered(segment, entries))  # noqa: S608
            self._connection.execute(
                "UPDATE identity_segment SET newest = ? WHERE partition = ? AND segment = ?", (segment.newest, partition, number)
            )
        self._index_tails(partition)

    def _hashes_of_new(self, partition: int, identities: Mapping[Identity, int]) -> dict[Identity, int]:
        hashes: dict[Identity, int] = {}
        unsure: dict[Identity, int] = {}
        absent = self._absent.setdefault(partition, {})
        for identity in identities:
            value = absent.pop(identity, None)
            if value is None:
                value = unsure[identity] = hash_of(*identity)
            hashes[identity] = value
        for entry in self._find(partition, unsure).values() if unsure else ():
            self._connection.execute(f"DELETE FROM {entry.segment.entries} WHERE row = ?", (entry.row,))  # noqa: S608
        for identity in unsure:
            absent.pop(identity, None)
        return hashes

    def _index_tails(self, partition: int) -> None:
        """Write a tail to the index when it is long, or when its segment is complete."""
        segments = self._loaded(partition)
        for segment in segments:
            if segment.last - segment.indexed >= TAIL or (segment.tail and segment is not segments[-1]):
                self._index_tail(segment)

    def _index_tail(self, segment: Segment) -> None:
        bits = segment.bits = segment.bits or empty_filter()
        pairs = sorted((value, row) for value, rows in segment.tail.items() for row in rows)
        add_to(bits, segment.tail)
        key = (segment.partition, segment.number)
        self._connection.executemany(f"INSERT INTO {segment.index} VALUES (?, ?)", pairs)  # noqa: S608
        self._connection.execute("REPLACE INTO identity_filter VALUES (?, ?, ?)", (*key, bits))
        self._connection.execute("UPDATE identity_segment SET indexed = ? WHERE partition = ? AND segment = ?", (segment.last, *key))
        segment.indexed, segment.tail = segment.last, {}

    def _drop(self, partition: int, before: int) -> None:
        segments = self._loaded(partition)
        gone = [segment for segment in segments if segment.newest < before]
        for segment in gone:
            segments.remove(segment)
            key = (partition, segment.number)
            self._connection.execute(f"DROP TABLE {segment.entries}")
            self._connection.execute(f"DROP TABLE {segment.index}")
            self._connection.execute("DELETE FROM identity_segment WHERE partition = ? AND segment = ?", key)
            self._connection.execute("DELETE FROM identity_filter WHERE partition = ? AND segment = ?", key)
        if gone:
            self._absent.clear()

    def _add_segment(self, partition: int, number: int, now: int) -> Segment:
        segment = Segment(partition, number, now, 0)
        self._connection.execute(
            f"CREATE TABLE {segment.entries} (row INTEGER PRIMARY KEY, position INTEGER NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL)"
        )
        self._connection.execute(
            f"CREATE TABLE {segment.index} (hash INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (hash, row)) WITHOUT ROWID"
        )
        self._connection.execute("INSERT INTO identity_segment VALUES (?, ?, ?, 0)", (partition, number, now))
        segments = self._loaded(partition)
        segments.append(segment)
        segments.sort(key=lambda each: each.number)
        return segment

    def _loaded(self, partition: int) -> list[Segment]:
        segments = self._partitions.get(partition)
        if segments is None:
            segments = segments_of(self._connection, partition)
            for segment in segments:
                self._load(segment)
            self._partitions[partition] = segments
        return segments

    def _load(self, segment: Segment) -> None:
        key = (segment.partition, segment.number)
        bits = query(self._connection, "SELECT bits FROM identity_filter WHERE partition = ? AND segment = ?", key)
        segment.bits = bytearray(bits[0][0]) if bits else None
        segment.last = segment.indexed
        sql = f"SELECT row, source, id FROM {segment.entries} WHERE row > ? ORDER BY row"  # noqa: S608 - as above
        rows = query(self._connection, sql, (segment.indexed,))
        for row, source, id in rows:
            segment.last = row
            _append(segment.tail, hash_of(source, id), row)


def _entered(segment: Segment, entries: Sequence[tuple[int, str, str, int]]) -> Iterator[tuple[int, int, str, str]]:
    """Rows for these (position, source, id, hash), which stand in the segment's tail from now on."""
    tail, row = segment.tail, segment.last
    for position, source, id, value in entries:
        row += 1
        _append(tail, value, row)
        yield row, position, source, id
    segment.last = row


def _append(tail: dict[int, tuple[int, ...]], value: int, row: int) -> None:
    known = tail.get(value)
    tail[value] = (row,) if known is None else (*known, row)


def _maybe(segments: Sequence[Segment], hashes: set[int]) -> set[int]:
    """The hashes that any of the segments may hold."""
    found = maybe([segment.bits for segment in segments if segment.bits is not None], hashes)
    for segment in segments:
        found |= hashes & segment.tail.keys()
    return found
