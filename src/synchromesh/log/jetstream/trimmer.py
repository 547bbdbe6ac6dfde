"""Trimming: positions go to the archive, are marked as archived in the stream, and are then purged, a segment at a time.

The mark is compared and stored in one step as frames are, so that of two that trim a partition one is refused; it carries the hash chain
on. The last frame of a partition always stays, trimmed or not: it says where the partition ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from synchromesh.log.agreement import LogError, LogFull
from synchromesh.log.archive import Segment, discard_unfinished, holds, write_segment
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import Connection, Refused, Unanswered, refusal
from synchromesh.log.jetstream.frame import MARK, mark
from synchromesh.log.jetstream.reader import Frame, Reader, Wanted
from synchromesh.log.jetstream.stream import Stream
from synchromesh.log.jetstream.tail import Tail
from synchromesh.log.jetstream.writer import FULL

SEGMENT_MESSAGES: Final = 20_000
"""How many messages one archived segment holds at most."""
_PAGE: Final = 2_000
_PAGE_BYTES: Final = 4 * 1024 * 1024
_MARKS_BYTES: Final = 64 * 1024
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"

Call = Callable[[Coroutine[Any, Any, Any]], Any]
"""Has a coroutine run in the log's loop."""


class _Known(NamedTuple):
    """What a trim goes on from: the chain must not take in what another trims meanwhile."""

    head: int
    trimmed: int
    chain: str
    mark: int


class Trimmer:
    """Trims for this process; used by one thread at a time, outside of the loop."""

    def __init__(
        self, call: Call, connection: Connection, access: Access, stream: Stream, tail: Tail, reader: Reader, archive: Path
    ) -> None:
        self._call = call
        self._connection = connection
        self._access = access
        self._stream = stream
        self._tail = tail
        self._reader = reader
        self._archive = archive

    def trim(self, partition: str, through: int) -> None:
        """See `Log.trim`. After a crash what was archived is forgotten or will be, and what was not is still in the log."""
        known: _Known = self._call(self._known(partition))
        if through > known.head:
            raise LogError(f"partition {partition} ends at {known.head}: it can't be trimmed through {through}")
        if through <= known.trimmed:
            return
        # A server that stood still may have told of an older mark. To store the mark again takes a majority, and succeeds only where it is
        # the last: so what is discarded now is in the log for certain.
        known = self._call(self._marked(partition, known, known.trimmed, known.chain))
        discard_unfinished(self._archive, partition, known.trimmed)
        if known.trimmed and not holds(self._archive, partition, known.trimmed):
            raise LogError(
                f"trimming the log: {self._access.name}: {self._archive} does not hold partition {partition} through position "
                f"{known.trimmed}, which was archived before: give all processes that trim the same archive folder; nothing was changed"
            )
        while known.trimmed < through:
            first, last = known.trimmed + 1, min(known.trimmed + SEGMENT_MESSAGES, through)
            chain = write_segment(self._archive, Segment(partition, first, last, known.chain), self._bodies(partition, first, last))
            known = self._call(self._forget(partition, known, last, chain))

    def resume(self, partition: str, after: int, chain: str) -> None:
        """See `Log.resume`: a mark where no frame is."""
        known: _Known = self._call(self._known(partition))
        if known.head:
            raise LogError(f"{self._access.name}: partition {partition} has messages through {known.head}: it can't begin behind {after}")
        self._call(self._mark(partition, known, after, chain))

    async def _known(self, partition: str) -> _Known:
        await self._tail.fresh(self._deadline())
        line = self._tail.line(partition)
        return _Known(line.head, line.trimmed, line.chain, line.mark)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._access.options.patience

    def _bodies(self, partition: str, first: int, last: int) -> Iterator[bytes]:
        after = first - 1
        while after < last:
            frame: Frame
            wanted = {partition: Wanted(after, min(_PAGE, last - after), _PAGE_BYTES)}
            for frame in self._call(self._reader.frames(wanted))[partition]:
                for position, body in enumerate(frame.bodies(), frame.spot.first):
                    if after < position <= last:
                        yield bytes(body)
                after = min(frame.spot.last, last)

    async def _forget(self, partition: str, known: _Known, through: int, chain: str) -> _Known:
        """Mark a segment as archived, then purge what lies before the next position; what is known then."""
        marked = await self._marked(partition, known, through, chain)
        deadline = self._deadline()
        place = await self._reader.place(partition, min(through + 1, known.head), deadline)
        question = {"filter": self._stream.frames(partition), "seq": place.sequence}
        await self._connection.api(f"STREAM.PURGE.{self._stream.name}", question, deadline)
        return marked

    async def _marked(self, partition: str, known: _Known, through: int, chain: str) -> _Known:
        """As `_mark`, also where the stream is full."""
        try:
            return await self._mark(partition, known, through, chain)
        except LogFull:
            await self._widen()
            return await self._mark(partition, known, through, chain)

    async def _mark(self, partition: str, known: _Known, through: int, chain: str) -> _Known:
        """Store a mark in the place of the one that is known. Raises `LogError` when another was first."""
        deadline = self._deadline()
        headers = {MARK: mark(through, chain), _EXPECTED: str(known.mark), "Nats-Rollup": "sub"}

        async def attempt() -> int:
            answer = await self._connection.ask(self._stream.marks(partition), b"", headers, deadline)
            told = msgspec.json.decode(answer.data)
            if error := told.get("error"):
                return await self._settled(refusal(error), partition, known, (through, chain), deadline)
            return int(told["seq"])

        number = await self._connection.again(attempt, deadline)
        self._tail.marked(partition, through, chain, number)
        return _Known(known.head, through, chain, number)

    async def _widen(self) -> None:
        """A stream that is full has no room for the mark without which nothing can leave it: give it some more than it was set to."""
        deadline = self._deadline()
        stream = self._stream.name
        answer = await self._connection.api(f"STREAM.INFO.{stream}", None, deadline)
        config = answer["config"]
        if config["max_bytes"] > 0:
            config["max_bytes"] = max(config["max_bytes"], answer["state"]["bytes"]) + _MARKS_BYTES
            await self._connection.api(f"STREAM.UPDATE.{stream}", config, deadline)

    async def _settled(self, refused: Exception, partition: str, known: _Known, told: tuple[int, str], deadline: float) -> int:
        """The number of our mark when it is there and only its answer was lost; else raises why it is not."""
        if not isinstance(refused, Refused):
            raise refused
        if refused.code in FULL:
            raise LogFull(
                f"trimming the log: {self._access.name}: no room ({refused}); nothing was changed; give the servers' disks more space or "
                "the stream more room (`max_bytes`), then go on"
            )
        await self._tail.fresh(deadline)
        line = self._tail.line(partition)
        if line.mark == known.mark:
            raise Unanswered(f"no server tells of another mark: {refused}", sent=True)
        if (line.trimmed, line.chain) != told:
            raise LogError(
                f"trimming the log: {self._access.name}: partition {partition} was trimmed through {line.trimmed} by another process "
                f"meanwhile ({refused}); nothing was changed here; only the process that folds a partition may trim it"
            )
        return line.mark
