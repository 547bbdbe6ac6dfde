"""Appending: one call of a function in the database, which is one transaction and one round trip, and is tried again until its answer is
heard."""

from __future__ import annotations

import random
import time
import uuid
import zlib
from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec
import psycopg

from synchromesh.log.agreement import LogAway
from synchromesh.log.encoding import encode
from synchromesh.log.postgres.tables import KINDS, REMEMBERED
from synchromesh.model.message import Message
from synchromesh.postgres.arrays import Blobs, Ints, Texts, blobs, ints, texts
from synchromesh.postgres.connections import Connections
from synchromesh.postgres.errors import away, in_words

DOING: Final = "appending to the log"
SHORTEST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 0.5
_SIGN: Final = 1 << 31

_APPEND: Final = "SELECT {schema}.append(%s, %s, %s, %s, %s, %s, %s)"
_FORGET: Final = "DELETE FROM {schema}.appended WHERE appender = %s AND number <= %s"
_FORGET_THE_DEAD: Final = "DELETE FROM {schema}.appended WHERE at < now() - interval '1 day'"


class _Batch(msgspec.Struct, frozen=True):
    """Messages as the function takes them; `places` says of each one which of the answers is its partition's, and its rank there."""

    names: Texts
    which: Ints
    rank: Ints
    crc: Ints
    bodies: Blobs
    places: list[tuple[int, int]]


class Appender:
    """Whoever appends. Safe for threads.

    Its appends are numbered, and the database writes each number once: so an append whose answer was lost, with the connection or with the
    server, is called again without being doubled, also while the first call is still at work there.
    """

    def __init__(self, connections: Connections, patience: float) -> None:
        self._connections = connections
        self._patience = patience
        self._id = uuid.uuid4()
        self._numbers = count(1)
        self._append, self._forget = connections.database.sql(_APPEND), connections.database.sql(_FORGET)
        connections.ask(DOING, lambda each: each.execute(connections.database.sql(_FORGET_THE_DEAD)))

    def append(self, messages: Sequence[Message]) -> list[int]:
        """The positions of the messages, which are durable. Raises as agreed."""
        if not messages:
            return []
        batch = _batch(messages)
        number = next(self._numbers)
        with in_words(self._connections.database, KINDS, DOING):
            bases = self._called(number, batch)
        if number % REMEMBERED == 0:
            self._connections.ask(DOING, lambda each: each.execute(self._forget, (self._id, number - REMEMBERED)))
        return [bases[which] + rank for which, rank in batch.places]

    def _called(self, number: int, batch: _Batch) -> list[int]:
        values = (self._id, number, batch.names, batch.which, batch.rank, batch.crc, batch.bodies)
        deadline = time.monotonic() + self._patience
        pause = SHORTEST_PAUSE
        while True:
            try:
                with self._connections.one() as connection:
                    ((bases,),) = connection.execute(self._append, values, binary=True).fetchall()
                    return list(bases)
            except (psycopg.Error, LogAway) as error:
                if isinstance(error, psycopg.Error) and not away(error):
                    raise
                if time.monotonic() > deadline:
                    raise _given_up(error, self._connections) from error
            self._connections.forget()
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (so that not all of them come back at a time)
            pause = min(2 * pause, LONGEST_PAUSE)


def _given_up(error: Exception, connections: Connections) -> LogAway:
    return LogAway(
        f"{DOING}: {connections.database}: the server can't be reached just now ({error}); whether the messages are in the log is not "
        "known; let them be sent again later, under the same ids"
    )


def _batch(messages: Sequence[Message]) -> _Batch:
    """Raises `LogError` for a message that could not be read again."""
    bodies = [encode(message) for message in messages]
    indices = {name: index for index, name in enumerate(sorted({message.partition for message in messages}))}
    counts = [0] * len(indices)
    places: list[tuple[int, int]] = []
    for message in messages:
        which = indices[message.partition]
        counts[which] += 1
        places.append((which, counts[which]))
    return _Batch(
        texts(list(indices)),
        ints([which + 1 for which, _ in places]),
        ints([rank for _, rank in places]),
        ints([signed(zlib.crc32(body)) for body in bodies]),
        blobs(bodies),
        places,
    )


def signed(crc: int) -> int:
    """A checksum as PostgreSQL's integer keeps it."""
    return crc - ((crc & _SIGN) << 1)
