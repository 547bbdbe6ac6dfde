"""Causes: exceptions of one category and subject have one thing to be fixed. When that is fixed, all of them go on, in their order.

A release is worked off a page a step (see `plant.release`), and only what was open when it began: what is refused again for the same
reason waits for the next release.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from synchromesh.model import subject as subject_of
from synchromesh.model.posting import Category, Line
from synchromesh.plant import agenda, paged
from synchromesh.plant.entities import Cause, Expected, Pages
from synchromesh.plant.rows import ExceptionRow
from synchromesh.plant.view import View

LIST: Final = "cause:"
"""How the lists of exceptions of one cause begin; the cause's name follows."""

RETRY: Final = "retry"
DISMISS: Final = "dismiss"
ASSIGN: Final = "assign"

DAYS: Final = "days that exceptions are about"
LOTS: Final = "lots that exceptions are about"
"""Kept so that a receipt, of which there are very many, looks at one small thing and not for each lot's cause."""

OF_ITEM: Final = " of item "


def name_of(category: str, subject: str) -> str:
    """Under which name a cause is kept."""
    return f"{category}/{subject}"


def remember(view: View, row: ExceptionRow) -> None:
    """An exception is open: it stands among those of its cause."""
    name = name_of(row.category, row.subject)
    cause = view.made(Cause, "cause", name)
    cause.open += 1
    if cause.open == 1:
        index = _index_of(row.category, row.subject)
        if index:
            view.made(Expected, "expected", index).names[row.subject] = None
    paged.append(view, LIST + name, f"{row.position}/{row.ordinal}")
    row.listed = True


def forget(view: View, row: ExceptionRow) -> None:
    """The exception is closed. With the last one the cause has gone."""
    if not row.listed:
        return
    row.listed = False
    name = name_of(row.category, row.subject)
    cause = view.of(Cause, "cause", name)
    assert cause is not None, "an open exception has a cause"
    cause.open -= 1
    view.touch("cause", name)
    if not cause.open:
        _drop(view, name)
        index = _index_of(row.category, row.subject)
        known = view.of(Expected, "expected", index) if index else None
        if known is not None and row.subject in known.names:
            del known.names[row.subject]
            view.touch("expected", index)


def _drop(view: View, name: str) -> None:
    pages = view.of(Pages, "list", LIST + name)
    if pages is not None:
        for number in range(pages.first, pages.last + 1):
            view.drop("list.page", paged.page_key(LIST + name, number))
        view.drop("list", LIST + name)
    view.drop("cause", name)


def begin(view: View, category: str, subject: str, verb: str, by: str = "", reason: str = "") -> bool:
    """Do this to all exceptions that the cause has now; False when it has none. What a person wants goes before what happens by itself; who
    works on it is said when nothing else is being done."""
    name = name_of(category, subject)
    cause = view.of(Cause, "cause", name)
    pages = view.of(Pages, "list", LIST + name)
    if cause is None or pages is None or (cause.by and not by) or (cause.verb and verb == ASSIGN):
        return False
    view.touch("cause", name)
    cause.verb, cause.by, cause.reason, cause.through = verb, by, reason, pages.last
    view.touch("list", LIST + name)
    pages.last += 1  # what is opened from now on stands on another page
    agenda.resume(view, LIST + name)
    return True


def gone(view: View, category: Category, subject: str) -> None:
    """What was wrong is put right: everything that was refused for it is tried again."""
    if view.totals().exceptions:
        begin(view, category, subject, RETRY)


def item_changed(view: View, item: str) -> None:
    """An item is there, or has other units."""
    if not view.totals().exceptions:
        return
    gone(view, Category.UNKNOWN_ITEM, subject_of.item(item))
    known = view.of(Expected, "expected", _units_of(item))
    for each in tuple(known.names) if known is not None else ():
        gone(view, Category.MISSING_UNIT, each)


def received(view: View, lines: Iterable[Line]) -> None:
    """Output was booked: ERP knows a lot from the first receipt into it."""
    known = view.of(Expected, "expected", LOTS) if view.totals().exceptions else None
    if known is None or not known.names:
        return
    for line in lines:
        subject = subject_of.lot(line.lot, line.item)
        if line.lot and subject in known.names:
            gone(view, Category.UNKNOWN_LOT, subject)


def periods_changed(view: View, first: date, last: date) -> None:
    """A period of these days was opened."""
    known = view.of(Expected, "expected", DAYS) if view.totals().exceptions else None
    between = subject_of.period(first), subject_of.period(last)
    for each in sorted(known.names) if known is not None else ():
        if between[0] <= each <= between[1]:
            gone(view, Category.CLOSED_PERIOD, each)


def _index_of(category: str, subject: str) -> str:
    """Where subjects are listed that one does not know by name when they are put right."""
    if category == Category.CLOSED_PERIOD:
        return DAYS
    if category == Category.UNKNOWN_LOT:
        return LOTS
    if category == Category.MISSING_UNIT:
        return _units_of(subject.partition(OF_ITEM)[2])
    return ""


def _units_of(item: str) -> str:
    return f"exceptions about units of {item}"
