"""Identities in segments: a table for so many positions of a partition each, dropped whole when its horizon has passed.

Inserts go to the newest segment only, so a batch writes pages of a small tree however long the history is; a look-up asks every live one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from synchromesh.plant.rows import Changes, Identity
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.sqlite.rows import many


class Identities:
    """The identities of one store, through one connection. `forget` after a rollback: what is cached may not be true."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._segments: dict[int, list[int]] = {}

    def forget(self) -> None:
        self._segments.clear()

    def known(self, number: int, identities: Sequence[Identity]) -> dict[Identity, int]:
        """The positions of those that are known, newest segments first, since repeats come soon."""
        found: dict[Identity, int] = {}
        missing: Iterable[Identity] = identities
        for segment in reversed(self._live(number)):
            sql = (
                "SELECT s.source, s.id, s.position FROM ({keys}) AS k "  # noqa: S608 - the table's name is made of numbers
                f"CROSS JOIN {_table(number, segment)} AS s ON s.source = k.column1 AND s.id = k.column2"
            )
            for source, id_, position in many(self._connection, sql, (), missing):
                found[source, id_] = position
            missing = [identity for identity in missing if identity not in found]
            if not missing:
                break
        return found

    def add(self, number: int, changes: Changes) -> None:
        """Insert a batch's identities, date their segments, and drop those that are over."""
        by_segment: dict[int, list[tuple[str, str, int]]] = {}
        for (source, id_), position in changes.identities.items():
            by_segment.setdefault(position // SEGMENT_POSITIONS, []).append((source, id_, position))
        for segment, rows in by_segment.items():
            self._insert(number, segment, rows, changes.now)
        if changes.forget_identities_before:
            self._drop(number, changes.forget_identities_before)

    def _insert(self, number: int, segment: int, rows: list[tuple[str, str, int]], now: int) -> None:
        table = _table(number, segment)
        if segment not in self._live(number):
            self._connection.execute(
                f"CREATE TABLE {table} (source TEXT NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, "
                "PRIMARY KEY (source, id)) WITHOUT ROWID"
            )
            self._segments[number] = sorted([*self._live(number), segment])
        rows.sort()
        self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608 - numbers
        self._connection.execute(
            "INSERT INTO identity_segment VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)",
            (number, segment, now),
        )

    def _drop(self, number: int, before: int) -> None:
        rows = self._connection.execute("SELECT segment FROM identity_segment WHERE partition = ? AND newest < ?", (number, before))
        for (segment,) in rows.fetchall():
            self._connection.execute(f"DROP TABLE {_table(number, segment)}")
            self._connection.execute("DELETE FROM identity_segment WHERE partition = ? AND segment = ?", (number, segment))
            self._segments.pop(number, None)

    def _live(self, number: int) -> list[int]:
        known = self._segments.get(number)
        if known is None:
            rows = self._connection.execute("SELECT segment FROM identity_segment WHERE partition = ? ORDER BY segment", (number,))
            known = self._segments[number] = [row[0] for row in rows]
        return known

    def rows(self, number: int) -> Iterable[tuple[int, Identity]]:
        """All of a partition by position."""
        for segment in self._live(number):
            sql = f"SELECT position, source, id FROM {_table(number, segment)} ORDER BY position, source, id"  # noqa: S608 - numbers
            for position, source, id_ in self._connection.execute(sql):
                yield position, (source, id_)

    def find(self, partitions: Mapping[str, int], id_: str) -> list[tuple[str, int]]:
        """Where an id was told, by any source: a scan, for people."""
        found = []
        for name, number in partitions.items():
            for segment in self._live(number):
                sql = (
                    f"SELECT t.position FROM (SELECT DISTINCT source FROM {_table(number, segment)}) AS s "  # noqa: S608 - numbers
                    f"CROSS JOIN {_table(number, segment)} AS t ON t.source = s.source AND t.id = ?"
                )
                found += [(name, row[0]) for row in self._connection.execute(sql, (id_,))]
        return sorted(found)


def _table(number: int, segment: int) -> str:
    return f"identity_{number:d}_{segment:d}"
