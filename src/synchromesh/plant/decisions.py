"""What people decide: try again, settle doubt, correct, dismiss, release a whole cause, assign. A decision that no longer fits changes
nothing, and the audit trail says so.

A plant's policy may want a second person: then a decision is a proposal until somebody else approves it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from synchromesh.model.event import (
    CauseAssigned,
    CauseDismissed,
    CauseReleased,
    DecisionApproved,
    DecisionDenied,
    DecisionEvent,
    DifferenceAdjusted,
    DoubtSettled,
    Event,
    ExceptionsAssigned,
    FactCorrected,
    FactDismissed,
    FactRepaired,
    FactReplayed,
    FactRetried,
    PostingRetried,
    Proposable,
    StockAdjusted,
)
from synchromesh.model.instant import moment
from synchromesh.model.message import NATIVE, Message
from synchromesh.plant import causes, exceptions, outcomes, paged, reconciling, repair, replay
from synchromesh.plant.entities import Expected, Proposal
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of
from synchromesh.plant.policy import Verb
from synchromesh.plant.repair import Retell
from synchromesh.plant.rows import FactRow, PostingId, PostingRow
from synchromesh.plant.view import View

VERBS: Final[dict[type[Event], Verb]] = {
    PostingRetried: "retry",
    FactRetried: "retry",
    DoubtSettled: "settle",
    FactDismissed: "dismiss",
    FactRepaired: "correct",
    FactReplayed: "replay",
    CauseReleased: "release",
    CauseDismissed: "dismiss",
    DifferenceAdjusted: "adjust",
}
"""What a policy calls each decision that a second person may have to approve."""

REPAIR: Final = "synchromesh.repair"
"""The source of corrections that people make here. No edge takes messages of such a source."""

AUDIT: Final = "audit"
"""The list of all decisions: position and what came of each."""

PROPOSALS: Final = "proposals"
"""The list of positions of decisions that wait for a second person."""

DONE: Final = "done"
STALE: Final = "stale"
PROPOSED: Final = "proposed"
"""What came of a decision: it took effect, it fitted no more, or it waits for a second person."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode: Final = msgspec.json.Decoder(Proposable).decode


class Means(NamedTuple):
    """What a decision needs of the message that it came in: when that was received, how a fact is told again, and how one is told that
    people decided."""

    received: datetime
    retell: Retell
    tell: Callable[[View, StockAdjusted], None]


def decide(view: View, event: DecisionEvent, means: Means) -> None:
    """Fold a decision, and note it in the audit trail with what came of it."""
    paged.append(view, AUDIT, f"{view.position} {_folded(view, event, means)}")


def _folded(view: View, event: DecisionEvent, means: Means) -> str:
    """Let the decision do what it can now: what came of it."""
    if isinstance(event, DecisionApproved | DecisionDenied):
        return _judge(view, event, means)
    if isinstance(event, ExceptionsAssigned):
        assigned = [exceptions.assign(view, id_, event.to, event.by) for id_ in event.exceptions]
        return DONE if any(assigned) else STALE
    if isinstance(event, CauseAssigned):
        return DONE if causes.begin(view, event.category, event.subject, causes.ASSIGN, event.by, event.to) else STALE
    verb = VERBS[type(event)]
    if verb in view.policy.approvals:
        view.put("proposal", str(view.position), Proposal(_encode(event), view.clock().now))
        view.made(Expected, "expected", PROPOSALS).names[str(view.position)] = None
        _note(view, event, event.by, f"proposed to {verb} it")
        return PROPOSED
    return DONE if _do(view, event, means) else STALE


def _judge(view: View, event: DecisionApproved | DecisionDenied, means: Means) -> str:
    """A second person's word about a proposal. Nobody approves what is their own."""
    proposed = _proposed(view, event.position)
    approves = isinstance(event, DecisionApproved)
    if proposed is None or (approves and proposed.by == event.by):
        return STALE
    view.drop("proposal", str(event.position))
    view.made(Expected, "expected", PROPOSALS).names.pop(str(event.position), None)
    if isinstance(event, DecisionDenied):
        _note(view, proposed, event.by, f"denied what {proposed.by} had proposed: {event.reason}")
        return DONE
    return DONE if _do(view, proposed, means, event.by) else STALE


def _proposed(view: View, position: int) -> Proposable | None:
    """The decision that waits for a second person since this position."""
    known = view.of(Proposal, "proposal", str(position))
    return None if known is None else proposed(known)


def proposed(proposal: Proposal) -> Proposable:
    """What was proposed."""
    event: Proposable = _decode(proposal.event)
    return event


def _note(view: View, event: Proposable, by: str, what: str) -> None:
    """Note a doing with the exception that a decision is about; one about a whole cause stands in the audit trail only."""
    id_ = about(event)
    if id_ is not None:
        exceptions.note(view, id_, by, what)


def about(event: Proposable) -> PostingId | None:
    """The exception that a decision is about, by its position and ordinal; None for a whole cause."""
    match event:
        case PostingRetried() | DoubtSettled():
            try:
                return id_of(event.posting)
            except ValueError:
                return None
        case FactDismissed():
            return event.position, event.ordinal
        case FactRetried() | FactRepaired() | FactReplayed():
            return event.position, 0
    return None


def _do(view: View, event: Proposable, means: Means, approved_by: str = "") -> bool:
    """Let a decision take effect; False when it fits no more, and then nothing has changed."""
    by = f"{event.by}, approved by {approved_by}" if approved_by else event.by
    match event:
        case PostingRetried() | DoubtSettled():
            return _about_posting(view, event, by)
        case CauseReleased():
            return causes.begin(view, event.category, event.subject, causes.RETRY, by)
        case CauseDismissed():
            return causes.begin(view, event.category, event.subject, causes.DISMISS, by, event.reason)
        case DifferenceAdjusted():
            fits, adjustment = reconciling.approve(view, event, by)
            if adjustment is not None:
                means.tell(view, adjustment)
            return fits
        case _:
            return _about_fact(view, event, means, by)


def _about_posting(view: View, event: PostingRetried | DoubtSettled, by: str) -> bool:
    row = _posting(view, event.posting)
    if isinstance(event, DoubtSettled):
        if row is None or row.state != "in doubt":
            return False
        _settle(view, row, event, by)
        return True
    if row is None or not repair.may_go_again(row):
        return False
    _note(view, event, by, "sent it again" + (", as the last of its lane" if event.last else ""))
    repair.again(view, row, event.last)
    return True


def _about_fact(view: View, event: FactDismissed | FactRetried | FactRepaired | FactReplayed, means: Means, by: str) -> bool:
    match event:
        case FactDismissed():
            fact = _fact_at(view, event.position, event.ordinal)
            fits = fact is not None and repair.dismiss(view, fact, f"{by}: {event.reason}")
            if fits:
                _note(view, event, by, f"dismissed it: {event.reason}")
            return fits
        case FactRetried():
            return repair.tell_again(view, (event.position, 0), by, means.retell)
        case FactRepaired():
            return _repair(view, event, means.received, by)
        case FactReplayed():
            return replay.replay(view, event, by, means.retell)


def _settle(view: View, row: PostingRow, event: DoubtSettled, by: str) -> None:
    if event.document:
        _note(view, event, by, f"found it booked as {event.document}")
        outcomes.book(view, row, event.document)
    else:
        _note(view, event, by, "found it not booked, and sent it again")
        repair.again(view, row)


def _repair(view: View, event: FactRepaired, received: datetime, by: str) -> bool:
    """The correction becomes a message of this plant's own log. It counts for the day of what it corrects."""
    fact = view.fact(event.position)
    if fact is None or fact.fate in (Fate.DUPLICATE, Fate.DISMISSED):
        return False
    _note(view, event, by, f"corrected it: {event.reason}")
    body = _encode(FactCorrected(fact.source, fact.id, event.event))
    occurred = moment(fact.occurred or fact.received)
    cause = f"{view.partition}:{event.position}"
    view.forward(Message(view.partition, REPAIR, str(view.position), NATIVE, received, body, occurred=occurred, causation=cause))
    return True


def _posting(view: View, key: str) -> PostingRow | None:
    try:
        row = view.posting(id_of(key))
    except ValueError:
        return None
    return row if row is not None and row.key == key else None


def _fact_at(view: View, position: int, ordinal: int) -> FactRow | None:
    """The fact at this position, or the first one of those for which the posting of this ordinal was sent again there."""
    fact = view.fact(position)
    row = view.posting((position, ordinal or 1)) if fact is None else None
    return view.fact(row.group) if row is not None else fact
