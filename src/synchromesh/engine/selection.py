"""Which messages of a plant are meant: a range of positions or of time, an interface, a message by its id, or what one cause stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.engine.replay import ReplayRefused
from synchromesh.model.message import ENTERPRISE, OWN, Record
from synchromesh.model.posting import Aware
from synchromesh.plant.entities import Order
from synchromesh.plant.keys import id_of
from synchromesh.plant.rows import ExceptionRow, PostingRow
from synchromesh.state.agreement import Reading

PAGE: Final = 500
"""Exceptions of a cause that are looked at in one go."""

MEMBERS: Final = 50_000
"""The most facts that a message's id or a cause may select."""

_order: Final = msgspec.msgpack.Decoder(Order).decode


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is meant; all that is said must fit. `first` and `last` are positions, `since` and `until` times of receipt, each included."""

    plant: str
    first: int = 0
    last: int = 0
    since: Aware | None = None
    until: Aware | None = None
    interface: str = ""
    message: str = ""
    category: str = ""
    subject: str = ""


class Span(msgspec.Struct, frozen=True):
    """The positions to look at: from `first` through `last`, or `only` some of them."""

    first: int
    last: int
    only: frozenset[int] | None = None


def span_of(reading: Reading, plants: Iterable[str], selection: Selection) -> Span:
    """Where the selected messages stand. Raises `ReplayRefused` for what can't be meant: an unknown plant, nothing said, a range that is
    empty or beyond what the plant has folded, a message or a cause that there is not."""
    _check(list(plants), selection)
    head = reading.positions().get(selection.plant, 0)
    first, last = selection.first or 1, selection.last or head
    if first > head or last > head:
        raise ReplayRefused(
            f"plant {selection.plant} has come to position {head:,}, and position {max(first, selection.last):,} was asked for; "
            "nothing was changed"
        )
    only = _only(reading, selection)
    if only is None:
        return Span(first, last)
    within = frozenset(position for position in only if first <= position <= last)
    if not within:
        raise ReplayRefused(f"none of what was asked for stands from position {first:,} through {last:,}; nothing was changed")
    return Span(min(within), max(within), within)


def _check(plants: list[str], asked: Selection) -> None:
    if asked.plant not in plants or asked.plant == ENTERPRISE:
        raise ReplayRefused(f"there is no plant {asked.plant!r}; the plants are {', '.join(plants)}")
    if asked == Selection(asked.plant):
        raise ReplayRefused("say which messages: positions, times, an interface, a message's id, or the category and subject of a cause")
    if bool(asked.category) != bool(asked.subject):
        raise ReplayRefused("a cause has a category and a subject; `synchromesh exceptions list` shows both")
    if asked.first < 0 or asked.last < 0:
        raise ReplayRefused("positions begin at 1")
    if asked.last and asked.first > asked.last:
        raise ReplayRefused(f"the range is empty: it begins at position {asked.first:,} and ends at {asked.last:,}; nothing was changed")
    if asked.since is not None and asked.until is not None and asked.since > asked.until:
        raise ReplayRefused(f"the range is empty: it begins at {asked.since} and ends at {asked.until}; nothing was changed")


def selected(records: Iterable[Record], span: Span, selection: Selection) -> Iterator[Record]:
    """Those records that are meant. Synchromesh's own messages never are."""
    for record in records:
        message = record.message
        if (
            message.interface != OWN
            and (span.only is None or record.position in span.only)
            and selection.interface in ("", message.interface)
            and _within(message.received, selection)
        ):
            yield record


def _within(received: datetime, asked: Selection) -> bool:
    return (asked.since is None or asked.since <= received) and (asked.until is None or received <= asked.until)


def _only(reading: Reading, asked: Selection) -> set[int] | None:
    """The positions of what is named; None when nothing is."""
    only: set[int] | None = None
    if asked.message:
        only = {position for plant, position in reading.find_identity(asked.message) if plant == asked.plant}
        if not only:
            raise ReplayRefused(f"plant {asked.plant} knows no message {asked.message!r}; `synchromesh trace` finds what there is")
    if asked.category:
        stopped = set(_stopped(reading, asked))
        if not stopped:
            raise ReplayRefused(f"no exception “{asked.category}: {asked.subject}” is open in plant {asked.plant}; nothing was changed")
        only = stopped if only is None else only & stopped
    if only is not None and len(only) > MEMBERS:
        raise ReplayRefused(f"more than {MEMBERS:,} messages; select fewer")
    return only


# --- what a cause stopped -----------------------------------------------------------------------------------------------------


def _stopped(reading: Reading, asked: Selection) -> Iterator[int]:
    """The facts that the open exceptions of a cause are about."""
    after = (0, 0)
    while rows := reading.of_cause(asked.plant, asked.category, asked.subject, after, PAGE):
        for row in rows:
            yield from _facts(reading, asked.plant, row)
        after = (rows[-1].position, rows[-1].ordinal)


def _facts(reading: Reading, plant: str, row: ExceptionRow) -> Iterator[int]:
    if not row.posting:
        yield row.position
        return
    posting = reading.posting(plant, id_of(row.posting))
    if posting is not None:
        yield from group_of(reading, plant, posting)


def group_of(reading: Reading, plant: str, posting: PostingRow) -> Iterator[int]:
    """The facts that a posting books: the one that its group is named after, and the others along their order's chain."""
    yield posting.group
    value = reading.entities(plant, [("order", posting.order)]).get(("order", posting.order)) if posting.facts > 1 else None
    position = _order(value).last_fact if value is not None else 0
    while position:
        fact = reading.fact(plant, position)
        if fact is None:
            return
        if fact.group == posting.group:
            yield position
        position = fact.previous
