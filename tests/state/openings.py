"""Opening one store as often as a test wants, and closing all of it at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.contracts.state import Openings

from synchromesh.postgres.database import database
from synchromesh.state.memory import SEGMENT_POSITIONS
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.store import PostgresState
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState


class _Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


@contextmanager
def sqlite_openings(directory: Path, segment_positions: int = SEGMENT_POSITIONS) -> Iterator[Openings]:
    path = directory / "state.db"
    with ExitStack() as stack:

        def opening(make: Callable[[], T]) -> Callable[[], T]:
            return lambda: stack.enter_context(closing(make()))

        yield Openings(
            opening(lambda: SqliteState(path, segment_positions)), opening(lambda: SqliteOutbox(path)), opening(lambda: SqliteReading(path))
        )


@contextmanager
def postgres_openings(address: str, segment_positions: int = SEGMENT_POSITIONS) -> Iterator[Openings]:
    where = database(address)
    with ExitStack() as stack:

        def opening(make: Callable[[], T]) -> Callable[[], T]:
            return lambda: stack.enter_context(closing(make()))

        yield Openings(
            opening(lambda: PostgresState(where, "plant", segment_positions)),
            opening(lambda: PostgresOutbox(where)),
            opening(lambda: PostgresReading(where)),
        )
