"""Is the system's account of itself true? Acknowledgements, fates and exceptions, each against what was really told and refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from synchromesh.model.event import OrderCompleted, OrderStarted
from synchromesh.model.message import NATIVE
from synchromesh.sim.case import Case, Nature, named
from synchromesh.sim.days import closed
from synchromesh.sim.evidence import Decided, Fated, Opened, Received
from synchromesh.sim.repairs import lost
from synchromesh.sim.told import FactId
from synchromesh.sim.truth import Due
from synchromesh.sim.verdict import Fault, Finding


def acknowledged_is_kept(case: Case) -> Iterator[Finding]:
    """Law 1: what a source was told is received is in the log."""
    promised = Counter((m.partition, m.source, m.id, m.body) for m in case.evidence.acknowledged)
    held = Counter((r.plant, r.source, r.id, r.body) for r in case.evidence.received)
    for (plant, source, id, _), count in (promised - held).items():
        yield Finding(Fault.LOST, f"{FactId(plant, source, id)} was acknowledged {count} more times than it is in the log")


def corrections_are_told(case: Case) -> Iterator[Finding]:
    """What people say that a fact should have been is told in its place."""
    for right in lost(case.put_right, case.evidence.received):
        yield Finding(Fault.LOST, f"{right.plant} position {right.position} was corrected by a person, and nothing came of it")


def each_has_a_fate(case: Case) -> Iterator[Finding]:
    """Law 6: exactly one fate a message, and no fate without a message."""
    counts = Counter((fated.plant, fated.position) for fated in case.evidence.fates)
    for received in case.evidence.received:
        count = counts.pop((received.plant, received.position), 0)
        if count != int(not case.only_ends_input(received)):
            yield Finding(Fault.LOST if count == 0 else Fault.FATE, f"{_at(received)} has {count} fates")
    for plant, position in counts:
        yield Finding(Fault.FATE, f"{plant} position {position} has a fate, but no source told it")


def fates_are_true(case: Case) -> Iterator[Finding]:
    """Each fate is one that this message can truly have."""
    first = _firsts(case.evidence.received)
    for received in case.evidence.received:
        place = (received.plant, received.position)
        fated = case.fates.get(place)
        if fated is None:
            continue
        nature = case.natures[place]
        if nature is Nature.FACT:
            yield from _fact_is_true(case, received, fated, case.truth.due[received.fact])
        elif nature is Nature.REPEAT:
            if fated.fate != "duplicate":
                yield Finding(Fault.DOUBLED, f"{_at(received)} repeats position {first[received.fact]}, but its fate is {fated.fate}")
        elif fated.fate not in ("exception", "dismissed"):
            yield Finding(Fault.FATE, f"{_at(received)} is {nature.value}, but its fate is {fated.fate} ({fated.reference})")


def _fact_is_true(case: Case, received: Received, fated: Fated, due: Due) -> Iterator[Finding]:
    fate, place = fated.fate, (received.plant, received.position)
    if fate == "dismissed":
        if place not in case.evidence.people.dismissed and (fated.plant, fated.group) not in case.dismissed:
            yield Finding(Fault.LOST, f"{_at(received)} is dismissed, but nobody dismissed it")
    elif fate == "duplicate":
        yield Finding(Fault.LOST, f"{_at(received)} is called a duplicate of {fated.reference}, but it was told for the first time")
    elif (_may_wait(case, received, due) and fate in ("waiting", "exception")) or due is Due.OPEN:
        return
    elif fate == "recorded":
        if due in (Due.BOOKS, Due.UNKNOWN):
            yield Finding(Fault.LOST, f"{_at(received)} is recorded only ({fated.reference}), but it moves ERP's books")
    elif fate in ("booked", "booking", "gathered", "exception"):
        yield from _group_is_true(case, received, fated, due)
    else:
        yield Finding(Fault.REASON, f"{_at(received)} is {fate} ({fated.reference}), but nothing it needs is missing")


def _may_wait(case: Case, received: Received, due: Due) -> bool:
    """Whether the fact needs what ERP will never know, or ends an order of which something does."""
    event = case.told[received.fact].event
    return due is Due.UNKNOWN or (isinstance(event, OrderCompleted) and event.order in case.held_up)


def _group_is_true(case: Case, received: Received, fated: Fated, due: Due) -> Iterator[Finding]:
    """A fact on its way or at its end agrees with the postings of its group."""
    open_ones = [p for p in case.outstanding if p.plant == fated.plant and p.group == fated.group and fated.group]
    if fated.fate == "booked" and due in (Due.RECORDS, Due.UNKNOWN):
        yield Finding(Fault.FATE, f"{_at(received)} is called booked, but by the rules it can't be")
    if fated.fate == "booked" and any(p.state != "reversed outside" for p in open_ones):
        yield Finding(Fault.FATE, f"{_at(received)} is called booked, but {open_ones[0].key} is {open_ones[0].state}")
    if fated.fate == "exception" and not open_ones:
        yield Finding(Fault.REASON, f"{_at(received)} is an exception ({fated.reference}) without a true reason")
    if fated.fate in ("booking", "gathered") and not open_ones:
        yield Finding(Fault.LOST, f"{_at(received)} is still {fated.fate}, and no posting of its group is on its way")


def exceptions_have_reasons(case: Case) -> Iterator[Finding]:
    """Each open exception has a true reason, and each fact that is an exception can be found among them."""
    shown = {(opened.plant, opened.position) for opened in case.evidence.exceptions}
    about = {opened.posting for opened in case.evidence.exceptions if opened.posting}
    stuck = {(p.plant, p.group) for p in case.outstanding if p.key in about}
    for fated in case.evidence.fates:
        place = (fated.plant, fated.position)
        if fated.fate == "exception" and place not in shown and (fated.plant, fated.group) not in stuck:
            yield Finding(Fault.REASON, f"{fated.plant} position {fated.position} is an exception that nobody is shown")
    for opened in case.evidence.exceptions:
        posting = case.postings.get(opened.posting)
        true = _excused(case, opened) if posting is None else posting in case.outstanding
        if not true:
            at = f"{opened.plant} position {opened.position}"
            yield Finding(Fault.REASON, f"the exception at {at} has no true reason: {opened.sentence}")


def _excused(case: Case, opened: Opened) -> bool:
    """Whether an exception that is about no posting is about a fact that can't be booked, or a name that facts really wait for."""
    if case.natures.get((opened.plant, opened.position)) in (Nature.DAMAGED, Nature.REUSED):
        return True
    fated = case.fates.get((opened.plant, opened.position))
    if fated is not None and fated.fate in ("exception", "waiting"):
        return True
    return bool(opened.subject) and any(
        f.plant == opened.plant and f.fate == "waiting" and _subject(f.reference) == opened.subject for f in case.evidence.fates
    )


def _subject(reference: str) -> str:
    """What an exception about a wait names: the thing itself, whatever of it is waited for."""
    return reference.removeprefix("release of ").removeprefix("open facts of ")


def lateness_is_shown(case: Case) -> Iterator[Finding]:
    """What has waited until nothing is due any more is shown to a person, by the name of what it waits for."""
    shown = {(opened.plant, opened.subject) for opened in case.evidence.exceptions}
    for fated in case.evidence.fates if case.evidence.at_rest else ():
        if fated.fate == "waiting" and (fated.plant, _subject(fated.reference)) not in shown:
            yield Finding(Fault.REASON, f"{fated.plant} position {fated.position} waits for {fated.reference}, and nobody is shown that")


def traces_are_whole(case: Case) -> Iterator[Finding]:
    """A trace of an order walks to each of its facts, and once."""
    for (plant, order), chain in case.evidence.chains.items():
        for position, count in Counter(chain).items():
            if count > 1:
                yield Finding(Fault.FATE, f"the trace of order {order} walks {count} times to {plant} position {position}")
    for received in case.evidence.received:
        order, place = case.order_of(received), (received.plant, received.position)
        known = case.evidence.chains.get((received.plant, order))
        if isinstance(getattr(case.told.get(received.fact), "event", None), OrderStarted):
            continue  # one that is told before ERP knows the order is kept without it
        if received.interface != NATIVE and place in case.fates and case.fates[place].fate in ("exception", "dismissed"):
            continue  # one in a source's own words that nobody could read names no order
        if known is not None and case.natures[place] is Nature.FACT and received.position not in known and place in case.fates:
            yield Finding(Fault.FATE, f"the trace of order {order} does not walk to {_at(received)}")


def sums_are_right(case: Case) -> Iterator[Finding]:
    """Law 6: the system's own sums by fate are what its facts add up to."""
    fates = Counter(fated.fate for fated in case.evidence.fates)
    counted = {fate: count for fate, count in case.evidence.counted.items() if count}
    if counted and counted != fates:
        yield Finding(Fault.FATE, f"the system counts {counted}, and its facts are {dict(fates)}")


def outstanding_has_reasons(case: Case) -> Iterator[Finding]:
    """What is not booked was refused by ERP, or waits for what was refused or for a period to open; nothing simply stays behind."""
    blocked = {posting.plant for posting in case.outstanding if _refused(case, posting) or _waits_for_its_period(case, posting)}
    for posting in case.outstanding:
        waits = posting.state == "waiting" and posting.plant in blocked
        if not waits and not _refused(case, posting):
            yield Finding(Fault.LOST, f"{named(posting)} is {posting.state} for no true reason")


def _refused(case: Case, posting: Decided) -> bool:
    if posting.state == "reversed outside":
        return any(d.cancelled for d in case.evidence.documents if posting.key == d.key or posting.document == d.number)
    asked = case.scene.closed_period == "ask" and posting.state == "rejected" and _was_closed(case, posting)
    return asked or (posting.state in ("rejected", "accepted", "parked") and posting.key in case.evidence.refused)


def _waits_for_its_period(case: Case, posting: Decided) -> bool:
    """Whether it is the policy that the posting waits, and its period is closed still."""
    words = [word for word in case.evidence.words if word.plant == posting.plant]
    day = posting.effective
    return case.scene.closed_period == "wait" and posting.state == "waiting" and day is not None and closed(words, day)


def _was_closed(case: Case, posting: Decided) -> bool:
    day = posting.effective
    return day is not None and any(w.plant == posting.plant and not w.open and w.first <= day <= w.last for w in case.evidence.words)


def _at(received: Received) -> str:
    return f"{received.fact} (position {received.position})"


def _firsts(received: Iterable[Received]) -> dict[FactId, int]:
    firsts: dict[FactId, int] = {}
    for one in received:
        firsts[one.fact] = min(one.position, firsts.get(one.fact, one.position))
    return firsts
