"""A world's state as people read it, from the memory store and from a SQLite store that was made from the same log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from tests.engine.world import PLANT, World

from synchromesh.engine.rebuild import rebuild
from synchromesh.state.agreement import Reading
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState

Readings = Callable[[World], Reading]


def readings_of(kind: str, folder: Path) -> Iterator[Readings]:
    """For a fixture: gives a reading of a world as it stands now."""
    with ExitStack() as stack:
        count = iter(range(1_000_000))

        def sqlite(world: World) -> Reading:
            path = folder / f"state-{next(count)}.db"
            records = world.log.read({PLANT: 0}, 1_000_000)[PLANT]
            with closing(SqliteState(path)) as state:
                rebuild(PLANT, records, world.worker.positions[PLANT], state)
            return stack.enter_context(closing(SqliteReading(path)))

        yield sqlite if kind == "sqlite" else lambda world: world.store.reading()
