"""The store at one committed moment as a `State` that is only read: every row of it, at length, while others go on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NoReturn

from synchromesh.model.message import Message
from synchromesh.postgres.database import Database
from synchromesh.state import encoding
from synchromesh.state.agreement import Changes, StateError
from synchromesh.state.postgres.comparing import Comparing
from synchromesh.state.postgres.moment import PostgresMoment
from synchromesh.state.postgres.session import in_state_words


class Frozen(PostgresMoment):
    """A moment that also tells all its rows. What changes something is refused."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._comparing = Comparing(self._session)

    def rows(self, partition: str) -> Iterator[encoding.Row]:
        with in_state_words(self._session.database, "reading the state"):
            connection = self._session.connection()
            number = self._partitions.number(connection, partition)
            yield from self._comparing.read(connection, number, self._identities.segments)

    def forwards(self, partitions: Collection[str], limit: int) -> list[tuple[str, Message]]:
        self._refuse()

    def attend(self, owner: str, partitions: Collection[str]) -> dict[str, int]:
        self._refuse()

    def leave(self, owner: str) -> None:
        self._refuse()

    def origin(self, log: str) -> str:
        self._refuse()

    def rebind(self, log: str) -> None:
        self._refuse()

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StateError(f"{self._session.database}: this is the state as it was at one moment, only to be read; nothing was changed")
