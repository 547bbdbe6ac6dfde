"""What came of postings: the booked ledger moves, the lane goes on, or an exception says why not.

Outcomes may be told twice and late; each changes a posting only from a state in which it can be true.
"""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Outcome, PostingKind, Refusal
from synchromesh.plant import causes, exceptions, lanes, stock
from synchromesh.plant.entities import Expected, Lane
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import PostingRow
from synchromesh.plant.view import View

_encode: Final = msgspec.json.Encoder().encode
CANCELLED: Final = "cancelled documents"
"""The entity that remembers documents which were cancelled in ERP before their outcome was known here."""

LAST: Final = "Or send it as the last of its lane, when what stands behind it brings the stock."
UNDOING: Final = "Or dismiss it with its correction, and the document that it takes back stands."
"""What else a person may do about a posting that is refused: for want of stock, and about a reversal."""

# Members are looked up once: asking the enumeration costs as much as an addition.
_POSTED: Final = Fate.POSTED
_REVERSAL: Final = PostingKind.REVERSAL
_RECEIPT: Final = PostingKind.RECEIPT
OPEN: Final = frozenset({"ready", "accepted", "parked", "in doubt"})


def learn(view: View, outcome: Outcome) -> None:
    """Fold one outcome. One for a posting that this partition never made is ignored: it belongs to nobody here."""
    row = view.posting(id_of(outcome.key))
    if row is None or row.key != outcome.key:
        return
    if outcome.fate is _POSTED:
        _posted(view, row, outcome)
    elif row.state in OPEN or _takes_back(row, outcome):
        _not_posted(view, row, outcome)


def _takes_back(row: PostingRow, outcome: Outcome) -> bool:
    """Whether ERP rejects what it had booked: it names the document. Without it the refusal is of an earlier sending, and stale."""
    return row.state == "posted" and outcome.fate is Fate.REJECTED and outcome.document == row.document


def _posted(view: View, row: PostingRow, outcome: Outcome) -> None:
    if row.state in OPEN or (row.state == "rejected" and not row.successor):
        book(view, row, outcome.document, outcome.link)
    elif row.document != outcome.document:
        _unexpected(view, row, outcome)


def book(view: View, row: PostingRow, document: str, link: str = "") -> None:
    """The posting is in the books under `document`."""
    id_ = (row.position, row.ordinal)
    lane = None if row.alone else view.lane(row.lane)
    was_stuck = row.state in lanes.STUCK
    if lane is None:
        lanes.arrive_alone(view, row)
    else:
        lanes.finish(view, lane, row)
    row.state, row.document, row.link, row.waits_for, row.settled = "posted", document, link, "", view.clock().now
    view.put_posting(row)
    view.put_document(document, id_)
    view.totals().documents += 1
    view.unsend(id_)
    if was_stuck:
        exceptions.resolve_for(view, row)
    changes = stock.effects(view, id_)
    stock.arrive(view, changes)
    if row.kind == _REVERSAL:
        _reversed(view, view.content(id_).reverses)
    if lane is not None:
        lanes.promote(view, lane)
    lanes.serve(view, changes)
    if row.kind == _RECEIPT:
        causes.received(view, view.content(id_).lines)
    cancelled = view.of(Expected, "expected", CANCELLED)
    if cancelled is not None and document in cancelled.names:
        view.touch("expected", CANCELLED)
        del cancelled.names[document]
        reversed_outside(view, row)


def reversed_outside(view: View, row: PostingRow) -> None:
    """Somebody cancelled the posting's document in ERP by hand: the books have moved back, and a person decides what that means."""
    row.state, row.settled = "reversed outside", view.clock().now
    view.put_posting(row)
    lane = view.lane(row.lane)
    lanes.reopen(view, lane, row)
    lanes.stick(view, lane, row)
    stock.move_booked(view, stock.effects(view, (row.position, row.ordinal)), -1)
    exceptions.open_for(
        view,
        row,
        Category.OTHER,
        subject.document(row.document),
        f"Document {row.document} ({row.kind} for {row.order or row.lane}) was cancelled in ERP by hand.",
        "Retry to book it again, or dismiss it when the cancellation is right.",
    )


def _reversed(view: View, key: str) -> None:
    original = view.posting(id_of(key))
    assert original is not None, "a reversal names a posting that exists"
    original.state = "reversed"
    view.put_posting(original)


def _not_posted(view: View, row: PostingRow, outcome: Outcome) -> None:
    id_ = (row.position, row.ordinal)
    lane = view.lane(row.lane)
    row.settled = view.clock().now
    if outcome.fate is Fate.PARKED or outcome.fate is Fate.ACCEPTED:
        row.state = outcome.fate.value
        view.put_posting(row)
        return
    refusal = outcome.refusal or Refusal(
        Category.OTHER, subject.posting(row.key), "ERP did not say whether it booked this posting.", "Look in ERP and settle it."
    )
    row.refusal = _encode(refusal)
    if row.state == "posted":
        _unbook(view, lane, row)
    stuck_before = row.state in lanes.STUCK
    row.state = "rejected" if outcome.fate is Fate.REJECTED else "in doubt"
    view.put_posting(row)
    view.unsend(id_)
    if not stuck_before:
        lanes.stick(view, lane, row)
    exceptions.open_for(view, row, refusal.category, refusal.subject, refusal.sentence, _remedy(row, refusal), refusal.detail)
    if row.state == "rejected" and _is_to_be_reversed(view, lane, row):
        lanes.withdraw(view, lane, row)
        exceptions.resolve_for(view, row)
        lanes.promote(view, lane)


def _remedy(row: PostingRow, refusal: Refusal) -> str:
    """What ERP suggests, and what can be decided here."""
    here = [LAST] if refusal.category is Category.INSUFFICIENT_STOCK else []
    here += [UNDOING] if row.kind == PostingKind.REVERSAL else []
    return " ".join([refusal.remedy, *here]) if here else refusal.remedy


def _unbook(view: View, lane: Lane, row: PostingRow) -> None:
    """ERP took back what it had said: the books move back, and the posting is first in its lane again."""
    changes = stock.effects(view, (row.position, row.ordinal))
    stock.move_booked(view, changes, -1)
    stock.expect(view, changes, 1)
    lane.queue = ((row.position, row.ordinal), *lane.queue)
    lanes.reopen(view, lane, row)


def _is_to_be_reversed(view: View, lane: Lane, row: PostingRow) -> bool:
    """Whether a reversal of this posting stands behind it: then nothing was booked and nothing is to be undone."""
    for id_ in lane.queue:
        waiting = view.posting(id_)
        if waiting is not None and waiting.kind == PostingKind.REVERSAL and view.content(id_).reverses == row.key:
            return True
    return False


def _unexpected(view: View, row: PostingRow, outcome: Outcome) -> None:
    """A document for a posting that already has another, or that was given up: the books hold more than they should."""
    held = f"is booked as {row.document}" if row.document else f"was {row.state}"
    view.put_document(outcome.document, (row.position, row.ordinal))
    exceptions.open_for(
        view,
        row,
        Category.DUPLICATE,
        subject.document(outcome.document),
        f"ERP booked document {outcome.document} for a posting that {held}.",
        f"Cancel document {outcome.document} in ERP.",
    )
