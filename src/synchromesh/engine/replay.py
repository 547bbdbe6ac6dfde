"""Replay of messages into the live plant: each is mapped again, judged, and where it says something else now, decided as replayed.

Mapping happens here, where adapters are; what it made is part of the decision, so that the fold stays a function of the log. A decision is
judged again when it is folded: between the two the plant goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Final, Literal

import msgspec

from synchromesh.engine.foreseen import FIRST, Listed
from synchromesh.engine.preview import Preview, foresee
from synchromesh.engine.reader import Reader
from synchromesh.engine.worker import own_message
from synchromesh.model.event import Activated, FactReplayed, PlantFact
from synchromesh.model.instant import micros
from synchromesh.model.instant import moment as moment_of
from synchromesh.model.message import ENTERPRISE, OWN, Message, Record
from synchromesh.plant import corrections
from synchromesh.plant.fact import BY_POLICY, Told
from synchromesh.plant.fates import Fate
from synchromesh.plant.fold import SEPARATOR_IN_JSON
from synchromesh.plant.replay import Course, Verdict, judge
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import AHEAD, View
from synchromesh.state.agreement import Moment, Reading

DECISIONS: Final = 50_000
"""The most facts that one replay changes. Select a smaller range for more."""

Mapping = Literal["current", "ran"] | Activated
"""Which mapping: the one that decides now, the one that ran then, or the content of an adapter that decides nowhere yet."""

RAN: Final = "ran"
CURRENT: Final = "current"


class ReplayRefused(ValueError):
    """The replay can't be done as asked; nothing was changed. The text says why and what to do."""


class Reviewed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message, and what a replay makes of its fact."""

    position: int
    source: str
    id: str
    course: str
    why: str = ""


class Replay(msgspec.Struct, frozen=True):
    """What a replay of `messages` messages comes to: how many facts take each course, the first that change, the first that can't be
    replayed, and what would happen then, when that was asked.

    `decided` is how many decisions were appended to the plant's log: 0 for a dry run.
    """

    partition: str
    messages: int
    courses: dict[str, int]
    changing: Listed[Reviewed]
    refused: Listed[Reviewed]
    decided: int = 0
    preview: Preview | None = None


class Request(msgspec.Struct, frozen=True):
    """Who wants a replay, why, with which mapping, and whether dismissed facts shall be told too."""

    by: str
    reason: str
    mapping: Mapping = CURRENT
    dismissed: bool = False


def review(
    reading: Reading,
    partition: str,
    records: Iterable[Record],
    request: Request,
    now: datetime,
    *,
    first: int = FIRST,
    preview: bool = False,
) -> tuple[Replay, list[Message]]:
    """What a replay of these messages comes to, from one moment of the store, and the decisions that it takes. Nothing is written.

    Raises `ReplayRefused` when it is too much or nothing at all, or without a name and a reason.
    """
    check(request)
    courses = {str(course): 0 for course in Course}
    listed: dict[bool, list[Reviewed]] = {True: [], False: []}
    decisions: list[Message] = []
    messages = 0
    with closing(reading.moment()) as moment:
        for record, decision, verdict in judged(moment, partition, records, request):
            messages += 1
            courses[verdict.course] += 1
            if verdict.course is Course.SAME:
                continue
            changes = decision is not None and verdict.course is not Course.REFUSED
            if len(listed[changes]) < first:
                message = record.message
                listed[changes].append(Reviewed(record.position, message.source, message.id, verdict.course, verdict.why))
            if changes and decision is not None:
                part = msgspec.structs.replace(decision, run=f"{request.by}:{micros(now)}"[-_LONGEST:])
                decisions.append(own_message(partition, f"replay:{record.position}:{micros(now)}", part, now))
            if len(decisions) > DECISIONS:
                raise ReplayRefused(f"more than {DECISIONS:,} facts would change; replay a smaller range")
        if not messages:
            raise ReplayRefused("no message of a plant was selected; nothing was changed")
        foreseen = foresee(moment, partition, moment.positions().get(partition, 0), decisions, now, first=first) if preview else None
    refused = courses[Course.REFUSED]
    changing = Listed(len(decisions), tuple(listed[True]))
    return Replay(partition, messages, courses, changing, Listed(refused, tuple(listed[False])), 0, foreseen), decisions


def replay(
    reading: Reading,
    append: Callable[[list[Message]], object],
    partition: str,
    records: Iterable[Record],
    request: Request,
    now: datetime,
    *,
    first: int = FIRST,
    progress: Callable[[int, int], None] = lambda done, end: None,
) -> Replay:
    """Replay these messages into the live plant: the decisions are appended to its log, some at a time, and folded there. To be done again
    after a crash: what was replayed already says the same then, and is left alone."""
    reviewed, decisions = review(reading, partition, records, request, now, first=first)
    for start in range(0, len(decisions), CHUNK):
        append(decisions[start : start + CHUNK])
        progress(min(start + CHUNK, len(decisions)), len(decisions))
    return msgspec.structs.replace(reviewed, decided=len(decisions))


CHUNK: Final = 500
"""Decisions that are appended at once: the plant's own messages come in between."""


def check(request: Request) -> None:
    """Raises `ReplayRefused` for a request that no audit trail could keep."""
    for name, value in (("by", request.by), ("reason", request.reason)):
        if not value or len(value) > _LONGEST:
            raise ReplayRefused(f"{name} must have 1 to {_LONGEST} characters: the audit trail keeps who replays, and why")


_LONGEST: Final = 128


# --- one message ---------------------------------------------------------------------------------------------------------------


def judged(
    moment: Moment, partition: str, records: Iterable[Record], request: Request
) -> Iterator[tuple[Record, FactReplayed | None, Verdict]]:
    """Each message that a source told, with the decision that replays it and what that would make of its fact. Synchromesh's own messages
    and what speaks of master data are left out."""
    if partition == ENTERPRISE:
        raise ReplayRefused("the enterprise partition has no facts; name a plant")
    view = View(partition, moment)
    reader = Reader(view)
    if isinstance(request.mapping, Activated):
        reader.use(request.mapping)
    for record in records:
        view.begin(record.position)
        fact = view.fact(record.position)
        if record.message.interface == OWN or fact is None or not _is_of(record, request):
            continue
        told = _as_ran(record, fact) if request.mapping == RAN else reader.read(record)
        yield record, *_judged(view, fact, told, request, _name_of(reader, record, request))
        view.committed()


def _is_of(record: Record, request: Request) -> bool:
    """An adapter that was handed in replays the messages of its interface only."""
    return not isinstance(request.mapping, Activated) or record.message.interface == request.mapping.name


def _name_of(reader: Reader, record: Record, request: Request) -> str:
    """What the audit trail calls the mapping."""
    return RAN if request.mapping == RAN else reader.digest(record.message.interface) or record.message.interface


def _as_ran(record: Record, fact: FactRow) -> Told:
    """What the mapping made of the message when it was told: the fact has kept it."""
    message = record.message
    known = corrections.understood(fact)
    events = corrections.decode_told(fact.told) if known else ()
    recorded = fact.reference if fact.fate == Fate.RECORDED and not known else ""
    refused = "" if known or recorded else "The mapping that ran refused the message, and would refuse it again."
    occurred = moment_of(fact.occurred) if fact.occurred else None
    return Told(
        record.position, message.source, message.id, message.interface, message.received, occurred, events, fact.told, recorded, refused
    )


def _judged(view: View, fact: FactRow, told: Told, request: Request, mapping: str) -> tuple[FactReplayed | None, Verdict]:
    """The decision, if the message can be decided about, and what would come of it."""
    why = _unusable(view, fact, told)
    if why:
        return None, Verdict(Course.REFUSED, why)
    decision = FactReplayed(
        position=fact.position,
        by=request.by,
        reason=request.reason,
        mapping=mapping,
        events=tuple(each for each in told.events if isinstance(each, PlantFact)),
        recorded=told.recorded,
        occurred=told.occurred,
        dismissed=request.dismissed,
    )
    return decision, judge(view, decision)


def _unusable(view: View, fact: FactRow, told: Told) -> str:
    """Why the message can be no fact of a plant by this mapping, in words; '' when it can."""
    if told.refused:
        return f"the mapping refuses it: {told.refused}"
    if not all(isinstance(each, PlantFact) for each in told.events):
        return "the mapping makes master data of it, which may be newer by now; have its owner tell it again"
    if SEPARATOR_IN_JSON in told.told:
        return "it has the control character U+001F in a name, which no plant's name has"
    applied = fact.fate == Fate.BOOKED or (fact.fate == Fate.RECORDED and corrections.understood(fact))
    return "" if applied or not told.events else _ageless(view, fact, told)


def _ageless(view: View, fact: FactRow, told: Told) -> str:
    """Why a fact that was not applied yet has no age. That when it came counts: from then on it was remembered."""
    horizon = view.policy.horizon_days * 86_400 if told.horizon == BY_POLICY else told.horizon
    if horizon < 0:
        return ""
    if told.occurred is None:
        return "it has no time of its own, so it could not be told from a repeat"
    if not -AHEAD <= fact.received - micros(told.occurred) <= horizon * 1_000_000:
        return "it was older than its interface's horizon when it came, or lay in the future, so it could not be told from a repeat"
    return ""
