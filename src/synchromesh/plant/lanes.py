"""Lanes: postings of one order (or of one item's stock) in order, one on its way at a time, and the groups of facts they book.

A posting leaves its lane with a good end only. One that is refused or in doubt sticks at the head: what comes after it in this
lane waits, and nothing else does (law 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from synchromesh.model.posting import PostingKind
from synchromesh.plant import exceptions, periods, stock
from synchromesh.plant.entities import Group, Lane
from synchromesh.plant.exceptions import Question
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of, is_sent_again
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import Effect, View

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
HOLDS: Final = "; "
"""Between the things that one posting waits for."""

# Members are looked up once: asking the enumeration costs as much as an addition.
_REVERSAL: Final = PostingKind.REVERSAL
_BOOKED: Final = Fate.BOOKED
_BOOKING: Final = Fate.BOOKING
_EXCEPTION: Final = Fate.EXCEPTION
_DISMISSED: Final = Fate.DISMISSED
STUCK: Final = frozenset({"rejected", "in doubt", "reversed outside"})


def enqueue(lane: Lane, id_: PostingId, group: int, facts: int, before: PostingId | None = None) -> None:
    """The posting stands last in its lane, or before another one, on behalf of its group's facts."""
    if before is None:
        lane.queue += (id_,)
    else:
        index = lane.queue.index(before)
        lane.queue = (*lane.queue[:index], id_, *lane.queue[index:])
    hold(lane, group, facts)


def decided_after(view: View, lane: Lane, turn: int) -> PostingId | None:
    """The first posting in the lane's queue that was decided after this turn, if there is one."""
    return next((id_ for id_ in lane.queue if (row := view.posting(id_)) is not None and row.turn > turn), None)


def promote(view: View, lane: Lane) -> None:
    """Send the head of the lane, if it waits for nothing else. The caller has marked the lane as changed."""
    while lane.queue:
        id_ = lane.queue[0]
        row = view.posting(id_)
        assert row is not None, "a queued posting exists"
        if row.state != "waiting" or row.waits_for:
            return
        if row.kind == _REVERSAL and not _aim(view, lane, row):
            withdraw(view, lane, row)
            continue
        if not _dated(view, lane, row):
            return
        row.state = "ready"
        view.send(id_, row)
        return


def leave_alone(lane: Lane, row: PostingRow) -> None:
    """When the posting is on its way, and nothing else of the lane is open, the lane need not know of it: its good end is `arrive_alone`.
    The caller has put the posting into the lane just now."""
    if row.state == "ready" and len(lane.queue) == 1 and len(lane.groups) == 1:
        row.alone = True
        lane.queue = ()
        lane.groups = {}


def open_in(lane: Lane, posting: Callable[[PostingId], PostingRow | None]) -> tuple[PostingId, ...]:
    """What is open in a lane, in its order, for who only looks: also a posting that is alone on its way. Who changes a lane has it whole
    (`View.lane`)."""
    if lane.queue or not lane.last[0]:
        return lane.queue
    row = posting(lane.last)
    return (lane.last,) if row is not None and row.alone else ()


def arrive_alone(view: View, row: PostingRow) -> None:
    """`finish` for a posting that is alone: the facts of its group are booked."""
    row.alone = False
    view.move(_BOOKING, _BOOKED, row.facts)


def _dated(view: View, lane: Lane, row: PostingRow) -> bool:
    """Whether the posting may be sent on its day: the period may have been closed since it was decided. Else the policy says what becomes
    of it: it gets another day, waits, or a person is asked."""
    id_ = (row.position, row.ordinal)
    content = view.content(id_) if periods.any_closed(view) else None
    if content is None or not periods.closed(view, content.effective):
        return True
    match view.policy.closed_period:
        case "ask":
            ask(view, lane, row, periods.question(row, content.effective))
        case "wait":
            row.waits_for = periods.remembered(view, content.effective, id_)
            view.put_posting(row)
        case _:
            effective, original = periods.book_on(view, content.original or content.effective)
            dated = msgspec.structs.replace(content, effective=effective, original=original)
            row.content = _encode(dated)
            view.put_posting(row, dated)
            return True
    return False


def ask(view: View, lane: Lane, row: PostingRow, question: Question) -> None:
    """A person decides about the posting, as if ERP had refused it, without asking that."""
    row.state, row.waits_for = "rejected", ""
    stick(view, lane, row)
    exceptions.open_for(view, row, *question)
    view.put_posting(row)


def _aim(view: View, lane: Lane, row: PostingRow) -> bool:
    """Put the original's document into a reversal, whose content is frozen from here on, and no earlier day than the original's; False
    when nothing is left to reverse."""
    content = view.content((row.position, row.ordinal))
    original = view.posting(id_of(content.reverses))
    assert original is not None, "a reversal names a posting that exists"
    original = standing(view, original)
    if original.state == "reversed outside":
        abandon(view, lane, original)
    if original.state != "posted":
        return False
    day = max(content.effective, view.content((original.position, original.ordinal)).effective)
    aimed = msgspec.structs.replace(content, effective=day, reverses=original.key, reverses_document=original.document)
    row.content = _encode(aimed)
    view.put_posting(row, aimed)
    return True


def standing(view: View, row: PostingRow) -> PostingRow:
    """The posting that stands for this one now: itself, or the one that it was sent again as. What a correction put in its place is another
    one: what this one booked is to be reversed for that."""
    while row.successor and is_sent_again(row.successor):
        again = view.posting(id_of(row.successor))
        assert again is not None, "a successor exists"
        row = again
    return row


def abandon(view: View, lane: Lane, row: PostingRow) -> None:
    """A posting that others cancelled in ERP need not be booked again: what it booked was taken back by the plant too."""
    finish(view, lane, row)
    row.state, row.settled = "withdrawn", view.clock().now
    view.put_posting(row)
    exceptions.resolve_for(view, row)


def finish(view: View, lane: Lane, row: PostingRow) -> None:
    """The posting has its end: it leaves the lane; when it was the last of its group, the group's facts are booked."""
    id_ = (row.position, row.ordinal)
    if id_ in lane.queue:
        lane.queue = tuple([other for other in lane.queue if other != id_]) if len(lane.queue) > 1 else ()
    group = lane.groups.get(row.group)
    if group is None:
        return
    group.outstanding -= 1
    if row.state in STUCK:
        _unstick(view, group)
    if group.outstanding <= 0:
        view.move(_EXCEPTION if group.stuck else _BOOKING, _BOOKED, group.facts)
        del lane.groups[row.group]


def hold(lane: Lane, group: int, facts: int) -> None:
    """Keep the group alive while its postings are cut, also when some of them are given up again at once."""
    known = lane.groups.get(group)
    if known is None:
        lane.groups[group] = Group(facts, 1)
    else:
        known.outstanding += 1


def let_end(view: View, lane: Lane, group: int, made: int) -> None:
    """The group's postings are cut: it ends here when none is left, and its facts are booked if there ever were any."""
    known = lane.groups[group]
    known.outstanding -= 1
    if known.outstanding <= 0:
        del lane.groups[group]
        if made:
            view.move(_EXCEPTION if known.stuck else _BOOKING, _BOOKED, known.facts)


def reopen(view: View, lane: Lane, row: PostingRow) -> None:
    """A posting that had its good end is open again: ERP took it back, or somebody cancelled it there."""
    group = lane.groups.get(row.group)
    if group is None:
        first = view.fact(row.group)
        facts = 0 if first is not None and first.fate == _DISMISSED else row.facts
        lane.groups[row.group] = Group(facts, 1)
        view.move(_BOOKED, _BOOKING, facts)
    else:
        group.outstanding += 1


def stick(view: View, lane: Lane, row: PostingRow) -> None:
    """The posting is refused, in doubt or cancelled in ERP: its group's facts are an exception until somebody helps."""
    group = lane.groups[row.group]
    group.stuck += 1
    if group.stuck == 1:
        view.move(_BOOKING, _EXCEPTION, group.facts)


def dismiss(view: View, lane: Lane, group: int) -> int:
    """The facts that this lane counts for a group are dismissed, whatever becomes of the rest of its postings; how many they are."""
    known = lane.groups.get(group)
    if known is None:
        return 0
    facts, known.facts = known.facts, 0
    view.move(_EXCEPTION if known.stuck else _BOOKING, _DISMISSED, facts)
    return facts


def _unstick(view: View, group: Group) -> None:
    group.stuck -= 1
    if group.stuck == 0:
        view.move(_EXCEPTION, _BOOKING, group.facts)


def withdraw(view: View, lane: Lane, row: PostingRow) -> None:
    """A posting that certainly was not booked is given up: it leaves its lane and the ledgers expect nothing of it any more."""
    id_ = (row.position, row.ordinal)
    changes = stock.effects(view, id_)
    stock.expect(view, changes, -1)
    stock.leave(view, id_, changes)
    finish(view, lane, row)
    row.state, row.waits_for, row.settled = "withdrawn", "", view.clock().now
    view.put_posting(row)
    serve(view, changes)


def serve(view: View, changes: list[Effect]) -> None:
    """Balances have moved: postings that waited for stock there go on."""
    for key, _, _ in changes:
        for id_ in stock.released(view, key):
            let_go(view, id_, stock.hold(key))


def let_go(view: View, id_: PostingId, hold: str) -> None:
    """The posting waits for this no longer; when for nothing else and it is its turn, it is sent."""
    row = view.posting(id_)
    assert row is not None, "what waits exists"
    row.waits_for = HOLDS.join(each for each in row.waits_for.split(HOLDS) if each and each != hold)
    view.put_posting(row)
    promote(view, view.lane(row.lane))
