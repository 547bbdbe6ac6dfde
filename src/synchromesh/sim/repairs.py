"""What people put right, as the auditor counts it: corrections that they told, and what they said of messages that came wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from synchromesh.model.event import FactCorrected, PlantEvent
from synchromesh.model.message import NATIVE
from synchromesh.sim.evidence import Evidence, PutRight, Received
from synchromesh.sim.slips import misread, paper
from synchromesh.sim.told import FactId, Told

REPAIR: Final = "synchromesh.repair"
"""The source of what people tell in the place of a fact."""

REPLAY: Final = "synchromesh.replay"
"""The source of a correction that comes of a message that is read again."""

_decode: Final[msgspec.json.Decoder[PlantEvent]] = msgspec.json.Decoder(PlantEvent)
Place = tuple[str, int]


def heard(told: Sequence[Told], evidence: Evidence) -> tuple[dict[FactId, Told], dict[Place, Told]]:
    """What each fact says by the rules of the night, and by place what a message that came in a system's own words truly says."""
    facts = {one.fact: one for one in told}
    papers: dict[Place, Told] = {}
    for received in evidence.received:
        one = facts.get(received.fact)
        if received.interface != NATIVE and one is not None and received.body == paper(one):
            papers[received.plant, received.position] = one
    for (plant, position), one in sorted(papers.items(), reverse=True):  # what came first decides
        if position < evidence.mended.get(plant, 0):
            said = misread(one.event)
            facts.pop(one.fact, None)
            if said is not None:
                facts[one.fact] = msgspec.structs.replace(one, event=said)
    return facts, papers


def put_right(evidence: Evidence, papers: Mapping[Place, Told]) -> list[PutRight]:
    """All that people put right: one by one, and what stood in a range that they had read again once its reader was mended."""
    replayed = dict(evidence.people.replayed)
    ranges = [
        PutRight(plant, position, one, by_message=True)
        for (plant, position), one in papers.items()
        if position < evidence.mended.get(plant, 0) and position <= replayed.get(plant, 0)
    ]
    return [*evidence.people.put_right, *ranges]


def told_by_people(rights: Iterable[PutRight], evidence: Evidence, fated: Iterable[Place]) -> tuple[list[Told], set[Place]]:
    """What people's words come to: facts that correct others, and facts that are what they should have been from the beginning, with the
    places of these."""
    corrections = {(r.plant, r.position): r for r in (*evidence.received, *evidence.read_again) if r.source in (REPAIR, REPLAY)}
    fates = set(fated)
    told, instead = list[Told](), set[Place]()
    for right in rights:
        meant = right.meant
        mine = [r for r in corrections.values() if r.source == (REPLAY if right.by_message else REPAIR) and _corrects(r, right)]
        own = [r for r in mine if not right.by_message or (r.plant, r.position) in fates]
        event = {"type": "correction.corrected", "source": meant.source, "id": meant.id, "event": meant.event}
        told += [Told(meant.at, r.plant, r.source, r.id, msgspec.convert(event, FactCorrected)) for r in own]
        if right.by_message and not own:
            told.append(meant)
            instead.add((right.plant, right.position))
    return told, instead


def _corrects(received: Received, right: PutRight) -> bool:
    """Whether the message says what the person meant of this fact."""
    if received.plant != right.plant:
        return False
    if received.source == REPLAY:
        return received.about == right.position
    said = _decode.decode(received.body)
    return isinstance(said, FactCorrected) and (said.source, said.id, said.event) == (right.meant.source, right.meant.id, right.meant.event)


def lost(rights: Iterable[PutRight], received: Sequence[Received]) -> Iterator[PutRight]:
    """What people told in the place of a fact, and no log has."""
    told = [one for one in received if one.source == REPAIR]
    yield from (right for right in rights if not right.by_message and not any(_corrects(one, right) for one in told))
