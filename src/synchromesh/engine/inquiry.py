"""Questions about the whole: totals, recent facts, and the story of any fact from message to document and back.

The page, the HTTP API and the command line all ask here, so that nobody is shown two truths.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Final

import msgspec

from synchromesh.engine.duties import Duties
from synchromesh.engine.views import (
    DocumentView,
    ExceptionView,
    FactView,
    Latency,
    MessageView,
    PostingView,
    Story,
    Summary,
    SystemView,
    Trace,
)
from synchromesh.engine.wording import line_in_words
from synchromesh.log.agreement import Log, Trimmed
from synchromesh.model import subject
from synchromesh.model.instant import moment
from synchromesh.model.posting import Posting, Refusal
from synchromesh.plant.entities import KINDS, Entity, Lot, Names, Order, Pages, Totals
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of, plant_of
from synchromesh.plant.paged import page_key
from synchromesh.plant.rows import FactRow, PostingRow
from synchromesh.plant.waiting import RELEASE, REST, WAITING
from synchromesh.state.agreement import Reading

_posting: Final = msgspec.json.Decoder(Posting).decode
_refusal: Final = msgspec.json.Decoder(Refusal).decode
_told: Final = msgspec.json.Decoder(tuple[dict[str, object], ...]).decode
_decoders: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in KINDS.items()}

STORIES: Final = 50
"""The most facts that one search tells."""

BODY: Final = 4000
"""The most characters of a payload that are shown."""

SAMPLE: Final = 200
"""How many of the newest facts the latency is told from."""

WINDOW: Final = 5.0
"""Seconds that rates are taken over."""


class Inquiry:
    """Asks one store and one log. `clock` gives seconds that never go back, for rates; `now` the time of day."""

    def __init__(
        self,
        name: str,
        plants: Sequence[str],
        reading: Reading,
        log: Log,
        systems: Callable[[], tuple[SystemView, ...]],
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._plants = tuple(plants)
        self._reading = reading
        self._log = log
        self._systems = systems
        self._now = now
        self._clock = clock
        self._duties = Duties(reading, now)
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=600)

    # --- the whole -----------------------------------------------------------------------------------------------------

    def summary(self) -> Summary:
        """Totals by fate, rates, latency, what waits and what is open."""
        facts = documents = exceptions = 0
        fates: dict[str, int] = {}
        for plant in self._plants:
            totals = self._entity(plant, "totals", "")
            if isinstance(totals, Totals):
                facts += totals.facts
                documents += totals.documents
                exceptions += totals.exceptions
                for fate, count in totals.fates.items():
                    if count:
                        fates[fate] = fates.get(fate, 0) + count
        received, settled = self._rates(facts, documents)
        return Summary(
            name=self._name,
            at=self._now(),
            facts=facts,
            fates=fates,
            waiting=self._reading.waiting(),
            exceptions=exceptions,
            documents=documents,
            received_rate=received,
            settled_rate=settled,
            latency=self._latency(),
            plants=self._plants,
            systems=self._systems(),
        )

    def _rates(self, facts: int, documents: int) -> tuple[float | None, float | None]:
        now = self._clock()
        self._samples.append((now, facts, documents))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()
        then, facts_then, documents_then = self._samples[0]
        if now - then < 1.0:
            return None, None
        return round((facts - facts_then) / (now - then), 1), round((documents - documents_then) / (now - then), 1)

    def _latency(self) -> Latency | None:
        """From arrival to outcome of the newest facts that have documents of their own."""
        spans = []
        for plant, row in self._reading.recent(SAMPLE):
            if row.fate == Fate.BOOKED and row.group == row.position:
                settled = [posting.settled for posting in self._reading.postings_of(plant, row.group) if posting.state == "posted"]
                if settled:
                    spans.append(max(0, max(settled) - row.received) / 1000)
        if not spans:
            return None
        spans.sort()
        return Latency(round(spans[len(spans) // 2], 1), round(spans[min(len(spans) - 1, len(spans) * 99 // 100)], 1), len(spans))

    def recent(self, limit: int) -> list[FactView]:
        """The newest facts, newest first."""
        return [self._fact(plant, row, self._postings(plant, row)) for plant, row in self._reading.recent(limit)]

    def exceptions(self, limit: int) -> list[ExceptionView]:
        """The newest open exceptions, newest first."""
        return [self._duties.exception(plant, row) for plant, row in self._reading.exceptions("open", limit)]

    # --- one fact ------------------------------------------------------------------------------------------------------

    def story(self, plant: str, position: int) -> Story | None:
        """One fact from message to document; None when there is no fact at this position."""
        row = self._reading.fact(plant, position)
        if row is None:
            return None
        postings = self._postings(plant, row)
        ids = ((position, 0), *((posting.position, posting.ordinal) for posting in postings))
        raised = [self._duties.exception(plant, each) for id_ in ids if (each := self._reading.exception(plant, id_)) is not None]
        message = self._message(plant, position)
        return Story(
            fact=self._fact(plant, row, postings),
            message=message,
            events=_events(row),
            postings=tuple(_posting_view(plant, posting) for posting in postings),
            exceptions=tuple(raised),
            caused_by=tuple(dict.fromkeys(filter(None, (message.causation, *self._corrected(plant, row))))),
            led_to=(f"{plant}:{later}",) if (later := _corrected_by(row)) else (),
        )

    def _corrected(self, plant: str, row: FactRow) -> Iterator[str]:
        """The facts that a correction is about."""
        for event in _events(row) if row.type.startswith("correction.") else ():
            position = self._reading.identity(plant, str(event.get("source", "")), str(event.get("id", "")))
            if position is not None:
                yield f"{plant}:{position}"

    def held_up_by(self, view: ExceptionView, limit: int) -> list[Story]:
        """The facts that an exception holds up, so many at the most: those that its posting would book, those that wait for a name that is
        late, or the one that it is about."""
        plant = view.plant
        if view.posting:
            posting = self._reading.posting(plant, (view.position, view.ordinal))
            places = self._of_posting(plant, posting) if posting is not None else iter(())
        elif self._reading.fact(plant, view.position) is not None and not view.ordinal:
            places = iter([(plant, view.position)])
        else:
            names = (view.subject, RELEASE + view.subject, REST + view.subject)
            places = chain.from_iterable(self._waiting_for(plant, name) for name in names)
        stories = (self.story(*place) for place in islice(dict.fromkeys(places), limit))
        return [story for story in stories if story is not None]

    def _message(self, plant: str, position: int) -> MessageView:
        try:
            records = self._log.read({plant: position - 1}, 1).get(plant, [])
        except Trimmed:
            return MessageView(interface="")
        if not records:
            return MessageView(interface="")
        message = records[0].message
        return MessageView(
            interface=message.interface,
            content_type=message.content_type,
            size=len(message.body),
            body=message.body.decode("utf-8", "replace")[:BODY],
            correlation=message.correlation,
            causation=message.causation,
        )

    def _postings(self, plant: str, row: FactRow) -> list[PostingRow]:
        """The postings that book the fact: its group's, those that took their places, and those of its corrections."""
        found: dict[str, PostingRow] = {}
        for position in filter(None, dict.fromkeys((row.group, _corrected_by(row)))):
            for posting in self._reading.postings_of(plant, position):
                self._follow(plant, posting, found)
        return list(found.values())

    def _follow(self, plant: str, posting: PostingRow, found: dict[str, PostingRow]) -> None:
        while posting.key not in found:
            found[posting.key] = posting
            if not posting.successor:
                return
            after = self._reading.posting(plant, id_of(posting.successor))
            assert after is not None, "a successor exists"
            posting = after

    def _fact(self, plant: str, row: FactRow, postings: Sequence[PostingRow]) -> FactView:
        fate, reference = self._fate(plant, row, postings)
        return FactView(
            plant=plant,
            position=row.position,
            source=row.source,
            id=row.id,
            type=row.type,
            received=moment(row.received),
            fate=fate,
            reference=reference,
            order=row.order,
            lot=row.lot,
            occurred=moment(row.occurred) if row.occurred else None,
            documents=tuple(DocumentView(posting.document, posting.link) for posting in postings if posting.document),
        )

    def _fate(self, plant: str, row: FactRow, postings: Sequence[PostingRow]) -> tuple[str, str]:
        """Where the fact is now; a booked one's postings tell."""
        if row.fate != Fate.BOOKED:
            return row.fate, row.reference
        states = {posting.state for posting in postings}
        if not postings:
            order = self._entity(plant, "order", row.order) if row.order else None
            gathers = isinstance(order, Order) and order.lane.gather is not None and order.lane.gather.position == row.group
            return (Fate.GATHERED, subject.order(row.order)) if gathers else (Fate.RECORDED, "its gather closed with nothing left to book")
        if states & {"rejected", "in doubt", "reversed outside"}:
            return Fate.EXCEPTION, row.reference
        if states & {"waiting", "ready", "accepted", "parked"}:
            return Fate.BOOKING, next((posting.waits_for for posting in postings if posting.waits_for), row.reference)
        return Fate.BOOKED, row.reference

    # --- search --------------------------------------------------------------------------------------------------------

    def trace(self, query: str) -> Trace:
        """All facts of an order, a lot, a message id, a posting key or a document number."""
        matched: list[str] = []
        places: dict[tuple[str, int], None] = {}
        for word, found in (
            ("order", self._of_order(query)),
            ("lot", self._of_lot(query)),
            ("message", iter(self._reading.find_identity(query))),
            ("document", self._of_document(query)),
        ):
            before = len(places)
            for place in found:
                if len(places) > STORIES:
                    break
                places[place] = None
            if len(places) > before:
                matched.append(word)
        newest = sorted(places, key=lambda place: place[1], reverse=True)
        stories = [story for place in newest[:STORIES] if (story := self.story(*place)) is not None]
        return Trace(query=query, matched=tuple(matched), stories=tuple(stories), more=len(newest) > STORIES)

    def _of_order(self, name: str) -> Iterator[tuple[str, int]]:
        for plant in self._plants:
            order = self._entity(plant, "order", name)
            if isinstance(order, Order):
                yield from self._chain(plant, order.last_fact, lambda row: row.previous)
            yield from self._waiting_for(plant, subject.order(name))

    def _waiting_for(self, plant: str, thing: str) -> Iterator[tuple[str, int]]:
        """Facts on the list of what waits for something unknown, newest first: no order's chain has them yet."""
        name = WAITING + thing
        pages = self._entity(plant, "list", name)
        if not isinstance(pages, Pages):
            return
        for number in range(pages.last, pages.first - 1, -1):
            page = self._entity(plant, "list.page", page_key(name, number))
            if isinstance(page, Names):
                yield from ((plant, int(position)) for position in reversed(page.names))

    def _of_lot(self, name: str) -> Iterator[tuple[str, int]]:
        for plant in self._plants:
            items = self._entity(plant, "lot.items", name)
            keys = [f"{item}/{name}" for item in items.names] if isinstance(items, Names) else [name]
            for key in keys:
                lot = self._entity(plant, "lot", key)
                if isinstance(lot, Lot):
                    yield from self._chain(plant, lot.last_fact, lambda row: row.previous_of_lot)

    def _of_document(self, number: str) -> Iterator[tuple[str, int]]:
        """The facts of a document's group: the one that opened it, and the others along their order's chain."""
        for plant, posting in self._booked_as(number):
            yield from self._of_posting(plant, posting)

    def _of_posting(self, plant: str, posting: PostingRow) -> Iterator[tuple[str, int]]:
        yield plant, posting.group
        if posting.facts > 1 and posting.order:
            order = self._entity(plant, "order", posting.order)
            if isinstance(order, Order):
                for place in self._chain(plant, order.last_fact, lambda row: row.previous):
                    row = self._reading.fact(*place)
                    if row is not None and row.group == posting.group:
                        yield place

    def _booked_as(self, number: str) -> Iterable[tuple[str, PostingRow]]:
        found = self._reading.document(number)
        if found or number.count(":") != 3:
            return found
        plant = plant_of(number)
        return [(plant, each) for each in self._reading.postings_of(plant, _position(number)) if each.key == number]

    def _chain(self, plant: str, position: int, previous: Callable[[FactRow], int]) -> Iterator[tuple[str, int]]:
        while position:
            yield plant, position
            row = self._reading.fact(plant, position)
            position = previous(row) if row is not None else 0

    def _entity(self, plant: str, kind: str, name: str) -> Entity | None:
        value = self._reading.entities(plant, [(kind, name)]).get((kind, name))
        return None if value is None else _decoders[kind].decode(value)


def _position(key: str) -> int:
    try:
        position = id_of(key)[0]
    except ValueError:
        return 0
    return position if 0 < position < _BEYOND else 0


_BEYOND: Final = 1 << 40
"""No position is as high."""


def _corrected_by(row: FactRow) -> int:
    verb, _, position = row.reference.rpartition(" by ")
    return int(position) if verb in ("corrected", "cancelled") and position.isdigit() else 0


def _events(row: FactRow) -> tuple[dict[str, object], ...]:
    """The canonical events as told; nothing for what could not be understood, whose message shows what came."""
    try:
        return _told(row.told)
    except msgspec.MsgspecError:
        return ()


def _posting_view(plant: str, row: PostingRow) -> PostingView:
    refusal = _refusal(row.refusal) if row.refusal and row.state in ("rejected", "in doubt") else None
    content = _posting(row.content)
    return PostingView(
        plant=plant,
        position=row.position,
        ordinal=row.ordinal,
        key=row.key,
        kind=row.kind,
        state=row.state,
        target=row.target,
        decided=moment(row.decided),
        lines=tuple(line_in_words(line) for line in content.lines),
        order=row.order,
        facts=row.facts,
        waits_for=row.waits_for,
        document=DocumentView(row.document, row.link) if row.document else None,
        settled=moment(row.settled) if row.settled else None,
        sentence=refusal.sentence if refusal is not None else "",
        remedy=refusal.remedy if refusal is not None else "",
    )
