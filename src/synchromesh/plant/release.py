"""Releasing: what a cause had stopped goes on, or is given up, a page a step and in its order."""

from __future__ import annotations

from synchromesh.plant import causes, exceptions, paged, repair
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
    for text in paged.take(view, causes.LIST + name):
        position, _, ordinal = text.partition("/")
        id_ = (int(position), int(ordinal))
        known = view.exception(id_)
        if known is None or known.state != "open" or causes.name_of(known.category, known.subject) != name:
            continue  # it was closed, or is about something else now
        if not (_retry(view, known, id_, cause.by, retell) if cause.verb == causes.RETRY else _dismiss(view, known, id_, cause)):
            paged.append(view, causes.LIST + name, text)
    pages = view.of(Pages, "list", causes.LIST + name)
    if pages is not None and pages.first <= cause.through:
        return False
    if view.of(Cause, "cause", name) is cause:
        cause.verb = cause.by = cause.reason = ""
        view.touch("cause", name)
    return True


def _retry(view: View, known: ExceptionRow, id_: PostingId, by: str, retell: Retell) -> bool:
    """Send or tell it again; False for what must not be: doubt, a repeat with other content, what was never understood."""
    if not known.posting:
        return repair.tell_again(view, id_, by, retell)
    row = view.posting(id_of(known.posting))
    if row is None or not repair.may_go_again(row):
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
