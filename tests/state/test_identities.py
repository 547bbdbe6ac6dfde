"""Identities: known in full, whatever their hashes and segments, and after every restart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.contracts.state import P, lease

from synchromesh.plant.rows import Changes, Identity
from synchromesh.state.agreement import StateError
from synchromesh.state.sqlite import identities as module
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "TAIL", 32)
    return tmp_path / "state.db"


def _fill(state: SqliteState, count: int, start: int = 1) -> dict[Identity, int]:
    """Identities at positions from `start` on, ten a batch, dated by their position."""
    epoch = lease(state)
    told: dict[Identity, int] = {}
    for first in range(start, start + count, 10):
        batch = {("mes", f"id-{position}"): position for position in range(first, first + 10)}
        state.commit(epoch, [Changes(P, first + 9, identities=batch, now=first + 9)])
        told |= batch
    return told


@pytest.mark.parametrize("span", [100, 1 << 19])
def test_all_are_known_at_once_and_after_a_restart_and_to_readers(path: Path, span: int) -> None:
    state = SqliteState(path, span)
    told = _fill(state, 500)
    strangers = [("mes", "id-0"), ("wms", "id-1"), ("mes", "id-501"), ("mesid-1", ""), ("me", "sid-1")]
    assert state.known(P, [*told, *strangers]) == told
    state.close()
    state = SqliteState(path, span)
    assert state.known(P, [*told, *strangers]) == told
    reading = SqliteReading(path)
    assert {identity: reading.identity(P, *identity) for identity in told} == told
    assert [reading.identity(P, *identity) for identity in strangers] == [None] * 5
    reading.close()
    state.close()


def test_identities_with_the_same_hash_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hash_of", lambda source, id: len(id))
    state = SqliteState(path, 100)
    told = _fill(state, 300)
    assert state.known(P, [*told, ("mes", "id-x"), ("wms", "id-1"), ("mes", "id-999")]) == told
    state.close()


def test_whole_segments_leave_and_their_names_are_new_again(path: Path) -> None:
    state = SqliteState(path, 100)
    told = _fill(state, 500)
    epoch = lease(state)
    state.commit(epoch, [Changes(P, 501, now=501, forget_identities_before=300)])
    kept = {identity: position for identity, position in told.items() if position >= 200}
    assert state.known(P, list(told)) == kept
    assert [row[1] for row in state.rows(P) if row[0] == "identity"] == [f"mes id-{position}" for position in range(200, 501)]
    state.commit(epoch, [Changes(P, 502, identities={("mes", "id-5"): 502}, now=502)])
    state.close()
    state = SqliteState(path, 100)
    assert state.known(P, list(told)) == kept | {("mes", "id-5"): 502}
    state.close()


def test_one_told_again_moves_wherever_it_stood(path: Path) -> None:
    state = SqliteState(path, 100)
    told = _fill(state, 300)
    epoch = lease(state)
    moved = {("mes", f"id-{position}"): 300 + position for position in (1, 33, 150, 299, 300)}
    state.commit(epoch, [Changes(P, 700, identities=dict(moved), now=700)])
    assert state.known(P, list(told)) == told | moved
    assert len([row for row in state.rows(P) if row[0] == "identity"]) == 300
    reading = SqliteReading(path)
    assert {identity: reading.identity(P, *identity) for identity in moved} == moved
    reading.close()
    state.close()


def test_a_commit_that_failed_leaves_no_trace_in_memory(path: Path) -> None:
    state = SqliteState(path, 100)
    told = _fill(state, 90)
    epoch = lease(state)
    bad = Changes(P, 150, identities={("mes", f"new-{position}"): position for position in range(91, 151)}, now=150, forwarded=1)
    assert state.known(P, list(bad.identities)) == {}
    with pytest.raises(StateError):
        state.commit(epoch, [bad])
    assert state.known(P, [*told, *bad.identities]) == told
    bad.forwarded = 0
    state.commit(epoch, [bad])
    assert state.known(P, [*told, *bad.identities]) == told | bad.identities
    state.close()


def test_random_orders_are_as_a_dictionary_would_have_it(path: Path) -> None:
    chance = random.Random(5)
    state = SqliteState(path, 64)
    epoch = lease(state)
    told: dict[Identity, int] = {}
    position = 0
    for _ in range(60):
        batch: dict[Identity, int] = {}
        for _ in range(chance.randrange(1, 20)):
            position += 1
            batch[chance.choice(["mes", "wms"]), f"id-{chance.randrange(400)}"] = position
        if chance.random() < 0.5:
            asked = [("mes", f"id-{chance.randrange(400)}") for _ in range(20)] + list(batch)
            assert state.known(P, asked) == {identity: told[identity] for identity in asked if identity in told}
        state.commit(epoch, [Changes(P, position, identities=batch, now=position)])
        told |= batch
        if chance.random() < 0.1:
            state.close()
            state = SqliteState(path, 64)
            epoch = lease(state)
    assert state.known(P, list(told)) == told
    state.close()
