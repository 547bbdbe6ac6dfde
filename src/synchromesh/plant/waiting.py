"""Waiting by name: a fact about something unknown waits for that thing, and resumes in order when it arrives."""

from __future__ import annotations

from collections.abc import Callable

from synchromesh.model.posting import Category
from synchromesh.plant import agenda, exceptions, paged
from synchromesh.plant.entities import Expected, Pages
from synchromesh.plant.fates import Fate
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import View

WAITING = "waiting:"
LATE = "late:"
REST = "open facts of order "
_CATEGORIES = {
    "order": Category.UNKNOWN_ORDER,
    "release": Category.ORDER_NOT_RELEASED,
    "item": Category.UNKNOWN_ITEM,
    "location": Category.UNKNOWN_LOCATION,
    "unit": Category.MISSING_UNIT,
}


def rest_of(order: str) -> str:
    """The name of what the end of an order waits for: whatever else of it waits."""
    return f"{REST}{order}"


def wait(view: View, row: FactRow, name: str, order: str) -> None:
    """The fact waits for `name`; completion of its order waits for the fact."""
    row.fate, row.reference = Fate.WAITING, name
    row.order = row.order or order
    view.count(Fate.WAITING, 1)
    pages = paged.append(view, WAITING + name, str(row.position))
    hours = view.policy.waiting_hours
    if pages.count == 1 and hours:
        agenda.remind(view, view.clock().now + hours * 3_600_000_000, LATE + name)
    known = view.order(row.order) if row.order else None
    if known is not None and _holds_up(row):
        known.waiting += 1
        view.touch("order", row.order)
    if name.startswith("fact "):
        view.made(Expected, "expected", "").names[name[5:]] = None


def _holds_up(row: FactRow) -> bool:
    """Whether the end of the fact's order counts this waiting: neither its own, nor one for the order itself, which no order counted."""
    return not row.reference.startswith(REST) and row.reference != f"order {row.order}"


def arrived(view: View, name: str) -> None:
    """The thing is known now: what waits for it goes on, a page a tick, in the order it was told."""
    pages = view.of(Pages, "list", WAITING + name)
    if pages is None:
        return
    if pages.late:
        exceptions.close(view, (pages.late, 0))
    agenda.resume(view, WAITING + name)


def told(view: View, source: str, id_: str) -> None:
    """A fact was told: corrections that came before it can go on."""
    expected = view.of(Expected, "expected", "")
    if expected is not None and expected.names and (key := f"{source}/{id_}") in expected.names:
        view.touch("expected", "")
        del expected.names[key]
        arrived(view, "fact " + key)


def late(view: View, name: str) -> None:
    """The service level of waiting has passed: an exception about the name, one for all facts that wait for it."""
    pages = view.of(Pages, "list", WAITING + name)
    if pages is None or pages.late:
        return
    view.touch("list", WAITING + name)
    pages.late = view.position
    category = _CATEGORIES.get(name.split(" ", 1)[0], Category.OTHER)
    exceptions.open_fact(
        view,
        view.position,
        category,
        name,
        f"{pages.count} fact(s) wait for {name}, which is not known, longer than {view.policy.waiting_hours} hours.",
        "Create or release it in its system of record, or dismiss the facts.",
    )


def resume(view: View, name: str, retell: Callable[[View, FactRow], None]) -> None:
    """Fold again the oldest page of facts that waited for `name`."""
    for text in paged.take(view, WAITING + name):
        row = view.fact(int(text))
        if row is None or row.fate != Fate.WAITING or row.reference != name:
            continue
        view.count(Fate.WAITING, -1)
        waits_no_more(view, row)
        retell(view, row)


def waits_no_more(view: View, row: FactRow) -> None:
    """A fact of an order goes on, or was dismissed; when it was the last one that waited, the end of the order can go on too."""
    order = view.order(row.order) if row.order else None
    if order is None or not order.waiting or not _holds_up(row):
        return
    view.touch("order", row.order)
    order.waiting -= 1
    if not order.waiting:
        arrived(view, rest_of(row.order))
