"""What would happen: messages folded on top of a committed moment of the store, and the difference told in words. Nothing is written.

The fold is pure, so this is what will happen when the same messages are appended now and nothing comes in between: the same postings under
the same keys, but for the position in them. What business systems answer and what time brings later is not foreseen: a posting that
becomes ready is told as ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from synchromesh.engine.folding import Folding
from synchromesh.engine.foreseen import (
    FIRST,
    ForeseenCount,
    ForeseenException,
    ForeseenPosting,
    ForeseenStock,
    Listed,
    Listing,
    balance_of,
    exception_in_words,
    fates_between,
    ledger,
    moved,
    posting_in_words,
    totals_of,
)
from synchromesh.engine.overlay import Overlay
from synchromesh.engine.worker import own_message
from synchromesh.model.event import Tick
from synchromesh.model.instant import micros
from synchromesh.model.message import Message, Record
from synchromesh.model.quantity import exactly
from synchromesh.plant import agenda
from synchromesh.plant.entities import Clock
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import Loads
from synchromesh.state.agreement import Reading

MESSAGES: Final = 50_000
"""The most messages of one preview. What they change is held in memory, some kilobytes a message."""

TICKS: Final = 500
"""The most ticks that a preview goes on for: each works off a page of 256 names."""

BATCH: Final = 1000

_clock: Final = msgspec.msgpack.Decoder(Clock).decode


class PreviewRefused(ValueError):
    """The preview can't be given; the text says why and what to do."""


class Preview(msgspec.Struct, frozen=True):
    """What `messages` messages would change at a plant that stands at `position`, with `ticks` ticks to work off what they set going.

    `unfinished` names the lists that would still be worked off after the last tick that a preview goes on for: then there is more to come
    than is told. `made` are new postings, whatever their state; `ready` those that a dispatcher could take at once, new ones among them;
    `given_up` those withdrawn or reversed; `changed` all other changes of a posting. `set_aside` are messages that would crash the fold.
    """

    partition: str
    position: int
    messages: int
    ticks: int
    made: Listed[ForeseenPosting]
    ready: Listed[ForeseenPosting]
    given_up: Listed[ForeseenPosting]
    changed: Listed[ForeseenPosting]
    opened: Listed[ForeseenException]
    closed: Listed[ForeseenException]
    fates: dict[str, ForeseenCount]
    stock: Listed[ForeseenStock]
    facts: ForeseenCount
    documents: ForeseenCount
    exceptions: ForeseenCount
    forwards: dict[str, int] = {}
    set_aside: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether no posting, exception, fate or ledger would change."""
        lists = (self.made, self.ready, self.given_up, self.changed, self.opened, self.closed, self.stock)
        return not any(each.count for each in lists) and not self.fates and self.facts.before == self.facts.after


def preview(
    reading: Reading, partition: str, messages: Iterable[Message], now: datetime, *, first: int = FIRST, ticks: int = TICKS
) -> Preview:
    """What would happen if these messages were appended to a plant's log now, at one committed moment of its store.

    Raises `PreviewRefused` for more than `MESSAGES` messages, or one of another plant.
    """
    with closing(reading.moment()) as moment:
        return foresee(moment, partition, moment.positions().get(partition, 0), messages, now, first=first, ticks=ticks)


def foresee(
    base: Loads, partition: str, position: int, messages: Iterable[Message], now: datetime, *, first: int = FIRST, ticks: int = TICKS
) -> Preview:
    """`preview` on loads that stay as they are meanwhile."""
    supposed = Supposed(base, partition, position)
    for batch in _batches(messages):
        supposed.tell(batch)
    ticked = supposed.work_off(now, ticks)
    with exactly():
        return _told(supposed, position, ticked, first)


class Supposed:
    """A plant that goes on from a moment on its own, in memory."""

    def __init__(self, base: Loads, partition: str, position: int) -> None:
        self.overlay = Overlay(base, partition)
        self.partition = partition
        self.position = position
        self.messages = 0
        self.set_aside: list[str] = []
        self._folding = Folding(partition, self.overlay, self._aside)

    def _aside(self, record: Record, error: str) -> None:
        self.set_aside.append(f"message {record.message.source}/{record.message.id}: {error}")

    def tell(self, messages: Sequence[Message]) -> None:
        """Fold these as the next ones of the log."""
        for message in messages:
            if message.partition != self.partition:
                raise PreviewRefused(
                    f"message {message.source}/{message.id} is of {message.partition}; a preview of {self.partition} takes only its own"
                )
        self.messages += len(messages)
        if self.messages > MESSAGES:
            raise PreviewRefused(f"more than {MESSAGES} messages; preview them in parts")
        self._fold(messages)

    def work_off(self, now: datetime, limit: int) -> int:
        """Tick as long as lists are being worked off, as the worker would, at most `limit` times; how often. As any tick, the first one
        also does what else is due at `now`."""
        for done in range(limit):
            if not self.resuming():
                return done
            self._fold([own_message(self.partition, f"tick:{micros(now)}", Tick(now), now)])
        return limit

    def resuming(self) -> tuple[str, ...]:
        """The lists that are being worked off."""
        value = self.overlay.load(self.partition, "clock", [""]).get("")
        clock = None if value is None else _clock(value)
        return tuple(clock.resuming) if clock is not None and agenda.next_tick(clock) == 0 else ()

    def _fold(self, messages: Sequence[Message]) -> None:
        records = [Record(self.position + index, message) for index, message in enumerate(messages, 1)]
        changes = self._folding.fold(records)
        onward = [message for message in changes.forwards if message.partition == self.partition]
        self.overlay.apply(changes)
        self._folding.view.committed()
        self.position += len(records)
        if onward:  # what a plant tells itself comes next
            self._fold(onward)


def _batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    rest = iter(messages)
    while batch := list(islice(rest, BATCH)):
        yield batch


# --- telling the difference -------------------------------------------------------------------------------------------------


def _told(supposed: Supposed, position: int, ticks: int, first: int) -> Preview:
    made, ready, given_up, changed = (Listing[ForeseenPosting](first) for _ in range(4))
    for before, after in _pairs(supposed.overlay):
        if before is None:
            made.add(posting_in_words, None, after)
        if after.state == "ready" and (before is None or before.state != "ready"):
            ready.add(posting_in_words, before, after)
        elif before is not None and after.state in _GIVEN_UP and before.state != after.state:
            given_up.add(posting_in_words, before, after)
        elif before is not None and _differs(before, after):
            changed.add(posting_in_words, before, after)
    opened, closed = _exceptions(supposed.overlay, first)
    then, later = totals_of(supposed.overlay.base, supposed.partition), totals_of(supposed.overlay, supposed.partition)
    return Preview(
        partition=supposed.partition,
        position=position,
        messages=supposed.messages,
        ticks=ticks,
        made=made.listed(),
        ready=ready.listed(),
        given_up=given_up.listed(),
        changed=changed.listed(),
        opened=opened,
        closed=closed,
        fates=fates_between(then, later),
        stock=_ledgers(supposed.overlay, first),
        facts=ForeseenCount(then.facts, later.facts),
        documents=ForeseenCount(then.documents, later.documents),
        exceptions=ForeseenCount(then.exceptions, later.exceptions),
        forwards=dict(sorted(supposed.overlay.forwards.items())),
        set_aside=tuple(supposed.set_aside[:first]),
        unfinished=supposed.resuming(),
    )


_GIVEN_UP: Final = frozenset({"withdrawn", "reversed"})


def _differs(before: PostingRow, after: PostingRow) -> bool:
    """Whether a person would see a difference. Where a posting stands among its neighbours is none."""
    return (before.state, before.waits_for, before.document, before.successor, before.content, before.facts) != (
        after.state, after.waits_for, after.document, after.successor, after.content, after.facts,
    )  # fmt: skip


def _pairs(overlay: Overlay) -> Iterator[tuple[PostingRow | None, PostingRow]]:
    """Every posting that was written, before and after, by id."""
    for ids in _chunks(sorted(overlay.posting_rows)):
        known = overlay.base.postings(overlay.partition, ids)
        for id_ in ids:
            yield known.get(id_), overlay.posting_rows[id_]


def _exceptions(overlay: Overlay, first: int) -> tuple[Listed[ForeseenException], Listed[ForeseenException]]:
    opened, closed = Listing[ForeseenException](first), Listing[ForeseenException](first)
    for ids in _chunks(sorted(overlay.exception_rows)):
        known = overlay.base.exceptions(overlay.partition, ids)
        for id_ in ids:
            row = overlay.exception_rows[id_]
            was_open = id_ in known and known[id_].state == "open"
            if row.state == "open" and not was_open:
                opened.add(exception_in_words, row)
            elif row.state != "open" and was_open:
                closed.add(exception_in_words, row)
    return opened.listed(), closed.listed()


def _chunks(keys: Sequence[PostingId]) -> Iterator[Sequence[PostingId]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def _ledgers(overlay: Overlay, first: int) -> Listed[ForeseenStock]:
    ledgers = Listing[ForeseenStock](first)
    places = sorted(name for kind, name in overlay.entities if kind == "stock")
    for start in range(0, len(places), BATCH):
        chunk = places[start : start + BATCH]
        known = overlay.base.load(overlay.partition, "stock", chunk)
        for place in chunk:
            then, later = balance_of(known.get(place)), balance_of(overlay.entities["stock", place])
            if moved(then, later):
                ledgers.add(ledger, place, then, later)
    return ledgers.listed()
