"""Partitions by name: each has a number that its rows carry."""

from __future__ import annotations

import apsw

from synchromesh.sqlite.database import query


class Partitions:
    """Names and numbers through one connection. Numbers never change; `forget` after a rollback."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}

    def forget(self) -> None:
        self._numbers.clear()

    def number(self, name: str) -> int:
        """The number, or 0, which no partition has."""
        known = self._numbers.get(name)
        if known is None:
            found = query(self._connection, "SELECT number FROM partition WHERE name = ?", (name,))
            if not found:
                return 0
            known = self._numbers[name] = found[0][0]
        return known

    def made(self, name: str) -> int:
        """The number, given now where there is none."""
        number = self.number(name)
        if not number:
            made = query(self._connection, "INSERT INTO partition (name, position, now) VALUES (?, 0, 0) RETURNING number", (name,))
            number = self._numbers[name] = made[0][0]
        return number

    def all(self) -> dict[str, int]:
        """Every partition's number by name, in order of names."""
        return dict(query(self._connection, "SELECT name, number FROM partition ORDER BY name"))
