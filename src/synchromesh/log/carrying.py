"""Carrying a partition's history to another log: every message keeps its position, and what was archived stays archived.

What is carried is a `History`: the segments of an archive through a position, and the messages behind it. It may come from an
installation or from a backup. A log that has the beginning of it already is compared, message by message, and gets the rest: so carrying
is repeated safely after an interruption, and repeated once more it proves that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.log.agreement import Log, LogError, Trimmed
from synchromesh.log.archive import Kept, Segment, copy_segment, read_archive, segments_through, write_segment
from synchromesh.log.encoding import encode
from synchromesh.model.message import Record

BATCH: Final = 2_000
"""Messages that are appended together."""

SEGMENT: Final = 20_000
"""Messages in a segment that is written of what no archive has yet."""

Progress = Callable[[int], None]
"""Hears through which position it is done."""


def silent(position: int) -> None:
    """Tells nobody."""


class History(msgspec.Struct, frozen=True):
    """What one partition was told through `head`. `archived` gives the segments through `trimmed`, the last of which has the SHA-256
    `chain`; `behind` gives the messages behind a position that is not before `trimmed`."""

    partition: str
    trimmed: int
    chain: str
    head: int
    archived: Callable[[], Iterator[Kept]]
    behind: Callable[[int], Iterator[Record]]


def history_of(log: Log, archive: Path, partition: str, chain: str, head: int) -> History:
    """The history that an installation has through `head`. `chain` is what its log told (`Log.chain`): what it archives from now on is
    read from where it stands then."""
    trimmed = 0
    for kept in segments_through(archive, partition, chain):
        trimmed = kept.segment.last

    def behind(position: int) -> Iterator[Record]:
        return (record for record in _onward(log, archive, partition, position) if record.position <= head)

    return History(partition, trimmed, chain, head, lambda: segments_through(archive, partition, chain), behind)


def _onward(log: Log, archive: Path, partition: str, position: int) -> Iterator[Record]:
    """Messages behind a position through the end of the log; those that are archived meanwhile are read from there."""
    while True:
        try:
            records = log.read({partition: position}, BATCH).get(partition)
        except Trimmed:
            begun = position
            for record in read_archive(archive, partition, after=position):
                if record.position > position:
                    yield record
                    position = record.position
            if position == begun:
                raise
            continue
        if not records:
            return
        yield from records
        position = records[-1].position


def carry(history: History, log: Log, archive: Path, progress: Progress = silent) -> int:
    """Let a log have a history, with its archive; how many messages it did not have. Raises `LogError` where the log has something else,
    before anything is appended there."""
    partition = history.partition
    carry_archive(history, archive, progress)
    head = log.head().get(partition, 0)
    if history.trimmed and not head:
        log.resume(partition, history.trimmed, history.chain)
        head = history.trimmed
    if log.chain(partition) != history.chain:
        raise LogError(
            f"partition {partition}: the log has archived something else than what is carried here; it is another log, or in use"
        )
    return _append(history, log, head, progress)


def carry_archive(history: History, archive: Path, progress: Progress = silent) -> None:
    """Let an archive have what a history has in one."""
    for kept in history.archived():
        if not _same_file(kept.path, archive):
            copy_segment(kept, archive)
        progress(kept.segment.last)


def _same_file(path: Path, archive: Path) -> bool:
    """Whether a segment lies in this archive itself: both installations use one."""
    return path.parent.parent.resolve() == archive.resolve()


def _append(history: History, log: Log, head: int, progress: Progress) -> int:
    if head > history.head:
        raise LogError(
            f"partition {history.partition}: the log goes on through {head}, what is carried ends at {history.head}: it is in use"
        )
    appended = 0
    records = history.behind(history.trimmed)
    position = history.trimmed
    while batch := list(islice(records, BATCH)):
        fresh = [record for record in batch if record.position > head]
        _compare(history.partition, batch[: len(batch) - len(fresh)], log)
        if fresh:
            positions = log.append([record.message for record in fresh])
            if positions != [record.position for record in fresh]:
                raise LogError(
                    f"partition {history.partition}: somebody else appends to the log that is carried to; stop them and begin anew"
                )
        appended += len(fresh)
        position = batch[-1].position
        progress(position)
    if position != history.head:
        raise LogError(f"partition {history.partition}: what is carried ends at {position} and should end at {history.head}")
    return appended


def _compare(partition: str, records: list[Record], log: Log) -> None:
    """Raise `LogError` unless the log has just these messages where they stand."""
    after = records[0].position - 1 if records else 0
    kept: list[Record] = []
    while len(kept) < len(records):
        kept += log.read({partition: after + len(kept)}, len(records) - len(kept))[partition]
    for one, other in zip(records, kept, strict=True):
        if one.position != other.position or encode(one.message) != encode(other.message):
            raise LogError(
                f"partition {partition}, position {one.position}: the log has another message there; it has something of its own"
            )


def write(history: History, archive: Path, progress: Progress = silent) -> str:
    """Write a history as segments, of which each follows from the one before it, through its head; the SHA-256 of the last one."""
    chain = history.chain
    for kept in history.archived():
        copy_segment(kept, archive)
        progress(kept.segment.last)
    records = history.behind(history.trimmed)
    first = history.trimmed + 1
    while first <= history.head:
        last = min(first + SEGMENT - 1, history.head)
        chain = write_segment(archive, Segment(history.partition, first, last, chain), _bodies(records, first, last))
        progress(last)
        first = last + 1
    return chain


def _bodies(records: Iterable[Record], first: int, last: int) -> Iterator[bytes]:
    expected = first
    for record in islice(records, last - first + 1):
        if record.position != expected:
            break
        yield encode(record.message)
        expected += 1
    if expected <= last:
        raise LogError(f"the log has no message at position {expected}")
