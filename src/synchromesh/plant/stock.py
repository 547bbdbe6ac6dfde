"""Stock in two ledgers: what was reported, and what is on the business system's books; and who waits for what.

A place is item, location, lot, status and owner. An outflow waits for quantity while the books, less earlier claims, do not cover it. When
nothing on its way would cover it either, its patience is bounded: then it is sent and the business system judges, so that no circle
of waiting can last.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from synchromesh.model.posting import Line, Posting, PostingKind
from synchromesh.plant.entities import Balance
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import PostingId
from synchromesh.plant.view import Effect, View

SEPARATOR: Final = "\x1f"
"""Between the parts of a key: no name of a plant contains this control character."""

# Members are looked up once: asking the enumeration costs as much as an addition.
_RECEIPT: Final = PostingKind.RECEIPT
_ADJUSTMENT: Final = PostingKind.ADJUSTMENT
_TRANSFER: Final = PostingKind.TRANSFER
_REVERSAL: Final = PostingKind.REVERSAL
_OUT: Final = frozenset({PostingKind.ISSUE, PostingKind.SCRAP})


def place(item: str, location: str, lot: str = "", status: str = "", owner: str = "") -> str:
    """The key of a balance."""
    return f"{item}{SEPARATOR}{location}{SEPARATOR}{lot}{SEPARATOR}{status}{SEPARATOR}{owner}"


def named(key: str) -> str:
    """A place in words."""
    item, location, lot, status, owner = key.split(SEPARATOR)
    words = [f"item {item} at {location or 'no location'}"]
    words += [f"{word} {value}" for word, value in (("lot", lot), ("status", status), ("owner", owner)) if value]
    return ", ".join(words)


def moves(kind: PostingKind, line: Line) -> list[Effect]:
    """What a booked line does to balances. Scrap of output never was in stock and moves nothing."""
    amount, unit = line.quantity.amount, line.quantity.unit
    if kind is _RECEIPT or kind is _ADJUSTMENT:
        return [(place(line.item, line.location, line.lot, line.status, line.owner), amount, unit)]
    if kind is _TRANSFER:
        return [
            (place(line.item, line.location, line.lot, line.status, line.owner), -amount, unit),
            (place(line.item, line.to_location, line.lot, line.to_status, line.owner), amount, unit),
        ]
    if kind in _OUT and line.location:
        return [(place(line.item, line.location, line.lot, line.status, line.owner), -amount, unit)]
    return []


def touched(
    kind: str, item: str, location: str, lot: str, status: str, owner: str, to_location: str = "", to_status: str = ""
) -> list[tuple[str, int]]:
    """The places that a line of this kind moves as it was reported, each with its sign. What is issued comes from somewhere, also when
    nobody said from where."""
    here = place(item, location, lot, status, owner)
    if kind in (_RECEIPT, _ADJUSTMENT):
        return [(here, 1)]
    if kind == _TRANSFER:
        return [(here, -1), (place(item, to_location, lot, to_status, owner), 1)]
    return [(here, -1)] if kind == PostingKind.ISSUE or (kind == PostingKind.SCRAP and location) else []


def effects(view: View, id_: PostingId) -> list[Effect]:
    """What a posting that exists does to balances. Its content is frozen, so it is worked out once."""
    known = view.effects.get(id_)
    if known is None:
        known = view.effects[id_] = effects_of(view, view.content(id_))
    return known


def effects_of(view: View, content: Posting) -> list[Effect]:
    """What a posting of this content does to balances; a reversal undoes what its original did."""
    if content.kind is _REVERSAL:
        return [(key, -amount, unit) for key, amount, unit in effects(view, id_of(content.reverses))]
    if len(content.lines) == 1:
        return moves(content.kind, content.lines[0])
    return _summed([effect for line in content.lines for effect in moves(content.kind, line)])


def _summed(effects: list[Effect]) -> list[Effect]:
    """One effect a place: two lines of one place need their stock together."""
    sums: dict[str, Effect] = {}
    for key, amount, unit in effects:
        known = sums.get(key)
        sums[key] = (key, amount, unit) if known is None else (key, known[1] + amount, unit)
    return list(sums.values())


def move_booked(view: View, changes: list[Effect], sign: int) -> None:
    """The books moved; with `sign` -1 they moved back."""
    for key, amount, unit in changes:
        balance = view.balance(key)
        balance.unit = balance.unit or unit
        balance.booked += amount if sign > 0 else -amount


def expect(view: View, changes: list[Effect], sign: int) -> bool:
    """A posting was decided (`sign` 1), or is no longer on its way (-1): its inflows are pending and its outflows claimed. Whether there
    are outflows."""
    takes = False
    for key, amount, unit in changes:
        balance = view.balance(key)
        balance.unit = balance.unit or unit
        if amount > 0:
            balance.pending += amount if sign > 0 else -amount
        else:
            balance.claimed += -amount if sign > 0 else amount
            takes = True
    return takes


def arrive(view: View, changes: list[Effect]) -> None:
    """The books moved as a posting had let expect."""
    for key, amount, unit in changes:
        balance = view.balance(key)
        balance.unit = balance.unit or unit
        balance.booked += amount
        if amount > 0:
            balance.pending -= amount
        else:
            balance.claimed += amount


def must_wait(view: View, id_: PostingId, changes: list[Effect]) -> list[str]:
    """The places whose stock this posting, already expected, must wait for; it stands in their queues from now on."""
    waits = []
    for key, amount, _ in changes:
        if amount >= 0:
            continue
        item = view.item(key.partition(SEPARATOR)[0])
        if item is None or not item.observed:
            continue
        balance = view.balance(key)
        if balance.queue or balance.booked < balance.claimed:
            balance.queue += ((id_[0], id_[1], -amount),)
            waits.append(key)
    return waits


def released(view: View, key: str) -> list[PostingId]:
    """Postings whose stock at this place is there now: they leave its queue, oldest first."""
    balance = view.of(Balance, "stock", key)
    free: list[PostingId] = []
    if balance is None or not balance.queue:
        return free
    view.touch("stock", key)
    waiting = sum((need for _, _, need in balance.queue), Decimal(0))
    for position, ordinal, need in balance.queue:
        if balance.booked - (balance.claimed - waiting) < need:
            break
        waiting -= need
        free.append((position, ordinal))
    balance.queue = balance.queue[len(free) :]
    return free


def hopeless(view: View, id_: PostingId, changes: list[Effect], behind: Iterable[PostingId]) -> bool:
    """Whether nothing on its way will bring what the posting waits for. What stands `behind` it in its lane comes after it."""
    inflows = [effect for other in behind for effect in effects(view, other) if effect[1] > 0]
    for key, amount, _ in changes:
        balance = view.balance(key)
        if amount < 0 and any(entry[:2] == id_ for entry in balance.queue):
            later = sum((inflow for place, inflow, _ in inflows if place == key), Decimal(0))
            if balance.booked + balance.pending - later < balance.claimed:
                return True
    return False


def leave(view: View, id_: PostingId, changes: list[Effect]) -> None:
    """The posting waits no longer anywhere: it was given up."""
    for key, amount, _ in changes:
        if amount < 0:
            balance = view.balance(key)
            balance.queue = tuple(entry for entry in balance.queue if entry[:2] != id_)


DISMISSED: Final = 20
"""How many dismissed postings a balance names."""


def leave_unbooked(view: View, id_: PostingId) -> None:
    """A person dismissed the posting: what it would have moved stays a difference between the two ledgers, and is known to be one."""
    for key, amount, _ in effects(view, id_):
        balance = view.balance(key)
        balance.unbooked += amount
        balance.dismissed = (*balance.dismissed, id_)[-DISMISSED:]


def hold(key: str) -> str:
    """What a posting that waits at this place waits for, in words."""
    return f"stock of {named(key)}"
