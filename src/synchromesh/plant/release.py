"""Releasing: what a cause had stopped goes on, or is given up, a page a step and in its order."""

from __future__ import annotations

from synchromesh.plant import causes, exceptions, outside, paged, repair
from synchromesh.plant.entities import Cause, Pages
from synchromesh.plant.keys import id_of
from synchromesh.plant.repair import Retell
from synchromesh.plant.rows import ExceptionRow, PostingId
from synchromesh.plant.view import View


def step(view: View, name: str, retell: Retell) -> bool:
    """Work off the oldest page of a cause's list; whether there is nothing more to do now."""
    cause = view.of(Cause, "cause", name)
    if cause is None or not cause.verb:
        return True
    taken = paged.take(view, causes.LIST + name)
    # Looked at before anything is opened again: a list that has come to its end begins anew with its first page.
    pages = view.of(Pages, "list", causes.LIST + name)
    more = pages is not None and pages.first <= cause.through
    for known in _in_order(view, [row for text in taken if (row := _open(view, _id_of(text), name)) is not None]):
        id_ = (known.position, known.ordinal)
        done = _do(view, known, id_, cause, retell)
        if not done and _open(view, id_, name) is not None:
            paged.append(view, causes.LIST + name, f"{known.position}/{known.ordinal}")
    if not more and view.of(Cause, "cause", name) is cause:
        cause.verb = cause.by = cause.reason = ""
        view.touch("cause", name)
    return not more


def _do(view: View, known: ExceptionRow, id_: PostingId, cause: Cause, retell: Retell) -> bool:
    """Do to one exception what is being done to all; whether that closes it."""
    if cause.verb == causes.ASSIGN:
        exceptions.assign(view, id_, cause.reason, cause.by)
        return False
    return _retry(view, known, id_, cause.by, retell) if cause.verb == causes.RETRY else _dismiss(view, known, id_, cause)


def _id_of(text: str) -> PostingId:
    position, _, ordinal = text.partition("/")
    return int(position), int(ordinal)


def _open(view: View, id_: PostingId, name: str) -> ExceptionRow | None:
    """The exception, if it is open and still about this cause."""
    known = view.exception(id_)
    return known if known is not None and known.state == "open" and causes.name_of(known.category, known.subject) == name else None


def _in_order(view: View, found: list[ExceptionRow]) -> list[ExceptionRow]:
    """Those of one lane as they stand in it, the lanes as their exceptions were opened."""
    lanes: dict[str, int] = {}
    places: dict[PostingId, tuple[int, int]] = {}
    for index, known in enumerate(found):
        row = view.posting(id_of(known.posting)) if known.posting else None
        lane = view.lane(row.lane) if row is not None else None
        id_ = (known.position, known.ordinal)
        if row is None or lane is None or id_ not in lane.queue:
            places[id_] = (index, 0)
        else:
            places[id_] = (lanes.setdefault(row.lane, index), lane.queue.index(id_))
    return sorted(found, key=lambda known: places[known.position, known.ordinal])


def _retry(view: View, known: ExceptionRow, id_: PostingId, by: str, retell: Retell) -> bool:
    """Send or tell it again; False for what must not be: doubt, a repeat with other content, what was never understood."""
    if not known.posting:
        return repair.tell_again(view, id_, by, retell)
    row = view.posting(id_of(known.posting))
    if row is None or not repair.may_go_again(row):
        return False
    if not by and (found := outside.lookalikes(view, view.content((row.position, row.ordinal)))):
        exceptions.warn(view, known, f"It does not go on by itself: document {found[0]}, which somebody booked in ERP, looks the same.")
        return False
    exceptions.note(view, id_, by, "sent it again, with all of its cause")
    repair.again(view, row)
    return True


def _dismiss(view: View, known: ExceptionRow, id_: PostingId, cause: Cause) -> bool:
    row = view.posting(id_of(known.posting)) if known.posting else None
    fact = view.fact(row.group if row is not None else id_[0])
    if fact is None or not repair.dismiss(view, fact, f"{cause.by}: {cause.reason}"):
        return False
    exceptions.note(view, id_, cause.by, f"dismissed it, with all of its cause: {cause.reason}")
    return True
