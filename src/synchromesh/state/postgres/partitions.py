"""Partitions by name: each has a number that its rows carry."""

from __future__ import annotations

from collections.abc import Iterable

from synchromesh.postgres.connections import Connection
from synchromesh.state.postgres.session import Session
from synchromesh.state.postgres.words import kept, told


class Partitions:
    """Names and numbers. Numbers never change, so what was once learnt stays true."""

    def __init__(self, session: Session) -> None:
        self._by_name = session.sql("SELECT number FROM {schema}.partition WHERE name = %s")
        self._all = session.sql("SELECT number, name FROM {schema}.partition ORDER BY name")
        self._make = session.sql("INSERT INTO {schema}.partition (name, position, now) VALUES (%s, 0, 0) ON CONFLICT (name) DO NOTHING")
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def number(self, connection: Connection, name: str) -> int:
        """The number, or 0, which no partition has."""
        known = self._numbers.get(name)
        if known is None:
            found = connection.execute(self._by_name, (kept(name),)).fetchone()
            if found is None:
                return 0
            known = self._learn(int(found[0]), name)
        return known

    def name(self, connection: Connection, number: int) -> str:
        """The name of a number that a row carries."""
        if number not in self._names:
            self.all(connection)
        return self._names[number]

    def made(self, connection: Connection, names: Iterable[str]) -> list[int]:
        """The numbers, given now where there are none. A partition at position 0 is one that nothing was committed to yet."""
        numbers = []
        for name in names:
            number = self.number(connection, name)
            if not number:
                connection.execute(self._make, (kept(name),))
                number = self.number(connection, name)
            numbers.append(number)
        return numbers

    def all(self, connection: Connection) -> dict[str, int]:
        """Every partition's number by name, in order of names."""
        return {told(name): self._learn(number, told(name)) for number, name in connection.execute(self._all)}

    def _learn(self, number: int, name: str) -> int:
        self._numbers[name] = number
        self._names[number] = name
        return number
