"""Partitions by name: each has a number that its rows carry."""

from __future__ import annotations

import sqlite3


class Partitions:
    """Names and numbers through one connection. Numbers never change; `forget` after a rollback."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}

    def forget(self) -> None:
        self._numbers.clear()

    def number(self, name: str) -> int:
        """The number, or 0, which no partition has."""
        known = self._numbers.get(name)
        if known is None:
            row = self._connection.execute("SELECT number FROM partition WHERE name = ?", (name,)).fetchone()
            if row is None:
                return 0
            known = self._numbers[name] = row[0]
        return known

    def made(self, name: str) -> int:
        """The number, given now where there is none."""
        number = self.number(name)
        if not number:
            cursor = self._connection.execute("INSERT INTO partition (name, position, now) VALUES (?, 0, 0) RETURNING number", (name,))
            number = self._numbers[name] = cursor.fetchone()[0]
        return number

    def all(self) -> dict[str, int]:
        """Every partition's number by name, in order of names."""
        return dict(self._connection.execute("SELECT name, number FROM partition ORDER BY name").fetchall())
