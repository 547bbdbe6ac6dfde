"""Which identities were told, for hundreds of millions of them about as fast as for none.

A partition's identities stand in segments, cut by position, so that which ones leave together is decided by the log alone. A segment is a
table of its own, found by 64-bit hashes, and dropped whole. Only the newest one grows, so the pages that new hashes touch at random are
never more than one segment's. Of the older ones a filter in the writer's memory tells for nearly all new identities that they can't
hold them. Whatever hash and filter say, an identity is known only when an entry equals it in full.

A table can't be dropped while a reader of an older moment stands in it, and a batch must not wait for readers: the batch takes the
segment from the list, and the table goes as soon as nobody reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import psycopg
from psycopg.types.numeric import Int4, Int8

from synchromesh.plant.rows import Changes, Identity
from synchromesh.postgres.arrays import bigints
from synchromesh.postgres.connections import Connection
from synchromesh.state.filters import add_to, empty_filter, hash_of, maybe
from synchromesh.state.postgres.loads import rows
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, texts, told

_REMEMBERED: Final = 50_000
_ENTRIES: Final = """
SELECT r.source, r.id, r.position FROM unnest(%s) AS k (hash) CROSS JOIN LATERAL (
  SELECT source, id, position FROM {table} WHERE hash = k.hash OFFSET 0) AS r
"""
_FALLEN: Final = r"""
SELECT tablename::text FROM pg_tables WHERE schemaname = %s AND tablename ~ '^identity_[0-9]+_'
AND tablename::text NOT IN (SELECT concat_ws('_', 'identity', partition, segment, indexed) FROM {schema}.identity_segment)
"""
Statement = tuple[bytes, Sequence[object]]
"""A statement with its values, to be run in the writer's transaction."""


class Segment(msgspec.Struct):
    """One segment as its writer holds it: `made` is the position of the batch that made it, `bits` its filter unless it is the newest."""

    partition: int
    number: int
    newest: int
    made: int
    bits: bytearray | None = None

    @property
    def table(self) -> str:
        """The table of entries. A segment that left and comes again is another table: readers may still stand in the old one."""
        return f"identity_{self.partition}_{self.number}_{self.made}"


class Entry(msgspec.Struct, frozen=True):
    """Where an identity stands."""

    segment: Segment
    position: int


class Segments:
    """The statements about segments, for one schema."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._of = session.sql("SELECT segment, newest, indexed FROM {schema}.identity_segment WHERE partition = %s ORDER BY segment")

    def of(self, connection: Connection, partition: int) -> list[Segment]:
        """A partition's segments, oldest first, without filters."""
        return [Segment(partition, number, newest, made) for number, newest, made in rows(connection, self._of, (Int4(partition),))]

    def statement(self, segment: Segment, sql: str) -> bytes:
        """A statement in which `{table}` stands for the segment's table."""
        return self._session.sql(sql.replace("{table}", f"{{schema}}.{segment.table}"))

    def entries(self, connection: Connection, segment: Segment, hashes: Mapping[Identity, int]) -> dict[Identity, int]:
        """The positions of those of these identities that stand in a segment, each at the last one."""
        sql = self.statement(segment, _ENTRIES)
        found: dict[Identity, int] = {}
        for source, id, position in rows(connection, sql, (bigints(list(hashes.values())),)):
            identity = (told(source), told(id))
            if identity in hashes:
                found[identity] = max(position, found.get(identity, 0))
        return found

    def of_id(self, connection: Connection, partition: int, id: str) -> list[int]:
        """Where any source told this id: reads all entries through."""
        sql = "SELECT position FROM {table} WHERE id = %s"
        return [
            position
            for segment in self.of(connection, partition)
            for (position,) in rows(connection, self.statement(segment, sql), (kept(id),))
        ]

    def all(self, connection: Connection, partition: int) -> Iterator[tuple[int, Identity]]:
        """(position, identity) of all of a partition, by position."""
        for segment in self.of(connection, partition):
            sql = self.statement(segment, "SELECT position, source, id FROM {table} ORDER BY position, source, id")
            for position, source, id in rows(connection, sql, ()):
                yield position, (told(source), told(id))


class ReadIdentities:
    """Identities as a reader finds them, in every segment by the hash."""

    def __init__(self, session: Session) -> None:
        self.segments = Segments(session)

    def known(self, connection: Connection, partition: int, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions of those that were told."""
        hashes = {identity: hash_of(*identity) for identity in identities}
        found: dict[Identity, int] = {}
        for segment in reversed(self.segments.of(connection, partition)):
            if missing := {identity: value for identity, value in hashes.items() if identity not in found}:
                found |= self.segments.entries(connection, segment, missing)
        return found


class Identities:
    """A store's identities as its one writer sees them. What it holds in memory follows the writer's transactions: `forget` it after one
    that failed. It notices by itself when another writer has been there, by the partition's position."""

    def __init__(self, session: Session, span: int) -> None:
        self.segments = Segments(session)
        self._span = span
        self._sql = session.sql
        self._schema = session.database.schema
        self._partitions: dict[int, list[Segment]] = {}
        self._absent: dict[int, dict[Identity, int]] = {}
        self._versions: dict[int, int] = {}
        self._unstored: set[tuple[int, int]] = set()
        """Segments whose filter is in memory only."""
        self._fallen = True
        """Whether there may be tables of segments that have left their lists."""

    def forget(self) -> None:
        """What is in memory may not be true any more; it is loaded anew when asked for."""
        self._partitions.clear()
        self._absent.clear()
        self._versions.clear()
        self._unstored.clear()
        self._fallen = True  # whoever had a partition before may have left some behind

    def written(self, partition: int, position: int) -> None:
        """The writer's transaction is committed, and the partition stands at this position."""
        self._versions[partition] = position
        self._unstored = {key for key in self._unstored if key[0] != partition}

    def known(self, connection: Connection, partition: int, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions of those that were told; the others are remembered, for they are probably about to be."""
        if not partition:
            return {}
        self._notice_others(connection, partition)
        found = self._find(connection, partition, {identity: hash_of(*identity) for identity in identities})
        return {identity: entry.position for identity, entry in found.items()}

    def _notice_others(self, connection: Connection, partition: int) -> None:
        sql = self._sql("SELECT position FROM {schema}.partition WHERE number = %s")
        position = rows(connection, sql, (Int4(partition),))[0][0]
        if self._versions.get(partition) != position:
            self._partitions.pop(partition, None)
            self._absent.pop(partition, None)
            self._versions[partition] = position

    def _find(self, connection: Connection, partition: int, hashes: Mapping[Identity, int]) -> dict[Identity, Entry]:
        segments = self._loaded(connection, partition)
        found: dict[Identity, Entry] = {}
        absent = self._absent.setdefault(partition, {})
        if len(absent) > _REMEMBERED:
            absent.clear()
        absent.update(hashes)
        if not segments or not hashes:
            return found
        self._look_up(connection, segments[-1], hashes, found)
        older = segments[:-1]
        if older:
            self._complete(connection, older)
            maybe_there = maybe([segment.bits for segment in older if segment.bits is not None], set(hashes.values()))
            unsure = {identity: value for identity, value in hashes.items() if value in maybe_there and identity not in found}
            for segment in reversed(older) if unsure else ():
                self._look_up(connection, segment, unsure, found)
        for identity in found:
            del absent[identity]
        return found

    def _look_up(self, connection: Connection, segment: Segment, hashes: Mapping[Identity, int], found: dict[Identity, Entry]) -> None:
        missing = {identity: value for identity, value in hashes.items() if identity not in found}
        for identity, position in self.segments.entries(connection, segment, missing).items():
            found[identity] = Entry(segment, position)

    def statements(self, connection: Connection, partition: int, changes: Changes) -> list[Statement]:
        """What adds a batch's identities and takes away the segments that are over. One that was told before moves to its new position."""
        made: list[Statement] = []
        if changes.identities:
            self._add(connection, partition, changes, made)
        if changes.forget_identities_before:
            self._drop(connection, partition, changes.forget_identities_before, made)
        return made

    def _add(self, connection: Connection, partition: int, changes: Changes, made: list[Statement]) -> None:
        hashes = self._hashes_of_new(connection, partition, changes.identities, made)
        entries: dict[int, list[Identity]] = {}
        for identity, position in changes.identities.items():
            entries.setdefault(position // self._span, []).append(identity)
        segments = {segment.number: segment for segment in self._loaded(connection, partition)}
        for number, told_now in entries.items():
            segment = segments.get(number) or self._add_segment(connection, partition, number, changes, made)
            segment.newest = max(segment.newest, changes.now)
            # In the order of their hashes: neighbours on one page of the index are written together.
            told_now.sort(key=hashes.__getitem__)
            values = [hashes[identity] for identity in told_now]
            made.append(
                (
                    self.segments.statement(segment, "INSERT INTO {table} SELECT * FROM unnest(%s, %s, %s, %s)"),
                    (
                        bigints(values),
                        bigints([changes.identities[identity] for identity in told_now]),
                        texts([source for source, _ in told_now]),
                        texts([id for _, id in told_now]),
                    ),
                )
            )
            sql = self._sql("UPDATE {schema}.identity_segment SET newest = %s WHERE partition = %s AND segment = %s")
            made.append((sql, (Int8(segment.newest), Int4(partition), Int8(number))))
            if segment.bits is not None:
                add_to(segment.bits, values)
                self._unstored.add((partition, number))
        made += [self._stored(segment) for segment in self._loaded(connection, partition) if (partition, segment.number) in self._unstored]

    def _stored(self, segment: Segment) -> Statement:
        sql = "INSERT INTO {schema}.identity_filter VALUES (%s, %s, %s) ON CONFLICT (partition, segment) DO UPDATE SET bits = excluded.bits"
        return self._sql(sql), (Int4(segment.partition), Int8(segment.number), bytes(segment.bits or b""))

    def _hashes_of_new(
        self, connection: Connection, partition: int, identities: Mapping[Identity, int], made: list[Statement]
    ) -> dict[Identity, int]:
        hashes: dict[Identity, int] = {}
        unsure: dict[Identity, int] = {}
        absent = self._absent.setdefault(partition, {})
        for identity in identities:
            value = absent.pop(identity, None)
            if value is None:
                value = unsure[identity] = hash_of(*identity)
            hashes[identity] = value
        for identity, entry in self._find(connection, partition, unsure).items() if unsure else ():
            sql = self.segments.statement(entry.segment, "DELETE FROM {table} WHERE hash = %s AND source = %s AND id = %s")
            made.append((sql, (Int8(hashes[identity]), kept(identity[0]), kept(identity[1]))))
        for identity in unsure:
            absent.pop(identity, None)
        return hashes

    def _add_segment(self, connection: Connection, partition: int, number: int, changes: Changes, made: list[Statement]) -> Segment:
        segment = Segment(partition, number, changes.now, changes.position)
        made.append((self._sql("SELECT {schema}.make_identities(%s)"), (segment.table,)))
        values = (Int4(partition), Int8(number), Int8(segment.newest), Int8(segment.made))
        made.append((self._sql("INSERT INTO {schema}.identity_segment VALUES (%s, %s, %s, %s)"), values))
        segments = self._loaded(connection, partition)
        segments.append(segment)
        segments.sort(key=lambda each: each.number)
        return segment

    def _complete(self, connection: Connection, older: Sequence[Segment]) -> None:
        """Give segments that are not the newest any more their filters, which the next batch stores."""
        for segment in older:
            if segment.bits is None:
                segment.bits = empty_filter()
                hashes = rows(connection, self.segments.statement(segment, "SELECT hash FROM {table}"), ())
                add_to(segment.bits, (value for (value,) in hashes))
                self._unstored.add((segment.partition, segment.number))

    def _drop(self, connection: Connection, partition: int, before: int, made: list[Statement]) -> None:
        segments = self._loaded(connection, partition)
        gone = [segment for segment in segments if segment.newest < before]
        for segment in gone:
            segments.remove(segment)
            key = (Int4(partition), Int8(segment.number))
            made.append((self._sql("DELETE FROM {schema}.identity_segment WHERE partition = %s AND segment = %s"), key))
            made.append((self._sql("DELETE FROM {schema}.identity_filter WHERE partition = %s AND segment = %s"), key))
        if gone:
            self._absent.pop(partition, None)
            self._fallen = True

    def sweep(self, connection: Connection) -> None:
        """Drop the tables of segments that are in no list any more and that nobody reads just now. Where there can be none, this costs
        nothing; which ones there are is asked for all partitions at a time, since there may be thousands."""
        if not self._fallen:
            return
        self._fallen = False
        for (table,) in rows(connection, self._sql(_FALLEN), (self._schema,)):
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL lock_timeout = '20ms'")
                    connection.execute(self._sql("SELECT {schema}.drop_identities(%s)"), (table,))
            except psycopg.errors.LockNotAvailable:
                self._fallen = True

    def _loaded(self, connection: Connection, partition: int) -> list[Segment]:
        segments = self._partitions.get(partition)
        if segments is None:
            segments = self.segments.of(connection, partition)
            filters = self._sql("SELECT segment, bits FROM {schema}.identity_filter WHERE partition = %s")
            stored = dict(rows(connection, filters, (Int4(partition),)))
            for segment in segments[:-1]:
                bits = stored.get(segment.number)
                segment.bits = None if bits is None else bytearray(bits)
            self._partitions[partition] = segments
            self.sweep(connection)
        return segments
