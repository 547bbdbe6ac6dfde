"""The store as it was at one committed moment: a connection of its own that can't write, inside one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from synchromesh.sqlite.database import query
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.sqlite.identities import Identities
from synchromesh.state.sqlite.loads import SqliteLoads
from synchromesh.state.sqlite.partitions import Partitions
from synchromesh.state.sqlite.schema import in_state_words, open_existing

CACHE_KIB: Final = 8_192


class SqliteMoment(SqliteLoads):
    """`Moment` on one file. Used by one thread at a time. While it is open the write-ahead log grows and can't be written back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_existing(path, CACHE_KIB)
        self._partitions = Partitions(self._connection)
        # Reading needs no span: it says where new identities are written.
        self._identities = Identities(self._connection, SEGMENT_POSITIONS)
        try:
            with in_state_words(path, "reading the state"):
                # The transaction sees what is committed at its first look, and nothing later.
                self._connection.execute("BEGIN")
                self._positions = dict(query(self._connection, "SELECT name, position FROM partition"))
        except BaseException:
            self._connection.close()
            raise

    def positions(self) -> dict[str, int]:
        return dict(self._positions)

    def close(self) -> None:
        self._connection.close()
