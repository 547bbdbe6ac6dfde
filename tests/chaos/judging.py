"""The verdict over a run that has come to rest: plant by plant, so that no more than one plant's history is in memory at a time.

The auditor is the simulation's. It judges by the business systems' books and by what the plants truly told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from tests.chaos.plants import Heard, Plant, retold

from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.app.verifying import verify
from synchromesh.sim.auditor import audit
from synchromesh.sim.evidence import Books, Document
from synchromesh.sim.told import Scene
from synchromesh.sim.verdict import Fault, Verdict
from synchromesh.sim.witness import Witness

MOST: Final = 50
"""So many findings of a plant say enough."""


class Judged(msgspec.Struct):
    """What came of a run: sums over all plants, and everything that is wrong."""

    received: int = 0
    facts: int = 0
    documents: int = 0
    findings: list[str] = []

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(self, plant: str, verdict: Verdict) -> None:
        self.received += verdict.received
        self.facts += verdict.facts
        self.documents += verdict.documents
        self.findings += [f"{plant}: {finding.fault.value}: {finding.sentence}" for finding in verdict.findings[:MOST]]


def judge(settings: Settings, books: Mapping[str, Callable[[], Books]], plants: Mapping[Plant, Heard]) -> Judged:
    """Judge every plant by its ERP's books, and each state by its log."""
    judged = Judged()
    for name, read in books.items():
        kept = read()
        theirs = {plant: heard for plant, heard in plants.items() if plant.erp == name}
        judged.findings += [f"{name}: {sentence}" for sentence in _strangers(kept, list(theirs))]
        for plant, heard in theirs.items():
            judged.add(plant.name, _plant(settings, kept, plant, heard))
    for each in verify(settings, lambda *_: None):
        if not each.ok:
            differences = "; ".join(f"{d.table} {d.key!r}: {d.problem}" for d in each.differences[:MOST])
            judged.findings.append(f"{each.partition}: the state at {each.position} is not what the log makes of it: {differences}")
    return judged


def _plant(settings: Settings, books: Books, plant: Plant, heard: Heard) -> Verdict:
    scene, told, acknowledged = retold(plant, heard)
    stores = Stores(settings)
    log = stores.log()
    try:
        witness = Witness(stores, log, _of(books, plant, scene), [plant.name])
        evidence = witness.evidence(acknowledged, frozenset())
        return audit(scene, told, witness.at_rest(evidence, scene.orders))
    finally:
        log.close()


def _of(books: Books, plant: Plant, scene: Scene) -> Books:
    """What of the books is about one plant."""
    documents = [document for document in books.documents if _owner(document) == plant.name]
    return Books(documents, {place: amount for place, amount in books.balances.items() if scene.homes.get(place.location) == plant.name})


def _strangers(books: Books, plants: Sequence[Plant]) -> Iterator[str]:
    """Documents that no plant of these can have had booked."""
    names = {plant.name for plant in plants}
    for document in books.documents:
        if _owner(document) not in names:
            yield f"{Fault.UNEXPLAINED.value}: document {document.number} has the key {document.key!r}"


def _owner(document: Document) -> str:
    return document.key.partition(":")[0].partition(".")[0]
