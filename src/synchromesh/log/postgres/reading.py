"""Reading: what is known of the partitions, what they were told, and whether there is news."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from synchromesh.log.agreement import LogCorrupt, Trimmed
from synchromesh.log.encoding import decode
from synchromesh.log.fairness import shares
from synchromesh.log.postgres.appending import signed
from synchromesh.log.postgres.tables import HEAD
from synchromesh.model.message import Record
from synchromesh.postgres.arrays import bigints, ints, texts
from synchromesh.postgres.connections import Connection, Connections

DOING: Final = "reading the log"
READ_BYTES: Final = 1_500_000
"""How many bytes of messages one `read` returns at most, apart from the first message of each partition."""
SHORTEST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.01
_GROWTH: Final = 1.1
LONGEST_REST: Final = 0.02
_REST: Final = 4
"""Whoever waits rests so many times as long as a look at the log takes, at most `LONGEST_REST`."""

_KNOWN: Final = "SELECT p.name, p.number, p.trimmed, p.chain, {head} FROM {schema}.log_partition p".replace("{head}", HEAD)
_NEW: Final = """
SELECT * FROM (
  SELECT p.name, p.number, p.trimmed, p.chain, {head} AS head, a.after
  FROM unnest(%s, %s) AS a (name, after) JOIN {schema}.log_partition p ON p.name = a.name
) AS known WHERE head <> after OR trimmed > after
""".replace("{head}", HEAD)
_SOME: Final = _KNOWN + " WHERE p.name = ANY (%s)"
# The sum stops a read at its bytes without fetching what is behind them: the size of a long body is known without the body.
_READ: Final = """
SELECT a.place, m.position, m.crc, m.body
FROM unnest(%s, %s, %s) WITH ORDINALITY AS a (number, after, count, place) CROSS JOIN LATERAL (
  SELECT position, crc, body, sum(octet_length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS size
  FROM {schema}.message WHERE partition = a.number AND position > a.after AND position <= a.after + a.count
) AS m
WHERE m.size <= %s OR m.position = a.after + 1
ORDER BY a.place, m.position
"""
_NEWS: Final = """
SELECT EXISTS (
  SELECT FROM unnest(%s, %s) AS a (name, after) JOIN {schema}.log_partition p ON p.name = a.name
  WHERE a.after < {head}
)
""".replace("{head}", HEAD)


class Known(msgspec.Struct, frozen=True):
    """What is known of a partition: its number in the database, through where it is in the archive and how that ends, its last position."""

    number: int
    trimmed: int
    chain: str
    head: int


class Stretch(msgspec.Struct, frozen=True):
    """Messages to be read: so many of a partition behind a position."""

    partition: str
    number: int
    after: int
    count: int


class Reader:
    """Safe for threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        sql = connections.database.sql
        self._all, self._some, self._new, self._read, self._news = sql(_KNOWN), sql(_SOME), sql(_NEW), sql(_READ), sql(_NEWS)

    def known(self, partitions: Sequence[str] | None = None) -> dict[str, Known]:
        """All partitions, or those of these that there are."""
        return self._connections.ask(DOING, lambda each: self.known_to(each, partitions))

    def known_to(self, connection: Connection, partitions: Sequence[str] | None = None) -> dict[str, Known]:
        """The same as a transaction sees it."""
        asked = connection.execute(self._all) if partitions is None else connection.execute(self._some, (texts(partitions),))
        return {name: Known(number, trimmed, chain, head) for name, number, trimmed, chain, head in asked}

    def read(self, after: Mapping[str, int], limit: int) -> dict[str, list[Record]]:
        known = self._connections.ask(DOING, lambda each: self._with_news(each, after))
        for name, each in known.items():
            check_kept(name, after[name], each.trimmed)
        shared = shares({name: each.head - after[name] for name, each in known.items()}, limit)
        wanted = [Stretch(name, known[name].number, after[name], share) for name, share in shared.items() if share]
        if not wanted:
            return {}
        try:
            found = self._connections.ask(DOING, lambda each: self.bodies(each, wanted, READ_BYTES // len(wanted)))
        except LogCorrupt:
            # Somebody may have trimmed between the two looks, and then nothing is damaged.
            for name, each in self.known(list(after)).items():
                check_kept(name, after[name], each.trimmed)
            raise
        return {name: self._records(name, after[name], bodies) for name, bodies in found.items()}

    def _with_news(self, connection: Connection, after: Mapping[str, int]) -> dict[str, Known]:
        """Of very many partitions only those that are to be looked at more closely."""
        asked = connection.execute(self._new, (texts(list(after)), bigints(list(after.values()))))
        return {name: Known(number, trimmed, chain, head) for name, number, trimmed, chain, head, _ in asked}

    def bodies(self, connection: Connection, wanted: Sequence[Stretch], room: int) -> dict[str, list[bytes]]:
        """The stored messages of each stretch as far as there is room for their bytes, the first one always. Raises `LogCorrupt` for one
        that is missing or was changed."""
        numbers, after, counts = [each.number for each in wanted], [each.after for each in wanted], [each.count for each in wanted]
        rows = connection.execute(self._read, (ints(numbers), bigints(after), ints(counts), room), binary=True)
        found: list[list[bytes]] = [[] for _ in wanted]
        for place, position, crc, body in rows:
            stretch, bodies = wanted[place - 1], found[place - 1]
            expected = stretch.after + len(bodies) + 1
            if position != expected:
                raise self._damaged(stretch.partition, expected, "there is no message")
            if signed(zlib.crc32(body)) != crc:
                raise self._damaged(stretch.partition, position, "the checksum differs")
            bodies.append(body)
        for stretch, bodies in zip(wanted, found, strict=True):
            if not bodies:
                raise self._damaged(stretch.partition, stretch.after + 1, "there is no message")
        return {stretch.partition: bodies for stretch, bodies in zip(wanted, found, strict=True)}

    def _records(self, partition: str, after: int, bodies: Sequence[bytes]) -> list[Record]:
        try:
            return [Record(position, decode(body)) for position, body in enumerate(bodies, after + 1)]
        except msgspec.DecodeError as error:
            raise self._damaged(partition, after + 1, f"a message behind here can't be read ({error})") from error

    def _damaged(self, partition: str, position: int, what: str) -> LogCorrupt:
        return LogCorrupt(
            f"{self._connections.database} is damaged: partition {partition}, position {position}: {what}; nothing was changed: stop all "
            "processes and restore the database from a backup"
        )

    def wait(self, after: Mapping[str, int], timeout: float) -> bool:
        """As agreed. Looking grows rarer, down to `LONGEST_PAUSE`, and takes a fifth of the time at most: with a thousand partitions a look
        takes some milliseconds."""
        deadline = time.monotonic() + timeout
        pause = SHORTEST_PAUSE
        values = texts(list(after)), bigints(list(after.values()))
        while True:
            started = time.monotonic()
            if self._connections.ask(DOING, lambda each: each.execute(self._news, values).fetchone()) == (True,):
                return True
            now = time.monotonic()
            if now >= deadline:
                return False
            rest = min(_REST * (now - started), LONGEST_REST)
            time.sleep(min(max(pause, rest), deadline - now))
            pause = min(pause * _GROWTH, LONGEST_PAUSE)


def check_kept(partition: str, after: int, trimmed: int) -> None:
    """Raise `Trimmed` where what follows `after` is no longer in the log."""
    if after < trimmed:
        raise Trimmed(f"partition {partition}: positions through {trimmed} are in the archive; {after + 1} was asked for")
