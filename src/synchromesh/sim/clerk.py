"""A clerk at the desk: puts right what workers told wrongly once they say so, and has messages read again when their reader is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.records import HandBooking, Refused
from synchromesh.engine.desk import Desk, NotFitting
from synchromesh.engine.queue import Unknown
from synchromesh.engine.replay import ReplayRefused, Request, replay
from synchromesh.engine.selection import Selection, selected, span_of
from synchromesh.log.agreement import Log
from synchromesh.model.event import Correctable, FactRepaired
from synchromesh.model.message import Record
from synchromesh.model.posting import Posting, PostingKind
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import FactRow
from synchromesh.sim.chance import Chance
from synchromesh.sim.evidence import PutRight
from synchromesh.sim.slips import INTERFACE, Slip
from synchromesh.sim.told import FactId
from synchromesh.state.agreement import Reading

CLERK: Final = "clerk"
_EVERYTHING: Final = 1_000_000
_BY_HAND: Final = frozenset({PostingKind.ISSUE, PostingKind.RECEIPT, PostingKind.SCRAP})


class Clerk:
    """Knows what was meant by `slips`; notes what was put right, as a person would."""

    def __init__(self, slips: Iterable[Slip], chance: Chance, insist: Callable[[Callable[[], object]], None]) -> None:
        self._insist = insist
        self._open = {slip.meant.fact: slip for slip in slips}
        self._chance = chance
        self.put_right: list[PutRight] = []
        self.replayed: dict[str, int] = {}
        self.instead: dict[str, str] = {}

    def correct(self, desk: Desk, reading: Reading, rate: float) -> bool:
        """Some of the slips that have come to light are put right; whether any was."""
        decided = False
        for fact, slip in list(self._open.items()):
            row = _found(reading, fact)
            if row is None or not self._chance.happens(rate):
                continue
            del self._open[fact]
            by_message = not slip.readable or not isinstance(slip.meant.event, Correctable) or self._chance.happens(0.4)
            try:
                self._decide(desk, slip, row.position, by_message)
            except (NotFitting, Unknown):
                continue  # it was given up meanwhile
            self.put_right.append(PutRight(fact.plant, row.position, slip.meant, by_message))
            decided = True
        return decided

    def _decide(self, desk: Desk, slip: Slip, position: int, by_message: bool) -> None:
        meant = slip.meant
        if by_message:
            self._insist(lambda: desk.correct_payload(meant.plant, position, meant.body().decode(), CLERK, "the worker says so"))
            return
        assert isinstance(meant.event, Correctable)
        repaired = FactRepaired(position, CLERK, "the worker says so", meant.event)
        self._insist(lambda: desk.decide(meant.plant, repaired))

    def read_again(self, plant: str, reading: Reading, log: Log, now: datetime) -> bool:
        """All that a plant's WMS has written is read again, with the reader of now; what was right stays as it is. Whether anything was
        not right."""
        selection = Selection(plant, interface=INTERFACE)
        span = span_of(reading, [plant], selection)
        records = [each for each in _records(log, plant) if each.position <= span.last]
        request = Request(CLERK, "its reader is mended")
        self.replayed.setdefault(plant, span.last)
        try:
            done = replay(
                reading,
                lambda messages: self._insist(lambda: log.append(messages)),
                plant,
                selected(records, span, selection),
                request,
                now,
            )
        except ReplayRefused:
            return False  # nothing came from the WMS
        return done.decided > 0

    def book_by_hand(self, plant: str, reading: Reading, books: Books, now: datetime) -> None:
        """What ERP has refused is booked there by hand, and nobody tells the plant."""
        refused = [
            row for at, row in reading.exceptions("open", 100) if at == plant and row.posting and row.posting not in self.instead.values()
        ]
        if not refused:
            return
        row = reading.posting(plant, id_of(self._chance.one(refused).posting))
        if row is None or row.state != "rejected" or row.kind not in _BY_HAND:
            return
        content = msgspec.json.decode(row.content, type=Posting)
        entry = HandBooking(kind=content.kind, effective=content.effective, lines=content.lines, order=content.order, plant=plant)
        try:
            books.enter(entry, now)
        except Refused:
            return
        self.instead[list(books.documents)[-1]] = row.key


def _found(reading: Reading, fact: FactId) -> FactRow | None:
    """Where a fact stands, once the plant has come to it."""
    for plant, position in reading.find_identity(fact.id):
        row = reading.fact(plant, position)
        if plant == fact.plant and row is not None and row.source == fact.source:
            return row
    return None


def _records(log: Log, plant: str) -> Iterable[Record]:
    position = 0
    while records := log.read({plant: position}, _EVERYTHING).get(plant):
        yield from records
        position = records[-1].position
