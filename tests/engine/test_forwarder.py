"""What an edge took in reaches the installation's log: all of it, in order, whatever the line does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synchromesh.engine.forwarder import Forwarder
from synchromesh.log.agreement import LogAway
from synchromesh.log.memory import MemoryLog
from synchromesh.model.message import Message

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def message(plant: str, id: str) -> Message:
    return Message(plant, "mes", id, "synchromesh/1", NOON, b"{}")


class Line:
    """The way to the installation's log: it can be cut before an append and after it."""

    def __init__(self) -> None:
        self.cuts: list[str] = []
        self.log = MemoryLog(self._before, self._after)

    def _before(self, messages: Sequence[Message]) -> None:
        if self.cuts and self.cuts[-1] == "before":
            self.cuts.pop()
            raise LogAway("cut before")

    def _after(self, messages: Sequence[Message]) -> None:
        if self.cuts and self.cuts.pop() == "after":
            raise LogAway("cut after")

    def told(self, plant: str) -> list[str]:
        head = self.log.head().get(plant, 0)
        return [record.message.id for record in self.log.read({plant: 0}, max(head, 1)).get(plant, [])]


@given(
    st.lists(st.tuples(st.sampled_from(["oslo", "bergen"]), st.booleans()), max_size=30),
    st.lists(st.sampled_from(["before", "after", "none"]), max_size=10),
)
def test_everything_arrives_in_order_and_only_what_an_answer_was_lost_for_arrives_again(
    told: list[tuple[str, bool]], cuts: list[str]
) -> None:
    own, line, kept = MemoryLog(), Line(), {}
    lost = cuts.count("after")
    line.cuts = cuts

    def remember(sent: Mapping[str, int]) -> None:
        kept.update(sent)

    forwarder = Forwarder(own, line.log, {}, remember)
    expected: dict[str, list[str]] = {"oslo": [], "bergen": []}
    for number, (plant, restart) in enumerate(told):
        own.append([message(plant, f"m{number}")])
        expected[plant].append(f"m{number}")
        if restart:
            forwarder = Forwarder(own, line.log, kept, remember)
        step(forwarder)
    while any(kept.get(plant, 0) < position for plant, position in own.head().items()):
        step(forwarder)
    for plant, ids in expected.items():
        arrived = line.told(plant)
        assert list(dict.fromkeys(arrived)) == ids, "the first of each comes in order"
        assert len(arrived) <= len(ids) * (1 + lost)
    assert step(forwarder) == 0


def step(forwarder: Forwarder) -> int:
    try:
        return forwarder.step()
    except LogAway:
        return 0


def test_what_could_not_be_appended_is_not_remembered() -> None:
    own, line = MemoryLog(), Line()
    own.append([message("oslo", "m1")])
    line.cuts = ["before"]
    remembered: list[Mapping[str, int]] = []
    forwarder = Forwarder(own, line.log, {}, remembered.append)
    with pytest.raises(LogAway):
        forwarder.step()
    assert not remembered
    assert forwarder.step() == 1
    assert remembered == [{"oslo": 1}]
