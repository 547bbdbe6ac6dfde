"""What the auditor works on: the evidence, indexed, and what each message truly is."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Final

import msgspec

from synchromesh.model.event import FactCorrected, InputEnded, PlantEvent
from synchromesh.sim.evidence import Decided, Evidence, Received
from synchromesh.sim.repairs import heard, put_right, told_by_people
from synchromesh.sim.told import FactId, Scene, Told
from synchromesh.sim.truth import Due, Ledger

_OUTSTANDING: Final = frozenset({"waiting", "ready", "rejected", "in doubt", "accepted", "parked", "reversed outside"})

_DECODER: Final[msgspec.json.Decoder[PlantEvent]] = msgspec.json.Decoder(PlantEvent)


class Nature(enum.StrEnum):
    """What a message in the log truly is."""

    FACT = "fact"
    REPEAT = "a repeat"
    DAMAGED = "damaged"
    REUSED = "an identity used again for something else"


class Case:
    """One run under judgement. `instead` are places of messages in whose place people told what they should have said. `outstanding` are
    postings that ought to be booked and are not, `given_up` those that people dismissed; `truth` is of what arrived readable and was not
    dismissed by a person, and `finals` is what such facts say in the end."""

    def __init__(self, scene: Scene, told: Sequence[Told], evidence: Evidence) -> None:
        self.scene = scene
        self.fates = {(fated.plant, fated.position): fated for fated in evidence.fates}
        self.told, papers = heard(told, evidence)
        self.put_right = put_right(evidence, papers)
        by_people, self.instead = told_by_people(self.put_right, evidence, self.fates)
        again = [received for received in evidence.read_again if (received.plant, received.position) in self.fates]
        self.evidence = evidence = msgspec.structs.replace(evidence, received=[*evidence.received, *again])
        self.natures = _natures(self.told, evidence.received, papers, self.instead)
        self.told |= {one.fact: one for one in by_people}
        self.natures |= dict.fromkeys(_told_at(evidence.received, by_people), Nature.FACT)
        self.postings = {posting.key: posting for posting in evidence.postings}
        self.numbers = {document.number: document for document in evidence.documents}
        self.ours = [document for document in evidence.documents if not document.by_hand]
        self.outstanding = [posting for posting in evidence.postings if posting.state in _OUTSTANDING and not posting.replaced]
        self.given_up = self._given_up()
        self.dismissed = {(p.plant, p.group) for p in evidence.postings if p.key in evidence.people.given_up}
        """The groups of which people dismissed a posting, with all their facts: (plant, group)."""
        excluded, ledger = self._ledger()
        self.truth = ledger.truth(excluded)
        self.finals = ledger.finals(excluded)
        self.held_up = {self.order_of(received) for received in evidence.received if self._waits_for_ever(received)}
        """Orders of which some fact waits for what ERP will never know: their completion waits with it."""

    def _given_up(self) -> list[Decided]:
        """Postings that people dismissed and that would be booked else; not those whose reversal, by a correction, is moot."""
        given_up = {key: self.postings[key] for key in self.evidence.people.given_up if key in self.postings}
        for posting in self.evidence.postings:
            if not posting.reverses or posting.state != "withdrawn" or posting.replaced or posting.key in given_up:
                continue
            key = self._sent_again(posting.reverses)
            if key in given_up and given_up[key].group != posting.group:
                del given_up[key]
        return [posting for posting in given_up.values() if posting not in self.outstanding]

    def _sent_again(self, key: str) -> str:
        """The key of a posting, or of the one that it was sent again as at last."""
        group = self.postings[key].group
        while (after := self.postings.get(self.postings[key].successor)) and after.group == group:
            key = after.key
        return key

    def only_ends_input(self, received: Received) -> bool:
        """Whether the message says only that a source has come to its end, which is no fact and has no fate."""
        told = self.told.get(received.fact)
        readable = self.natures[received.plant, received.position] in (Nature.FACT, Nature.REPEAT)
        return readable and told is not None and isinstance(told.event, InputEnded)

    def order_of(self, received: Received) -> str:
        """The order that a readable message is about, or ''."""
        told = self.told.get(received.fact)
        event = told.event if told is not None else None
        order: str = getattr(event.event if isinstance(event, FactCorrected) else event, "order", "")
        return order

    def _waits_for_ever(self, received: Received) -> bool:
        fated = self.fates.get((received.plant, received.position))
        due = self.truth.due.get(received.fact)
        return fated is not None and fated.fate == "waiting" and due in (Due.UNKNOWN, Due.OPEN)

    def _changes(self) -> bool:
        """Whether ERP said something else of an order, or another policy was activated on the way."""
        terms, rules = self.evidence.terms, self.evidence.rules
        return len({term.order.order for term in terms}) < len(terms) or len({rule.plant for rule in rules}) < len(rules)

    def _scene_at(self, fact: FactId, arrived: Mapping[FactId, tuple[str, int]]) -> Scene:
        """What was true for the plant when the fact was told there: of its order, and by the rules."""
        place, told = arrived.get(fact), self.told.get(fact)
        if place is None or told is None:
            return self.scene
        event = told.event.event if isinstance(told.event, FactCorrected) else told.event
        words = [term for term in self.evidence.terms if term.plant == place[0] and term.order.order == getattr(event, "order", "")]
        terms = [term for term in words if term.position < place[1]][-1:] or words[:1]
        rules = [rule for rule in self.evidence.rules if rule.plant == place[0] and rule.position < place[1]][-1:]
        orders = {**self.scene.orders, **{term.order.order: term.order for term in terms}}
        scene = msgspec.structs.replace(self.scene, orders=orders)
        for rule in rules:
            scene = msgspec.structs.replace(scene, confirmations=rule.confirmations, yield_operation=rule.yield_operation)
        return scene

    def _ledger(self) -> tuple[set[FactId], Ledger]:
        """All that arrived readable, and which of it people dismissed."""
        arrived = {
            received.fact: (received.plant, received.position)
            for received in self.evidence.received
            if self.natures[received.plant, received.position] is Nature.FACT
        }
        ledger = Ledger(self.scene, at=(lambda fact: self._scene_at(fact, arrived)) if self._changes() else None)
        for fact, one in self.told.items():
            if fact in arrived:
                ledger.tell(one)
        return {fact for fact, place in arrived.items() if place in self.evidence.people.dismissed}, ledger


def named(posting: Decided) -> str:
    """A posting in words."""
    return f"{posting.plant}'s {posting.kind.value} {posting.key}"


def _told_at(received: Iterable[Received], told: Iterable[Told]) -> set[tuple[str, int]]:
    """Where corrections of people stand, each for the first time."""
    corrections = {one.fact for one in told if isinstance(one.event, FactCorrected)}
    first: dict[FactId, tuple[str, int]] = {}
    for one in sorted(received, key=lambda each: each.position):
        if one.fact in corrections:
            first.setdefault(one.fact, (one.plant, one.position))
    return set(first.values())


def _natures(
    told: Mapping[FactId, Told],
    received: Iterable[Received],
    papers: Mapping[tuple[str, int], Told] = MappingProxyType({}),
    instead: Set[tuple[str, int]] = frozenset(),
) -> dict[tuple[str, int], Nature]:
    """What each message is. One of `papers` says what its fact says; what people told `instead` of a message counts for it."""
    first: dict[FactId, bytes] = {}
    natures: dict[tuple[str, int], Nature] = {}
    for one in sorted(received, key=lambda r: (r.plant, r.position)):
        place = (one.plant, one.position)
        if one.fact not in first:
            first[one.fact] = one.body
            known = one.fact in told and (place in papers or _says(one.body, told[one.fact]))
            natures[place] = Nature.FACT if known or place in instead else Nature.DAMAGED
        else:
            natures[place] = Nature.REPEAT if one.body == first[one.fact] else Nature.REUSED
    return natures


def _says(body: bytes, told: Told) -> bool:
    """Whether the message says what the plant told, in whatever spelling of JSON."""
    if body == told.body():
        return True
    try:
        return _DECODER.decode(body) == told.event
    except msgspec.DecodeError:
        return False
