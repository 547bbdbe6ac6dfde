"""Trimming: positions go to the archive, are marked as archived in the stream, and are then purged, a segment at a time.

The mark is compared and stored in one step as frames are, so that of two that trim a partition one is refused; it carries the hash chain
on. The last frame of a partition always stays, trimmed or not: it says where the partition ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from synchromesh.log.agreement import LogError, LogFull
from synchromesh.log.archive import Segment, discard_unfinished, holds, write_segment
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import Connection, Refused, refusal
from synchromesh.log.jetstream.frame import MARK, mark
from synchromesh.log.jetstream.reader import Frame, Reader, Wanted
from synchromesh.log.jetstream.stream import Stream
from synchromesh.log.jetstream.tail import Line, Tail
from synchromesh.log.jetstream.writer import FULL

SEGMENT_MESSAGES: Final = 20_000
"""How many messages one archived segment holds at most."""
_PAGE: Final = 2_000
_PAGE_BYTES: Final = 4 * 1024 * 1024
_MARKS_BYTES: Final = 64 * 1024
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"

Call = Callable[[Coroutine[Any, Any, Any]], Any]
"""Has a coroutine run in the log's loop."""


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
        line: Line = self._call(self._known(partition))
        if through > line.head:
            raise LogError(f"partition {partition} ends at {line.head}: it can't be trimmed through {through}")
        if through <= line.trimmed:
            return
        discard_unfinished(self._archive, partition, line.trimmed)
        if line.trimmed and not holds(self._archive, partition, line.trimmed):
            raise LogError(
                f"trimming the log: {self._access.name}: {self._archive} does not hold partition {partition} through position "
                f"{line.trimmed}, which was archived before: give all processes that trim the same archive folder; nothing was changed"
            )
        first, chain = line.trimmed + 1, line.chain
        while first <= through:
            last = min(first + SEGMENT_MESSAGES - 1, through)
            chain = write_segment(self._archive, Segment(partition, first, last, chain), self._bodies(partition, first, last))
            self._call(self._forget(partition, last, chain))
            first = last + 1

    def resume(self, partition: str, after: int, chain: str) -> None:
        """See `Log.resume`: a mark where no frame is."""
        line: Line = self._call(self._known(partition))
        if line.head:
            raise LogError(f"{self._access.name}: partition {partition} has messages through {line.head}: it can't begin behind {after}")
        self._call(self._begin(partition, after, chain, line.mark))

    async def _begin(self, partition: str, after: int, chain: str, before: int) -> None:
        deadline = self._deadline()
        await self._connection.again(lambda: self._mark(partition, after, chain, before, deadline), deadline)

    async def _known(self, partition: str) -> Line:
        await self._tail.fresh(self._deadline())
        return self._tail.line(partition)

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

    async def _forget(self, partition: str, through: int, chain: str) -> None:
        """Mark a segment as archived, then purge what lies before the next position."""
        deadline = self._deadline()
        line = self._tail.line(partition)
        try:
            await self._connection.again(lambda: self._mark(partition, through, chain, line.mark, deadline), deadline)
        except LogFull:
            await self._widen(deadline)
            await self._connection.again(lambda: self._mark(partition, through, chain, line.mark, deadline), deadline)
        place = await self._reader.place(partition, min(through + 1, line.head), deadline)
        question = {"filter": self._stream.frames(partition), "seq": place.sequence}
        await self._connection.api(f"STREAM.PURGE.{self._stream.name}", question, deadline)

    async def _mark(self, partition: str, through: int, chain: str, before: int, deadline: float) -> None:
        """Store the mark behind the one that is known, in whose place it comes. Raises `LogError` when another was first."""
        headers = {MARK: mark(through, chain), _EXPECTED: str(before), "Nats-Rollup": "sub"}
        answer = msgspec.json.decode((await self._connection.ask(self._stream.marks(partition), b"", headers, deadline)).data)
        if error := answer.get("error"):
            await self._refused(refusal(error), partition, through, chain, deadline)
        else:
            self._tail.marked(partition, through, chain, int(answer["seq"]))

    async def _widen(self, deadline: float) -> None:
        """A stream that is full has no room for the mark without which nothing can leave it: give it some more than it was set to."""
        stream = self._stream.name
        answer = await self._connection.api(f"STREAM.INFO.{stream}", None, deadline)
        config = answer["config"]
        if config["max_bytes"] > 0:
            config["max_bytes"] = max(config["max_bytes"], answer["state"]["bytes"]) + _MARKS_BYTES
            await self._connection.api(f"STREAM.UPDATE.{stream}", config, deadline)

    async def _refused(self, refused: Exception, partition: str, through: int, chain: str, deadline: float) -> None:
        """A mark of ours whose answer was lost is one that is there."""
        if not isinstance(refused, Refused):
            raise refused
        if refused.code in FULL:
            raise LogFull(
                f"trimming the log: {self._access.name}: no room ({refused}); nothing was changed; give the servers' disks more space or "
                "the stream more room (`max_bytes`), then go on"
            )
        await self._tail.fresh(deadline)
        line = self._tail.line(partition)
        if (line.trimmed, line.chain) != (through, chain):
            raise LogError(
                f"trimming the log: {self._access.name}: partition {partition} was trimmed through {line.trimmed} by another process "
                f"meanwhile ({refused}); nothing was changed here; only the process that folds a partition may trim it"
            )
