"""Exceptions: what a person must look at, in words of the business. One per fact, one per posting, one per name waited for too long."""

from __future__ import annotations

from synchromesh.model.posting import Category
from synchromesh.plant.rows import ExceptionRow, PostingId, PostingRow
from synchromesh.plant.view import View

Question = tuple[Category, str, str, str]
"""What a person is asked: category, subject, sentence, remedy."""


def open_for(view: View, row: PostingRow, category: Category, subject: str, sentence: str, remedy: str, detail: str = "") -> None:
    """About a posting. Its id is the posting's, so that there is one at a time and the end of the posting finds it."""
    _open(
        view,
        ExceptionRow(row.position, row.ordinal, category, subject, sentence, remedy, "open", row.order, row.key, view.clock().now, detail),
    )


def _open(view: View, row: ExceptionRow) -> None:
    known = view.exception((row.position, row.ordinal))
    if known is None or known.state != "open":
        view.totals().exceptions += 1
    view.put_exception(row)


def resolve_for(view: View, row: PostingRow, state: str = "resolved") -> None:
    """The posting got on, or was given up: its exception, if there is one, is closed."""
    close(view, (row.position, row.ordinal), state)


def close(view: View, id_: PostingId, state: str = "resolved") -> None:
    known = view.exception(id_)
    if known is not None and known.state == "open":
        known.state, known.closed = state, view.clock().now
        view.totals().exceptions -= 1
        view.put_exception(known)


def open_fact(
    view: View, position: int, category: Category, subject: str, sentence: str, remedy: str, order: str = "", ordinal: int = 0
) -> None:
    """About the fact at `position` itself: it can't be understood, told from a repeat, or booked; or a name is late there."""
    _open(view, ExceptionRow(position, ordinal, category, subject, sentence, remedy, "open", order, "", view.clock().now))
