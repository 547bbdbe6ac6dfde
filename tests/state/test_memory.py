"""The state in memory keeps the contract, and its hooks fail it at the two moments that matter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.contracts.state import Openings, P, StateContract, lease

from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import StateFull
from synchromesh.state.memory import MemoryStore


class TestMemoryState(StateContract):
    @pytest.fixture
    def open(self) -> Openings:
        store = MemoryStore()
        return Openings(store.state, store.outbox, store.reading)


def _full(batch: Sequence[Changes]) -> None:
    raise StateFull(f"no room for {len(batch)}")


def test_a_failure_before_leaves_nothing() -> None:
    state = MemoryStore(before_commit=_full).state()
    with pytest.raises(StateFull):
        state.commit(lease(state), [Changes(P, 1)])
    assert state.positions() == {}


def test_a_failure_after_leaves_what_was_committed() -> None:
    state = MemoryStore(after_commit=_full).state()
    with pytest.raises(StateFull):
        state.commit(lease(state), [Changes(P, 1)])
    assert state.positions() == {P: 1}
