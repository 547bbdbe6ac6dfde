"""Decisions of one person where two are needed: what may have no effect, as the log has it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from synchromesh.log.agreement import Log
from synchromesh.model.event import DecisionApproved, DecisionEvent, DoubtSettled, FactRetried, PostingRetried
from synchromesh.model.message import OWN, Record
from synchromesh.sim.people import NAME

_VERBS: Final[Mapping[type[DecisionEvent], str]] = {PostingRetried: "retry", FactRetried: "retry", DoubtSettled: "settle"}
_decode: Final = msgspec.json.Decoder(DecisionEvent).decode
_ALL: Final = 1_000_000


def alone(log: Log, plants: Sequence[str], approvals: Collection[str]) -> set[tuple[str, int]]:
    """The places of decisions about one posting or fact that need a second person, and of approvals by who had proposed."""
    if not approvals:
        return set()
    return {(plant, record.position) for plant in plants for record in _records(log, plant) if _is_alone(record, approvals)}


def _is_alone(record: Record, approvals: Collection[str]) -> bool:
    if record.message.interface != OWN:
        return False
    try:
        decision = _decode(bytes(record.message.body))
    except msgspec.ValidationError:
        return False  # no decision, but another message of the system's own
    if isinstance(decision, DecisionApproved):
        return decision.by == NAME
    return _VERBS.get(type(decision), "") in approvals


def _records(log: Log, plant: str) -> Iterator[Record]:
    position = 0
    while records := log.read({plant: position}, _ALL).get(plant):
        yield from records
        position = records[-1].position
