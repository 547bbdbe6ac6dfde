"""The store on SQLite: one file, one writer of state, dispatchers and readers beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synchromesh.state.agreement import Outbox, Reading, State


def open_state(path: Path) -> State:
    """Open as the writer; the file is made or brought up to date first. Raises `StateCorrupt`, `StateFull` or `StateError`."""
    from synchromesh.state.sqlite.store import SqliteState  # noqa: PLC0415 - who only reads need not load it

    return SqliteState(path)


def open_outbox(path: Path) -> Outbox:
    """Open as a dispatcher. Raises `StateError` where there is no store yet."""
    from synchromesh.state.sqlite.outbox import SqliteOutbox  # noqa: PLC0415 - as above

    return SqliteOutbox(path)


def open_reading(path: Path) -> Reading:
    """Open for questions only. Raises `StateError` where there is no store yet."""
    from synchromesh.state.sqlite.reading import SqliteReading  # noqa: PLC0415 - as above

    return SqliteReading(path)
