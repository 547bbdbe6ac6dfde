"""The store on SQLite: one file, one writer of state, dispatchers and readers beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from synchromesh.log.agreement import Place
    from synchromesh.state.agreement import Outbox, Reading, State

FILE: Final = "state.db"
"""The store's file in the folder of its place."""


def open_state(place: Place) -> State:
    """Open as the writer; the file is made or brought up to date first. Raises `StateCorrupt`, `StateFull` or `StateError`, and
    `ValueError` for settings that it does not know."""
    from synchromesh.log.agreement import known_only  # noqa: PLC0415 - who only reads need not load it
    from synchromesh.state.sqlite.store import SqliteState  # noqa: PLC0415 - as above

    known_only(place)
    return SqliteState(place.folder / FILE)


def open_outbox(place: Place) -> Outbox:
    """Open as a dispatcher. Raises `StateError` where there is no store yet."""
    from synchromesh.state.sqlite.outbox import SqliteOutbox  # noqa: PLC0415 - as above

    return SqliteOutbox(place.folder / FILE)


def open_reading(place: Place) -> Reading:
    """Open for questions only. Raises `StateError` where there is no store yet."""
    from synchromesh.state.sqlite.reading import SqliteReading  # noqa: PLC0415 - as above

    return SqliteReading(place.folder / FILE)


def set_aside(place: Place, mark: str) -> None:
    """Let an empty store be bound to `mark`. The file that was there gets another name; the claims beside it stay."""
    from synchromesh.state.sqlite.aside import set_aside  # noqa: PLC0415 - as above

    set_aside(place.folder / FILE, mark)
