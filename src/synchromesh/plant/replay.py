"""Replay: a message is mapped again, and the fact becomes what it should have been, once.

Where nothing of the fact was applied, it is told anew in its own place. What was applied is corrected: a fact of its own, at the position
of the decision, takes back what the fact says now and tells what it says by the new mapping, so that the difference is booked and the
trail stays. A fact that says the same already is left alone: whoever replays twice changes nothing the second time.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from synchromesh.model.event import CanonicalEvent, FactCancelled, FactCorrected, FactReplayed
from synchromesh.model.instant import micros
from synchromesh.model.posting import Category
from synchromesh.plant import corrections, exceptions, waiting
from synchromesh.plant.entities import Said
from synchromesh.plant.fates import Fate
from synchromesh.plant.repair import Retell
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import View

REPLAY: Final = "synchromesh.replay"
"""The source of corrections that a replay makes. No edge takes messages of such a source."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Course(enum.StrEnum):
    """What a replay makes of a fact."""

    ANEW = "told anew"
    """Nothing of it was applied: it is told in its own place, as the new mapping says."""
    CORRECTED = "corrected"
    """It says something else now; the difference is booked."""
    CANCELLED = "cancelled"
    """The new mapping only records it: what it said is taken back."""
    SAME = "the same"
    """It says the same already; nothing changes."""
    REFUSED = "not replayable"
    """It can't be replayed; a sentence says why."""


class Verdict(msgspec.Struct, frozen=True):
    """What would become of a fact, and why where that needs saying."""

    course: Course
    why: str = ""


SAME: Final = Verdict(Course.SAME)
ANEW: Final = Verdict(Course.ANEW)


def replay(view: View, event: FactReplayed, by: str, retell: Retell) -> bool:
    """Let the replay take effect; False when it changes nothing."""
    course = judge(view, event).course
    fact = view.fact(event.position)
    if fact is None or course in (Course.SAME, Course.REFUSED):
        return False
    exceptions.note(view, (fact.position, 0), by, f"replayed it: {event.reason}")
    if course is Course.ANEW:
        _tell_anew(view, fact, event, retell)
    else:
        _correct(view, fact, event, retell)
    return True


# --- judging -----------------------------------------------------------------------------------------------------------------


def judge(view: View, event: FactReplayed) -> Verdict:
    """What the replay would make of its fact as it is now. Nothing is changed."""
    fact = view.fact(event.position)
    if fact is None:
        return _refused("there is no fact at this position")
    if _repeats(view, fact):
        return _refused("it came again under the identity of another fact, which counts; replay that one")
    if fact.reference.startswith((corrections.CORRECTED, corrections.CANCELLED)):
        return _judge_corrected(view, fact, event)
    if fact.fate == Fate.DISMISSED:
        return _judge_dismissed(fact, event)
    return _judge_applied(view, fact, event) if fact.fate in _APPLIED and corrections.understood(fact) else _judge_unapplied(fact, event)


_APPLIED: Final = (Fate.BOOKED, Fate.RECORDED)


def _repeats(view: View, fact: FactRow) -> bool:
    """Whether it is a repeat, or was taken for one: which of the two is right, no mapping can say."""
    known = view.exception((fact.position, 0))
    return fact.fate == Fate.DUPLICATE or (known is not None and known.category == Category.DUPLICATE)


def _refused(why: str) -> Verdict:
    return Verdict(Course.REFUSED, why)


def _judge_corrected(view: View, fact: FactRow, event: FactReplayed) -> Verdict:
    """Only what a replay has corrected is corrected by a replay again: a source's or a person's own word counts more than a mapping."""
    verdict = _judge_applied(view, fact, event)
    position = int(fact.reference.rpartition(" ")[2])
    correction = view.fact(position)
    if verdict.course is Course.SAME or (correction is not None and correction.source == REPLAY):
        return verdict
    source = correction.source if correction is not None else "nobody known"
    return _refused(f"it was {fact.reference}, a message of {source}, whose word counts; correct that one")


def _judge_dismissed(fact: FactRow, event: FactReplayed) -> Verdict:
    if not event.dismissed:
        return _refused(f"it was dismissed ({fact.reference}); ask for dismissed facts too, if it shall be booked after all")
    if fact.group:
        return _refused("its posting was given up with it, and what it reported counts as booked; report it under an identity of its own")
    if not event.events:
        return SAME  # dismissed or only recorded: nothing is booked
    if corrections.understood(fact) and _moves(fact, event):
        return _refused("it was dismissed, and it is of another order now; report it under an identity of its own")
    return ANEW


def _judge_unapplied(fact: FactRow, event: FactReplayed) -> Verdict:
    """It waits, was refused, or is only kept by a rule of its adapter."""
    if not corrections.understood(fact):
        return SAME if fact.fate == Fate.RECORDED and fact.reference == event.recorded and not event.events else ANEW
    if event.events == corrections.decode_told(fact.told) and _same_time(fact, event):
        return Verdict(Course.SAME, "the mapping makes the same of it; what it waits for, or was refused for, is to be put right")
    if not event.events:
        return Verdict(Course.CANCELLED)
    if not _moves(fact, event):
        return ANEW
    return _correctable(event.events) or Verdict(Course.CORRECTED)


def _judge_applied(view: View, fact: FactRow, event: FactReplayed) -> Verdict:
    now = corrections.current(view, fact)[0]
    if now == event.events:
        if not now or _same_time(fact, event):
            return SAME
        return _refused("only its time would change, and a correction moves no day; cancel it and report it again under another identity")
    verdict = _correctable(now) or _correctable(event.events)
    if verdict is not None:
        return verdict
    return Verdict(Course.CORRECTED if event.events else Course.CANCELLED)


def _correctable(events: tuple[CanonicalEvent, ...]) -> Verdict | None:
    """A refusal when something among these can't be corrected, or told as a correction."""
    wrong = next((each for each in events if not isinstance(each, corrections.CORRECTABLE)), None)
    return None if wrong is None else _refused(f"a fact of type {type_of(wrong)} can't be corrected or told as a correction")


def _same_time(fact: FactRow, event: FactReplayed) -> bool:
    return fact.occurred == (micros(event.occurred) if event.occurred is not None else 0)


def _moves(fact: FactRow, event: FactReplayed) -> bool:
    """Whether the fact stands in the chain of an order that it would leave: a chain that others are linked to is never cut."""
    chained = bool(fact.order) and fact.reference != f"order {fact.order}"
    return chained and str(getattr(event.events[0], "order", "")) != fact.order


def type_of(event: CanonicalEvent) -> str:
    """The event's name."""
    return str(type(event).__struct_config__.tag)


# --- doing -------------------------------------------------------------------------------------------------------------------


def _tell_anew(view: View, fact: FactRow, event: FactReplayed, retell: Retell) -> None:
    """The fact is what the new mapping says, as if it were told now."""
    if fact.fate == Fate.WAITING:
        waiting.leave(view, fact)
    if view.of(Said, "said", str(fact.position)) is None:
        view.put("said", str(fact.position), Said(fact.told))
    view.count(Fate(fact.fate), -1)
    exceptions.close(view, (fact.position, 0))
    if not event.events:
        fact.fate, fact.reference = Fate.RECORDED, event.recorded
        view.count(Fate.RECORDED, 1)
        view.put_fact(fact)
        return
    if fact.reference == f"order {fact.order}":
        fact.order = ""  # no order's chain has it yet
    fact.told, fact.type = _encode(event.events), type_of(event.events[0])
    fact.occurred = micros(event.occurred) if event.occurred is not None else 0
    retell(view, fact)


def _correct(view: View, fact: FactRow, event: FactReplayed, retell: Retell) -> None:
    """A fact of its own says what the first one should have said. It counts for the day of what it corrects."""
    told: FactCorrected | FactCancelled = FactCancelled(fact.source, fact.id, event.reason)
    if event.events:
        first, *more = event.events
        assert isinstance(first, corrections.CORRECTABLE), "judged"
        told = msgspec.convert(
            {"type": "correction.corrected", "source": fact.source, "id": fact.id, "event": first, "more": more}, FactCorrected
        )
    identity = (REPLAY, str(view.position))
    row = FactRow(
        view.position, *identity, type_of(told), view.clock().now, fact.occurred or fact.received, "", "", Fate.RECORDED, "", 0, 0, 0,
        _encode((told,)),
    )  # fmt: skip
    view.remember(identity, view.position)
    view.totals().facts += 1
    view.totals().others -= 1  # the decision was counted as a message that is no fact
    retell(view, row)
