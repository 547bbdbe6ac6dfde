"""Exceptions: what a person must look at, in words of the business. One per fact, one per posting, one per name waited for too long."""

from __future__ import annotations

from synchromesh.model.posting import Category
from synchromesh.plant import causes
from synchromesh.plant.rows import ExceptionRow, PostingId, PostingRow
from synchromesh.plant.view import View

Question = tuple[Category, str, str, str]
"""What a person is asked: category, subject, sentence, remedy."""


def open_for(view: View, row: PostingRow, category: Category, subject: str, sentence: str, remedy: str, detail: str = "") -> None:
    """About a posting. Its id is the posting's, so that there is one at a time and the end of the posting finds it."""
    _open(
        view,
        ExceptionRow(
            row.position, row.ordinal, category, subject, sentence, remedy, "open", row.order, row.key, view.clock().now, detail,
            facts=row.facts,
        ),
    )  # fmt: skip


def open_fact(
    view: View,
    position: int,
    category: Category,
    subject: str,
    sentence: str,
    remedy: str,
    order: str = "",
    ordinal: int = 0,
    facts: int = 1,
) -> None:
    """About the fact at `position` itself: it can't be understood, told from a repeat, or booked; or a name is late there."""
    _open(view, ExceptionRow(position, ordinal, category, subject, sentence, remedy, "open", order, "", view.clock().now, facts=facts))


def _open(view: View, row: ExceptionRow) -> None:
    """What was open about the same thing is replaced, with what people did about it; its age stays when its cause does."""
    known = view.exception((row.position, row.ordinal))
    if known is None or known.state != "open":
        view.totals().exceptions += 1
        causes.remember(view, row)
    elif (known.category, known.subject) == (row.category, row.subject):
        row.opened, row.assigned, row.listed = known.opened, known.assigned, known.listed
    else:
        causes.forget(view, known)
        causes.remember(view, row)
    if known is not None:
        row.doings = known.doings
    view.put_exception(row)


def resolve_for(view: View, row: PostingRow, state: str = "resolved") -> None:
    """The posting got on, or was given up: its exception, if there is one, is closed."""
    close(view, (row.position, row.ordinal), state)


def close(view: View, id_: PostingId, state: str = "resolved") -> None:
    known = view.exception(id_)
    if known is not None and known.state == "open":
        known.state, known.closed = state, view.clock().now
        view.totals().exceptions -= 1
        causes.forget(view, known)
        view.put_exception(known)


def note(view: View, id_: PostingId, by: str, what: str) -> None:
    """A person did something about an exception, open or not; nothing is noted of what happens by itself."""
    known = view.exception(id_) if by else None
    if known is not None:
        known.doings = (*known.doings, (view.clock().now, by, what))
        view.put_exception(known)


def warn(view: View, known: ExceptionRow, sentence: str) -> None:
    """Add to what a person is told to do about an open exception, once."""
    if sentence not in known.remedy:
        known.remedy = f"{known.remedy} {sentence}".lstrip()
        view.put_exception(known)


def assign(view: View, id_: PostingId, to: str, by: str) -> bool:
    """Somebody works on an open exception from now on, or nobody in particular (''); False when it is not open."""
    known = view.exception(id_)
    if known is None or known.state != "open":
        return False
    known.assigned = to
    view.put_exception(known)
    note(view, id_, by, f"assigned to {to}" if to else "assigned to nobody")
    return True
