"""A state in several databases answers as one in one: the contract of reading, and answers that are put together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.state import Openings, P, StateContract, exception, fact, lease, posting, ready
from tests.state.openings import sqlite_openings

from synchromesh.plant.rows import Changes
from synchromesh.state.agreement import Reading, StateAway
from synchromesh.state.parts import PartedReading, Parts

OTHER = "other"


def _where(partition: str) -> str:
    return "b" if partition == OTHER else ""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Openings, Openings]]:
    (tmp_path / "b").mkdir()
    with sqlite_openings(tmp_path) as one, sqlite_openings(tmp_path / "b") as other:
        other.state()
        yield one, other


def _reading(one: Openings, other: Openings) -> PartedReading:
    return PartedReading(Parts(_where, lambda system: "b" if system == "erp-b" else "", {"": one.reading, "b": other.reading}))


class TestPartedReading(StateContract):
    """Everything lies in the second part, and the first one is empty."""

    @pytest.fixture
    def open(self, both: tuple[Openings, Openings]) -> Openings:
        empty, full = both
        empty.state()
        parts = Parts(lambda partition: "b", lambda system: "b", {"": empty.reading, "b": full.reading})
        return Openings(full.state, full.outbox, lambda: PartedReading(parts))


def _fill(openings: Openings, partition: str, target: str, received: int) -> None:
    state = openings.state()
    changes = ready(1, (1, 0), partition=partition, target=target)
    changes.facts[1] = fact(1, received, id="same")
    changes.identities["mes", "same"] = 1
    changes.exceptions[1, 0] = exception(1, opened=received)
    changes.documents["4900"] = (1, 0)
    changes.entities["order", "1"] = partition.encode()
    state.commit(lease(state), [changes])


def test_answers_of_all_parts_are_put_together_in_their_order(both: tuple[Openings, Openings]) -> None:
    one, other = both
    _fill(one, P, "erp", 10)
    _fill(other, OTHER, "erp-b", 20)
    other.outbox().tell("erp-b", "it sleeps")
    reading = _reading(one, other)
    assert reading.positions() == {P: 1, OTHER: 1}
    assert [name for name, _ in reading.recent(5)] == [OTHER, P]
    assert [name for name, _ in reading.recent(1)] == [OTHER]
    assert [name for name, _ in reading.exceptions("open", 5)] == [OTHER, P]
    assert sorted(reading.find_identity("same")) == [(OTHER, 1), (P, 1)]
    assert sorted(name for name, _ in reading.document("4900")) == [OTHER, P]
    assert sorted(row.partition for row in reading.causes()) == [OTHER, P]
    assert (reading.waiting(), reading.waiting("erp"), reading.waiting("erp-b")) == (2, 1, 1)
    assert reading.troubles() == {"erp-b": "it sleeps"}
    assert reading.entities(OTHER, [("order", "1")]) == {("order", "1"): OTHER.encode()}
    moment = reading.moment()
    assert [moment.load(name, "order", ["1"]) for name in (P, OTHER)] == [{"1": P.encode()}, {"1": OTHER.encode()}]
    assert moment.positions() == {P: 1, OTHER: 1}
    moment.close()


def test_a_part_that_is_away_concerns_only_who_asks_for_what_lies_there(both: tuple[Openings, Openings]) -> None:
    one, _ = both
    state = one.state()
    state.commit(lease(state), [Changes(P, 1, facts={1: fact(1)}, postings={(1, 0): posting(1)})])

    def away() -> Reading:
        raise StateAway("nobody answers")

    reading = PartedReading(Parts(_where, lambda system: "", {"": one.reading, "b": away}))
    assert reading.fact(P, 1) is not None
    assert reading.moment().facts(P, [1])
    with pytest.raises(StateAway):
        reading.fact(OTHER, 1)
    with pytest.raises(StateAway):
        reading.positions()
    reading.close()
