"""Row numbers that carry the partition, and statements that fetch many keys at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import apsw

from synchromesh.sqlite.database import query

POSITION_BITS: Final = 40
"""Positions below 2 ** 40; more than a plant writes in thirty years at a thousand messages a second."""
_POSITIONS: Final = (1 << POSITION_BITS) - 1
CHUNK: Final = 200
"""Keys of one statement."""


def at(number: int, position: int) -> int:
    """The row number of a position in the partition of this number."""
    return number << POSITION_BITS | position


def position_of(row: int) -> int:
    """The position in a row number."""
    return row & _POSITIONS


def number_of(row: int) -> int:
    """The partition's number in a row number."""
    return row >> POSITION_BITS


def many(connection: apsw.Connection, sql: str, first: Sequence[object], keys: Iterable[Sequence[object]]) -> Iterator[Any]:
    """The rows of a statement for many keys: `{keys}` in it becomes a list of values, each as wide as a key; `first` fills the
    parameters behind that list. The statement's text is the same for each full chunk, so it is prepared once. A key must not come twice."""
    rest = iter(keys)
    while chunk := list(islice(rest, CHUNK)):
        width = ",".join("?" * len(chunk[0]))
        values = ",".join([f"({width})"] * len(chunk))
        yield from query(connection, sql.format(keys=f"VALUES {values}"), [*(part for key in chunk for part in key), *first])


def named(connection: apsw.Connection, sql: str, names: Iterable[str], rest: Sequence[object]) -> list[Any]:
    """The rows of one statement for many names, which are its first parameter, an array; `rest` are the others. They are looked up in
    their order, in which neighbours in the table are read together. Names go as bytes: an array of text holds none with a zero in it."""
    keys = tuple([name.encode() for name in sorted(names)])
    return query(connection, sql, (apsw.carray(keys), *rest)) if keys else []
