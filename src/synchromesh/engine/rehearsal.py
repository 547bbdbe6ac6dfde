"""Rehearsal: what would have come of a range of messages under another mapping or policy. Nothing of the live plant is touched.

The plant is rebuilt from its log twice, beside itself: with everything that decided then, and with other decisions from the first message
of the range on. Business systems are taken to answer as they did: an outcome is told to both, where its posting is there. What their books
would have refused is not foreseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from synchromesh.engine.replay import ReplayRefused
from synchromesh.engine.worker import own_message
from synchromesh.model.event import Activated
from synchromesh.model.message import OWN, Record
from synchromesh.model.quantity import exactly
from synchromesh.plant.entities import Clock, Decision
from synchromesh.plant.rows import Changes, FactRow, PostingId
from synchromesh.state.agreement import State

BATCH: Final = 1000

_decision: Final = msgspec.msgpack.Decoder(Decision).decode
_clock: Final = msgspec.msgpack.Decoder(Clock).decode
_encode: Final = msgspec.msgpack.Encoder(decimal_format="string").encode
_own: Final = msgspec.json.Decoder(type=dict[str, object]).decode
_told: Final = msgspec.json.Decoder(tuple[dict[str, object], ...]).decode


class RehearsedFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fact that would have been another: its events and its fate, as they were and as they would have been."""

    position: int
    source: str
    id: str
    before: tuple[dict[str, object], ...] = ()
    after: tuple[dict[str, object], ...] = ()
    fate: tuple[str, str] | None = None


class RehearsedPosting(msgspec.Struct, frozen=True):
    """A posting that would have been another under the same key."""

    before: ForeseenPosting
    after: ForeseenPosting


class Rehearsal(msgspec.Struct, frozen=True):
    """How a plant would stand after the position `last`, had other decisions been in force from `first` on, against how it stood.

    `changed` names the decisions; `messages` counts those of sources in the range. `made` are postings that would have been decided
    besides, `gone` those that would not have been, `other` those with other content or in another state; `opened` and `closed` are
    exceptions that would be open besides, and that would not be.
    """

    partition: str
    first: int
    last: int
    messages: int
    changed: tuple[str, ...]
    facts: Listed[RehearsedFact]
    fates: dict[str, ForeseenCount]
    made: Listed[ForeseenPosting]
    gone: Listed[ForeseenPosting]
    other: Listed[RehearsedPosting]
    stock: Listed[ForeseenStock]
    opened: Listed[ForeseenException]
    closed: Listed[ForeseenException]
    documents: ForeseenCount
    exceptions: ForeseenCount


def rehearse(
    partition: str,
    history: Iterable[Record],
    first: int,
    last: int,
    decisions: Sequence[Activated],
    scratch: tuple[State, State],
    *,
    listed: int = FIRST,
    progress: Callable[[int], None] = lambda position: None,
) -> Rehearsal:
    """Rebuild a plant through `last` in two empty stores, with other decisions in the second from `first` on, and compare. The history
    begins at position 1.

    Raises `ReplayRefused` when the history ends before `last`, or nothing else would decide.
    """
    if not decisions:
        raise ReplayRefused("nothing would decide otherwise: name an adapter, or a configuration with another policy")
    records = _gapless(partition, history, last)
    one, other = _Side(partition, scratch[0]), _Side(partition, scratch[1])
    for batch in _batches(islice(records, first - 1)):
        changes = one.fold(batch)
        other.take(changes)
        progress(changes.position)
    other.decide(decisions)
    messages = 0
    for batch in _batches(records):
        one.fold(batch)
        other.fold([_overruled(record, decisions) for record in batch])
        messages += sum(record.message.interface != OWN for record in batch)
        progress(batch[-1].position)
    names = tuple(f"{each.kind} {each.name}" for each in decisions)
    with exactly():
        return _compared(partition, (first, last, messages, names), scratch, listed)


class _Side:
    """A plant on its way in a store of its own."""

    def __init__(self, partition: str, state: State) -> None:
        self._partition = partition
        self._state = state
        self._epochs = state.attend("rehearsal", [partition])
        self._folding = Folding(partition, state, lambda record, error: None)
        self._position = 0

    def fold(self, records: Sequence[Record]) -> Changes:
        changes = self._folding.fold(records)
        self.take(changes)
        self._folding.view.committed()
        return changes

    def take(self, changes: Changes) -> None:
        """Commit what was folded, here or beside. Nothing leaves the store."""
        changes.forwards.clear()
        self._state.commit(self._epochs, [changes])
        self._position = changes.position

    def decide(self, decisions: Iterable[Activated]) -> None:
        """From the next message on these decide."""
        changes = Changes(self._partition, self._position)
        clock = self._state.load(self._partition, "clock", [""]).get("")
        changes.now = _clock(clock).now if clock is not None else 0
        for each in decisions:
            name = f"{each.kind}/{each.name}"
            value = self._state.load(self._partition, "decision", [name]).get(name)
            known = _decision(value) if value is not None and each.kind == "policy" else None
            earlier = [*known.earlier, (known.position, known.content)] if known is not None else []
            changes.entities["decision", name] = _encode(Decision(each.digest, each.content, self._position + 1, earlier))
        self._state.commit(self._epochs, [changes])
        self._folding = Folding(self._partition, self._state, lambda record, error: None)


def _overruled(record: Record, decisions: Sequence[Activated]) -> Record:
    """An activation within the range of what is decided otherwise activates that."""
    message = record.message
    if message.interface != OWN or b"synchromesh.activated" not in message.body:
        return record
    told = _own(message.body)
    for each in decisions:
        if told.get("type") == "synchromesh.activated" and (told.get("kind"), told.get("name")) == (each.kind, each.name):
            return Record(record.position, own_message(message.partition, message.id, each, message.received))
    return record


def _gapless(partition: str, history: Iterable[Record], last: int) -> Iterator[Record]:
    position = 0
    for record in history:
        if record.position != position + 1:
            break
        position = record.position
        yield record
        if position == last:
            return
    raise ReplayRefused(
        f"the messages of {partition} from position {position + 1:,} on are not there, neither in the log nor in the archive, so the plant "
        "can't be rebuilt; nothing was changed"
    )


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, BATCH)):
        yield batch


# --- comparing ---------------------------------------------------------------------------------------------------------------

_TABLES: Final = ("entity", "fact", "posting", "exception")
_Key = tuple[int, tuple[str | int, ...]]


def _compared(partition: str, head: tuple[int, int, int, tuple[str, ...]], scratch: tuple[State, State], listed: int) -> Rehearsal:
    then, later = totals_of(scratch[0], partition), totals_of(scratch[1], partition)
    told = _Told(partition, scratch, listed)
    differing: dict[str, list[str]] = {table: [] for table in _TABLES}
    for table, key in _differing(*(_comparable(state.rows(partition)) for state in scratch)):
        differing[table].append(key)
        if len(differing[table]) >= BATCH:
            told.tell(table, differing[table])
            differing[table] = []
    for table, keys in differing.items():
        told.tell(table, keys)
    first, last, messages, names = head
    return Rehearsal(
        partition, first, last, messages, names,
        facts=told.facts.listed(),
        fates=fates_between(then, later),
        made=told.made.listed(),
        gone=told.gone.listed(),
        other=told.other.listed(),
        stock=told.stock.listed(),
        opened=told.opened.listed(),
        closed=told.closed.listed(),
        documents=ForeseenCount(then.documents, later.documents),
        exceptions=ForeseenCount(then.exceptions, later.exceptions),
    )  # fmt: skip


class _Told:
    """Collects differences, some keys at a time."""

    def __init__(self, partition: str, scratch: tuple[State, State], listed: int) -> None:
        self._partition = partition
        self._one, self._other = scratch
        self.facts = Listing[RehearsedFact](listed)
        self.made, self.gone = Listing[ForeseenPosting](listed), Listing[ForeseenPosting](listed)
        self.other = Listing[RehearsedPosting](listed)
        self.stock = Listing[ForeseenStock](listed)
        self.opened, self.closed = Listing[ForeseenException](listed), Listing[ForeseenException](listed)

    def tell(self, table: str, keys: Sequence[str]) -> None:
        {"entity": self._ledgers, "fact": self._facts, "posting": self._postings, "exception": self._exceptions}[table](keys)

    def _ledgers(self, keys: Sequence[str]) -> None:
        places = [key.removeprefix("stock ") for key in keys]
        one, other = (state.load(self._partition, "stock", places) for state in (self._one, self._other))
        for place in places:
            then, later = balance_of(one.get(place)), balance_of(other.get(place))
            if moved(then, later):
                self.stock.add(ledger, place, then, later)

    def _facts(self, keys: Sequence[str]) -> None:
        positions = [int(key) for key in keys]
        one, other = (state.facts(self._partition, positions) for state in (self._one, self._other))
        for position in positions:
            before, after = one.get(position), other.get(position)
            if _says(before) != _says(after):
                self.facts.add(_fact, before, after)

    def _postings(self, keys: Sequence[str]) -> None:
        ids = [_id(key) for key in keys]
        one, other = (state.postings(self._partition, ids) for state in (self._one, self._other))
        for id_ in ids:
            before, after = one.get(id_), other.get(id_)
            if before is None and after is not None:
                self.made.add(posting_in_words, None, after)
            elif after is None and before is not None:
                self.gone.add(posting_in_words, None, before)
            elif before is not None and after is not None and (before.content, before.state) != (after.content, after.state):
                self.other.add(RehearsedPosting, posting_in_words(None, before), posting_in_words(None, after))

    def _exceptions(self, keys: Sequence[str]) -> None:
        ids = [_id(key) for key in keys]
        one, other = (state.exceptions(self._partition, ids) for state in (self._one, self._other))
        for id_ in ids:
            before, after = one.get(id_), other.get(id_)
            was, is_ = (row is not None and row.state == "open" for row in (before, after))
            if after is not None and is_ and not was:
                self.opened.add(exception_in_words, after)
            elif before is not None and was and not is_:
                self.closed.add(exception_in_words, before)


def _says(row: FactRow | None) -> tuple[object, ...]:
    """What of a fact a person would see."""
    return () if row is None else (row.type, row.order, row.fate, row.reference, row.told, row.occurred)


def _fact(before: FactRow | None, after: FactRow | None) -> RehearsedFact:
    row = after or before
    assert row is not None, "one of the two has it"
    fates = tuple("" if each is None else f"{each.fate} {each.reference}".rstrip() for each in (before, after))
    return RehearsedFact(
        row.position, row.source, row.id, _events(before), _events(after), (fates[0], fates[1]) if fates[0] != fates[1] else None
    )


def _events(row: FactRow | None) -> tuple[dict[str, object], ...]:
    try:
        return () if row is None else _told(row.told)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()


def _comparable(rows: Iterator[tuple[str, str, bytes]]) -> Iterator[tuple[_Key, str, str, bytes]]:
    """The rows that are told of, each with what it is ordered by."""
    for table, key, value in rows:
        if table == "entity":
            if key.startswith("stock "):
                yield (0, (key,)), table, key, value
        elif table in _TABLES:
            yield (_TABLES.index(table), tuple(int(part) for part in key.split("."))), table, key, value


def _differing(one: Iterator[tuple[_Key, str, str, bytes]], other: Iterator[tuple[_Key, str, str, bytes]]) -> Iterator[tuple[str, str]]:
    """Table and key of every row that is in one side only, or not the same in both. Both come in the same order."""
    left, right = next(one, None), next(other, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None, "one of the two is a row"
            yield left[1], left[2]
            left = next(one, None)
        elif left is None or right[0] < left[0]:
            yield right[1], right[2]
            right = next(other, None)
        else:
            if left[3] != right[3]:
                yield left[1], left[2]
            left, right = next(one, None), next(other, None)


def _id(key: str) -> PostingId:
    position, _, ordinal = key.partition(".")
    return int(position), int(ordinal)
