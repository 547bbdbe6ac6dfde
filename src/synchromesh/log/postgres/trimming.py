"""Trimming: what is old goes to the archive, segment by segment, and its rows are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from synchromesh.log.agreement import LogError
from synchromesh.log.archive import Segment, discard_unfinished, write_segment
from synchromesh.log.postgres.reading import Known, Reader, Stretch
from synchromesh.log.postgres.tables import KINDS
from synchromesh.postgres.connections import DURABLE, Connection, Connections
from synchromesh.postgres.errors import in_words

DOING: Final = "trimming the log"
SEGMENT_MESSAGES: Final = 20_000
"""How many messages one archived segment holds at most."""
_PAGE: Final = 2_000
_PAGE_BYTES: Final = 8_000_000

# Nobody else trims the partition meanwhile, on whatever host, and what waits for a host that vanished ends.
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('synchromesh trim {schema}'), %s)"
_SOON: Final = "SET LOCAL idle_in_transaction_session_timeout = '60s'"
# What was trimmed before may still lie there, dead: it is not looked at again.
_DELETE: Final = "DELETE FROM {schema}.message WHERE partition = %s AND position BETWEEN %s AND %s"
_TRIMMED: Final = "UPDATE {schema}.log_partition SET trimmed = %s, chain = %s WHERE number = %s"


class Trimmer:
    """Safe for threads and processes. All of them must see one archive."""

    def __init__(self, connections: Connections, reader: Reader, archive: Path) -> None:
        self._connections = connections
        self._reader = reader
        self._archive = archive

    def trim(self, partition: str, through: int) -> None:
        """As agreed, segment by segment: after a crash what was archived is forgotten and what was not is still in the log."""
        with in_words(self._connections.database, KINDS, DOING):
            while self._one_more(partition, through):
                pass

    def _one_more(self, partition: str, through: int) -> bool:
        """Trim one segment in a transaction; whether there was one to trim."""
        sql = self._connections.database.sql
        with self._connections.one() as connection, connection.transaction():
            known = self._reader.known_to(connection, [partition]).get(partition)
            if through > (known.head if known else 0):
                raise LogError(f"partition {partition} ends at {known.head if known else 0}: it can't be trimmed through {through}")
            if known is None or through <= known.trimmed:
                return False
            connection.execute(_SOON.encode())
            connection.execute(sql(_ALONE), (known.number,))
            known = self._reader.known_to(connection, [partition])[partition]
            last = min(known.trimmed + SEGMENT_MESSAGES, through)
            if last <= known.trimmed:
                return False
            discard_unfinished(self._archive, partition, known.trimmed)
            segment = Segment(partition, known.trimmed + 1, last, known.chain)
            digest = write_segment(self._archive, segment, self._bodies(connection, partition, known, last))
            connection.execute(DURABLE.encode())
            connection.execute(sql(_DELETE), (known.number, segment.first, last))
            # Appenders of this partition wait from here to the commit, so this comes last.
            connection.execute(sql(_TRIMMED), (last, digest, known.number))
        return True

    def _bodies(self, connection: Connection, partition: str, known: Known, last: int) -> Iterator[bytes]:
        after = known.trimmed
        while after < last:
            stretch = Stretch(partition, known.number, after, min(_PAGE, last - after))
            bodies = self._reader.bodies(connection, [stretch], _PAGE_BYTES)[partition]
            yield from bodies
            after += len(bodies)
