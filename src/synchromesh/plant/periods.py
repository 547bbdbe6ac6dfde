"""Posting periods: on which day a fact of a closed period is booked, or what it waits for."""

from __future__ import annotations

from datetime import date, timedelta

from synchromesh.plant.entities import Periods
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import View


def _closed(view: View, day: date) -> tuple[str, str, bool] | None:
    known = view.of(Periods, "periods", "")
    if known is None:
        return None
    text = day.isoformat()
    return next((period for period in known.periods if period[0] <= text <= period[1] and not period[2]), None)


def book_on(view: View, day: date) -> tuple[date, date | None]:
    """The day to book on and, where it differs, the fact's own. Only the policy "first open day" moves a fact."""
    if view.policy.closed_period != "first open day":
        return day, None
    moved = day
    while (period := _closed(view, moved)) is not None:
        moved = date.fromisoformat(period[1]) + timedelta(days=1)
    return (day, None) if moved == day else (moved, day)


def holds(view: View, day: date, id_: PostingId) -> list[str]:
    """What a posting of this day waits for by the policy "wait"; it is remembered until the period opens."""
    if view.policy.closed_period != "wait" or _closed(view, day) is None:
        return []
    view.made(Periods, "periods", "").waiting.append((day.isoformat(), *id_))
    return [hold(day.isoformat())]


def hold(day: str) -> str:
    return f"the period of {day} to open"


def asks(view: View, day: date) -> bool:
    """Whether the policy wants a person to decide about this day."""
    return view.policy.closed_period == "ask" and _closed(view, day) is not None


def question(row: PostingRow) -> tuple[str, str, str]:
    """Subject, sentence and remedy of the exception that asks."""
    return (
        "closed period",
        f"The {row.kind} for order {row.order or row.lane} belongs to a closed period.",
        "Open the period in ERP and retry, or dismiss the posting.",
    )


def changed(view: View, first: date, last: date, is_open: bool) -> list[tuple[PostingId, str]]:
    """A period was opened or closed; which postings wait for it no longer, each with the hold that is gone."""
    known = view.made(Periods, "periods", "")
    entry = (first.isoformat(), last.isoformat(), is_open)
    known.periods = sorted([period for period in known.periods if period[:2] != entry[:2]] + [entry])
    free = [(day, position, ordinal) for day, position, ordinal in known.waiting if _closed(view, date.fromisoformat(day)) is None]
    known.waiting = [entry for entry in known.waiting if entry not in free]
    return [((position, ordinal), hold(day)) for day, position, ordinal in free]
