"""Waiting by name: a fact about something unknown waits for that thing, and resumes in order when it arrives."""

from __future__ import annotations

from collections.abc import Callable

from synchromesh.model import subject
from synchromesh.model.posting import Category
from synchromesh.plant import agenda, exceptions, paged
from synchromesh.plant.entities import Expected, Pages
from synchromesh.plant.fates import Fate
from synchromesh.plant.rows import FactRow
from synchromesh.plant.view import View

WAITING = "waiting:"
LATE = "late:"
REST = "open facts of "
RELEASE = "release of "
OF_ITEM = " of item "
HOUR = 3_600_000_000
_CATEGORIES = {
    "order": Category.UNKNOWN_ORDER,
    "release": Category.ORDER_NOT_RELEASED,
    "item": Category.UNKNOWN_ITEM,
    "location": Category.UNKNOWN_LOCATION,
    "unit": Category.MISSING_UNIT,
}


def rest_of(order: str) -> str:
    """The name of what the end of an order waits for: whatever else of it waits."""
    return REST + subject.order(order)


def release_of(order: str) -> str:
    """The name of what facts about an order wait for that ERP has planned and not released."""
    return RELEASE + subject.order(order)


def for_order(view: View, order: str) -> bool:
    """Whether facts that waited for the order itself are still to be resumed."""
    return view.of(Pages, "list", WAITING + subject.order(order)) is not None


def worked_off(view: View, name: str) -> None:
    """Everything that waited for `name` was resumed; when that was an order, its end may go on."""
    kind, _, order = name.partition(" ")
    known = view.order(order) if kind == "order" else None
    if known is not None and not known.waiting:
        arrived(view, rest_of(order))


def wait(view: View, row: FactRow, name: str, order: str) -> None:
    """The fact waits for `name`; completion of its order waits for the fact."""
    row.fate, row.reference = Fate.WAITING, name
    row.order = row.order or order
    view.count(Fate.WAITING, 1)
    pages = paged.append(view, WAITING + name, str(row.position))
    if pages.count - pages.gone == 1:
        pages.since = view.clock().now
        if view.policy.waiting_hours:
            agenda.remind(view, pages.since + view.policy.waiting_hours * HOUR, LATE + name)
    known = view.order(row.order) if row.order else None
    if known is not None and _holds_up(row):
        known.waiting += 1
        view.touch("order", row.order)
    if name.startswith("fact "):
        view.made(Expected, "expected", "").names[name[5:]] = None
    elif name.startswith("unit "):
        view.made(Expected, "expected", _units_of(name.partition(OF_ITEM)[2])).names[name] = None


def _holds_up(row: FactRow) -> bool:
    """Whether the end of the fact's order counts this waiting: neither its own, nor one for the order itself, which no order counted."""
    return not row.reference.startswith(REST) and row.reference != subject.order(row.order)


def lists_for(order: str) -> tuple[str, ...]:
    """The lists of what may wait for word of an order."""
    return WAITING + subject.order(order), WAITING + release_of(order)


def arrived(view: View, name: str) -> None:
    """The thing is known now: what waits for it goes on, a page a tick, in the order it was told."""
    pages = view.of(Pages, "list", WAITING + name)
    if pages is None:
        return
    if pages.late:
        exceptions.close(view, (pages.late, pages.ordinal))
    agenda.resume(view, WAITING + name)


def _units_of(item: str) -> str:
    return f"units of {item}"


def item_arrived(view: View, item: str) -> None:
    """The item is known, or known better: also units that it does not name may be told in one that it does."""
    arrived(view, subject.item(item))
    expected = view.of(Expected, "expected", _units_of(item))
    if expected is not None:
        view.drop("expected", _units_of(item))
        for name in expected.names:
            arrived(view, name)


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
    hours = view.policy.waiting_hours
    if pages is None or pages.late or pages.count <= pages.gone or view.clock().now < pages.since + hours * HOUR:
        return
    if WAITING + name in view.clock().resuming:
        agenda.remind(view, view.clock().now + HOUR, LATE + name)  # it has come; what waits for it again is looked at later
        return
    view.touch("list", WAITING + name)
    pages.late, pages.ordinal = view.position, 0
    while view.exception((pages.late, pages.ordinal)) is not None:
        pages.ordinal += 1  # another name is late at the same tick
    category = _CATEGORIES.get(name.split(" ", 1)[0], Category.OTHER)
    exceptions.open_fact(
        view,
        view.position,
        category,
        name.removeprefix(RELEASE).removeprefix(REST),
        f"{pages.count - pages.gone} fact(s) wait for {name}, which is not known, longer than {hours} hours.",
        "Create or release it in its system of record, or dismiss the facts.",
        ordinal=pages.ordinal,
        facts=pages.count - pages.gone,
    )


def resume(view: View, name: str, retell: Callable[[View, FactRow], None], chain: Callable[[View, FactRow], None]) -> bool:
    """Fold again the oldest page of facts that waited for `name`; whether it is there, so that none of them waits for it again. Those that
    are dismissed or corrected by now only join their order's chain, when it was the order that they waited for."""
    there = True
    for text in paged.take(view, WAITING + name):
        row = view.fact(int(text))
        if row is None or row.fate != Fate.WAITING or row.reference != name:
            _forget_gone(view, name)
            if row is not None and row.fate in (Fate.RECORDED, Fate.DISMISSED) and name == subject.order(row.order):
                chain(view, row)
        else:
            view.count(Fate.WAITING, -1)
            waits_no_more(view, row)
            retell(view, row)
            there = there and (row.fate != Fate.WAITING or row.reference != name)
    return there


def _forget_gone(view: View, name: str) -> None:
    pages = view.of(Pages, "list", WAITING + name)
    if pages is not None:
        pages.gone -= 1  # taking the page has marked the list


def dismissed(view: View, row: FactRow) -> None:
    """A person dismissed a fact that waits. When it was the last one for this name, nothing is late any more."""
    pages = view.of(Pages, "list", WAITING + row.reference)
    if pages is not None:
        view.touch("list", WAITING + row.reference)
        pages.gone += 1
        if pages.late and pages.gone >= pages.count:
            exceptions.close(view, (pages.late, pages.ordinal))
            pages.late = 0
    waits_no_more(view, row)


def leave(view: View, row: FactRow) -> None:
    """A fact that waits shall be told as something else: it leaves the list without a trace, since it may come to stand there again."""
    name = WAITING + row.reference
    paged.remove(view, name, str(row.position))
    pages = view.of(Pages, "list", name)
    if pages is not None and pages.late and pages.gone >= pages.count:
        exceptions.close(view, (pages.late, pages.ordinal))
        pages.late = 0
    waits_no_more(view, row)


def waits_no_more(view: View, row: FactRow) -> None:
    """A fact of an order goes on, or was dismissed; when it was the last one that waited, the end of the order can go on too."""
    order = view.order(row.order) if row.order else None
    if order is None or not order.waiting or not _holds_up(row):
        return
    view.touch("order", row.order)
    order.waiting -= 1
    if not order.waiting:
        arrived(view, rest_of(row.order))
