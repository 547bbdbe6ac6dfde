"""Posting periods: on which day a fact of a closed period is booked, or what it waits for."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from synchromesh.model import subject
from synchromesh.model.posting import Category
from synchromesh.plant import agenda, paged
from synchromesh.plant.entities import Periods
from synchromesh.plant.exceptions import Question
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import View

LIST: Final = "period:"
"""How the lists of postings that wait for a day's period begin."""


def closed(view: View, day: date) -> bool:
    """Whether the day's period is closed; the newest word about a day counts."""
    known = view.of(Periods, "periods", "")
    if known is None:
        return False
    text = day.isoformat()
    return next((not is_open for first, last, is_open in reversed(known.periods) if first <= text <= last), False)


def any_closed(view: View) -> bool:
    """Whether any word of a closing was heard at all: the common case needs no look at a day."""
    return view.of(Periods, "periods", "") is not None


def book_on(view: View, day: date) -> tuple[date, date | None]:
    """The day to book on and, where it differs, the fact's own. Only the policy "first open day" moves a fact, and only to a day that is
    open: when none is known, ERP is asked and says no."""
    if view.policy.closed_period != "first open day" or not closed(view, day):
        return day, None
    known = view.of(Periods, "periods", "")
    assert known is not None, "a period is closed"
    after = [date.fromisoformat(last) + _DAY for _, last, _ in known.periods if last < date.max.isoformat()]
    within = [date.fromisoformat(first) for first, _, is_open in known.periods if is_open]
    moved = next((each for each in sorted({*after, *within}) if each > day and not closed(view, each)), None)
    return (day, None) if moved is None else (moved, day)


_DAY: Final = timedelta(days=1)


def remembered(view: View, day: date, id_: PostingId) -> str:
    """What a posting of a closed day waits for by the policy "wait", in words; it is remembered until the period opens."""
    view.made(Periods, "periods", "").waiting[day.isoformat()] = None
    paged.append(view, LIST + day.isoformat(), f"{id_[0]}/{id_[1]}")
    return hold(day.isoformat())


def hold(day: str) -> str:
    return f"the period of {day} to open"


def question(row: PostingRow, day: date) -> Question:
    """What a person is asked about a posting of a day whose period is closed."""
    return (
        Category.CLOSED_PERIOD,
        subject.period(day),
        f"The {row.kind} for order {row.order or row.lane} belongs to a closed period.",
        "Open the period in ERP and retry, or dismiss the posting.",
    )


def changed(view: View, first: date, last: date, is_open: bool) -> None:
    """A period was opened or closed; what waits for a day that is open now goes on, a page a step."""
    known = view.made(Periods, "periods", "")
    entry = (first.isoformat(), last.isoformat(), is_open)
    known.periods = [*(period for period in known.periods if period[:2] != entry[:2]), entry]
    for day in known.waiting:
        if not closed(view, date.fromisoformat(day)):
            agenda.resume(view, LIST + day)


def freed(view: View, name: str) -> list[PostingId]:
    """The oldest page of a list of postings whose day is open now; none when it was closed again meanwhile, and then they wait on."""
    day = name.removeprefix(LIST)
    if closed(view, date.fromisoformat(day)):
        view.clock().resuming.remove(name)
        return []
    ids = [text.partition("/") for text in paged.take(view, name)]
    if view.get("list", name) is None:
        view.made(Periods, "periods", "").waiting.pop(day, None)
    return [(int(position), int(ordinal)) for position, _, ordinal in ids]
