"""Is everything booked on a true day? Documents against the days of their facts, and against the periods that plants were told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from synchromesh.model.event import FactCancelled, FactCorrected, PlantEvent
from synchromesh.sim.case import Case, Nature, named
from synchromesh.sim.evidence import Decided, Document, Word
from synchromesh.sim.told import FactId, Told
from synchromesh.sim.verdict import Fault, Finding


def closed(words: Sequence[Word], day: date) -> bool:
    """Whether the day's period is closed after these words: the newest one about it counts."""
    return next((not word.open for word in reversed(words) if word.first <= day <= word.last), False)


def first_open_days(words: Sequence[Word], day: date) -> set[date]:
    """The days on which a fact of this day could be booked at one time or another, because its own was closed then."""
    found = set()
    for count in range(1, len(words) + 1):
        later = day
        while closed(words[:count], later):
            later += timedelta(days=1)
        found.add(later)
    return found - {day}


def days_are_true(case: Case) -> Iterator[Finding]:
    """Each document stands on the day of a fact that it books, or on the first open day after it, and then keeps the fact's own day; a
    reversal stands at the earliest on the day of what it takes back."""
    days = _Days(case)
    for document in case.ours:
        original = case.numbers.get(document.reverses)
        subjects = " ".join([document.order] if document.order else [line.item for line in document.lines])
        if original is not None:
            if document.effective < original.effective:
                yield Finding(Fault.DAY, f"document {document.number} takes back {original.number} of a later day, {original.effective}")
            continue
        own = document.original or document.effective
        if own not in days.of(document):
            yield Finding(Fault.DAY, f"document {document.number} of {subjects} is booked on {own}")
        if document.original is not None and document.effective not in days.open_after(document.original):
            yield Finding(Fault.DAY, f"document {document.number} of {subjects} was moved from {own} to {document.effective}")


def closed_days_are_kept(case: Case) -> Iterator[Finding]:
    """Nothing that was decided for a day whose period was closed then, as the plant knew, was booked or asked for on that day, before the
    period was opened again; where a person is to be asked, not even then."""
    words = _by_plant(case.evidence.words)
    for posting in case.evidence.postings:
        day, decided = posting.effective, max(posting.place[:2])
        before = [word for word in words[posting.plant] if word.position < decided]
        if day is None or not closed(before, day):
            continue
        until = case.evidence.turned_away.get(posting.key)
        if until is None and posting.state not in ("posted", "reversed", "reversed outside"):
            continue
        after = [word for word in words[posting.plant][len(before) :] if until is None or word.position <= until]
        opened = any(word.open and word.first <= day <= word.last for word in after)
        if case.scene.closed_period == "ask" or not opened:
            yield Finding(Fault.DAY, f"{named(posting)} was sent for {day}, which was closed when it was decided")


class _Days:
    """The true days of documents."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._words = _by_plant(case.evidence.words)
        self._by_subject: dict[str, set[date]] = defaultdict(set)
        self._by_group: dict[tuple[str, int], set[date]] = defaultdict(set)
        self._corrected: set[tuple[str, int]] = set()
        self._numbered = {posting.document: posting for posting in case.evidence.postings if posting.document}
        for one in case.told.values():
            for subject in _subjects(case, one.plant, one.event):
                self._by_subject[subject].add(self._day(one))
        for received in case.evidence.received:
            place = (received.plant, received.position)
            if case.natures[place] is Nature.FACT and place in case.fates:
                self._note(case.told[received.fact], (received.plant, case.fates[place].group))

    def _note(self, told: Told, group: tuple[str, int]) -> None:
        self._by_group[group].add(self._day(told))
        if isinstance(told.event, FactCorrected | FactCancelled):
            self._corrected.add(group)

    def _day(self, told: Told) -> date:
        return told.at.astimezone(ZoneInfo(self._case.scene.zones[told.plant])).date()

    def of(self, document: Document) -> set[date]:
        """The days of the facts that the document books; of its order or items where a correction cut it or nobody says which facts."""
        posting: Decided | None = self._case.postings.get(document.key) or self._numbered.get(document.number)
        group = (posting.plant, posting.group) if posting is not None else ("", 0)
        if group[1] and group in self._by_group and group not in self._corrected:
            return self._by_group[group]
        subjects = [document.order] if document.order else [line.item for line in document.lines]
        return set[date]().union(*(self._by_subject[subject] for subject in subjects))

    def open_after(self, day: date) -> set[date]:
        """The first open days after this one, as any plant could know them."""
        return set[date]().union(*(first_open_days(words, day) for words in self._words.values()))


def _by_plant(words: Iterable[Word]) -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = defaultdict(list)
    for word in words:
        found[word.plant].append(word)
    return found


def _subjects(case: Case, plant: str, event: PlantEvent) -> set[str]:
    if isinstance(event, FactCorrected):
        return _subjects(case, plant, event.event)
    if isinstance(event, FactCancelled):
        original = case.told.get(FactId(plant, event.source, event.id))
        return _subjects(case, plant, original.event) if original else set()
    return {name for field in ("order", "item") if (name := getattr(event, field, ""))}
