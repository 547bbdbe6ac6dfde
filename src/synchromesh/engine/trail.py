"""Decisions of people in words: what the audit trail, the page and the command line say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from synchromesh.model import event as ev
from synchromesh.model.quantity import Quantity, plain

NAMED: Final = 5
"""The most exceptions of one assignment that are named."""


def in_words(decision: ev.DecisionEvent) -> str:
    """What was decided, as the end of a sentence that begins with who decided it."""
    return _WORDS[type(decision)](decision)


def _retried(decision: ev.PostingRetried) -> str:
    return f"sent {decision.posting} again" + (", as the last of its lane" if decision.last else "")


def _settled(decision: ev.DoubtSettled) -> str:
    found = f"booked as {decision.document}" if decision.document else "not booked, and had it sent again"
    return f"found {decision.posting} {found}"


def _assigned(decision: ev.ExceptionsAssigned) -> str:
    ids = [f"{position}.{ordinal}" for position, ordinal in decision.exceptions]
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return f"assigned {', '.join(ids[:NAMED])}{more} to {decision.to or 'nobody'}"


def _repaired(decision: ev.FactRepaired) -> str:
    return f"corrected the fact at {decision.position} to {event_in_words(decision.event)}: {decision.reason}"


def _replayed(decision: ev.FactReplayed) -> str:
    payload = ", with a corrected payload" if decision.payload else ""
    read = "; ".join(map(event_in_words, decision.events)) or f"recorded only ({decision.recorded})"
    return f"had the message at {decision.position} read again{payload}, as {read}: {decision.reason}"


def _adjusted(decision: ev.DifferenceAdjusted) -> str:
    return f"approved the correction of stock {decision.proposal}" + (f": {decision.reason}" if decision.reason else "")


# Each function takes the event type that it stands under; a mapping from type to function can't say that to the type checker.
_WORDS: Final[dict[type[ev.Event], Callable[[Any], str]]] = {
    ev.PostingRetried: _retried,
    ev.DoubtSettled: _settled,
    ev.ExceptionsAssigned: _assigned,
    ev.FactDismissed: lambda each: f"dismissed the fact at {each.position}: {each.reason}",
    ev.FactRetried: lambda each: f"had the fact at {each.position} told again, as it was",
    ev.FactRepaired: _repaired,
    ev.FactReplayed: _replayed,
    ev.CauseReleased: lambda each: f"had everything tried again that was stopped by “{each.category}: {each.subject}”",
    ev.CauseDismissed: lambda each: f"dismissed everything that was stopped by “{each.category}: {each.subject}”: {each.reason}",
    ev.CauseAssigned: lambda each: f"assigned everything that is stopped by “{each.category}: {each.subject}” to {each.to or 'nobody'}",
    ev.DecisionApproved: lambda each: f"approved what was proposed at {each.position}",
    ev.DecisionDenied: lambda each: f"denied what was proposed at {each.position}: {each.reason}",
    ev.DifferenceAdjusted: _adjusted,
}


def event_in_words(event: ev.Event) -> str:
    """An event by its name and what it says: `production.reported (order 4711, good 9 EA)`."""
    return f"{type(event).__struct_config__.tag} ({', '.join(_said(event))})"


def _said(event: ev.Event) -> Iterator[str]:
    for name in event.__struct_fields__:
        value, word = getattr(event, name), name.replace("_", " ")
        if isinstance(value, Quantity):
            yield f"{word} {plain(value.amount)} {value.unit}"
        elif isinstance(value, tuple) and value:
            yield f"{word} {', '.join(map(str, value))}"
        elif isinstance(value, str | int) and value:
            yield f"{word} {value}"
