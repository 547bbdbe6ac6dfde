"""Nights on a real database end as they end in memory: the same verdict, and the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from synchromesh.engine.rebuild import rebuild
from synchromesh.plant.rows import Changes
from synchromesh.postgres.database import database
from synchromesh.sim.harness import Night, Point, run_seed
from synchromesh.sim.profile import PROFILES
from synchromesh.state.agreement import Outbox, Reading, State
from synchromesh.state.memory import MemoryStore
from synchromesh.state.postgres.outbox import PostgresOutbox
from synchromesh.state.postgres.reading import PostgresReading
from synchromesh.state.postgres.store import PostgresState
from synchromesh.state.sqlite.store import SqliteState


class MortalState(PostgresState):
    """A store whose worker may die before a commit, or behind it without knowing."""

    before: Point
    after: Point

    def commit(self, epochs: Mapping[str, int], batch: Sequence[Changes]) -> None:
        self.before(batch)
        super().commit(epochs, batch)
        self.after(batch)


class PostgresStore:
    """One store of a night. Its processes live in virtual time, so a lease is over at once: whoever attends last has everything."""

    def __init__(self, stack: ExitStack, address: str, before: Point, after: Point) -> None:
        self._where = database(address)
        self._stack = stack
        self._before, self._after = before, after
        self.state().close()
        self._reading = stack.enter_context(closing(PostgresReading(self._where)))

    def state(self) -> State:
        state = self._stack.enter_context(closing(MortalState(self._where, "night", lease_seconds=0)))
        state.before, state.after = self._before, self._after
        return state

    def outbox(self) -> Outbox:
        return self._stack.enter_context(closing(PostgresOutbox(self._where, 0)))

    def reading(self) -> Reading:
        return self._reading


@pytest.fixture
def store(postgres: str) -> Iterator[Callable[[Point, Point], PostgresStore]]:
    with ExitStack() as stack:
        yield lambda before, after: PostgresStore(stack, postgres, before, after)


@pytest.mark.parametrize(("profile", "seed"), [("rough", 1), ("blind", 2), ("askable", 3), ("undone", 4)])
def test_a_night_on_postgresql_ends_as_in_memory(profile: str, seed: int, store: Callable[[Point, Point], PostgresStore]) -> None:
    verdict = run_seed(seed, profile, store)
    assert verdict.ok, f"seed {seed}, {profile}: {verdict}"
    assert verdict == run_seed(seed, profile)


def test_what_a_night_folds_has_the_same_rows_in_every_store(store: Callable[[Point, Point], PostgresStore], tmp_path: Path) -> None:
    night = Night(7, PROFILES["rough"], store)
    asyncio.run(night.play())
    kept = store(lambda _: None, lambda _: None).state()
    for plant, position in kept.positions().items():
        rows = list(kept.rows(plant))
        assert rows
        for other in (SqliteState(tmp_path / f"{plant}.db"), MemoryStore().state()):
            rebuild(plant, night.log.read({plant: 0}, 1_000_000)[plant], position, other)
            assert [row for row in other.rows(plant) if row[0] != "forward"] == [row for row in rows if row[0] != "forward"]
            other.close()
