"""Reading: frames by their place, fetched in as few questions as possible and kept while a reader is inside them.

Recent frames have a known place (`Tail`); several partitions' that lie near one another come in one answer. Older ones are read on from
where the last read ended, or searched for by what their headers say. A server that lags behind may answer that it has nothing: then the one
that leads is asked. Every frame must begin where the one before it ended, whatever a server says.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec
from nats.aio.msg import Msg

from synchromesh.log.agreement import LogCorrupt, Trimmed
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import Connection, Refused, Unanswered
from synchromesh.log.jetstream.frame import Stamp, bodies_of, messages_of, stamp_of
from synchromesh.log.jetstream.stream import NO_MESSAGE, Stream, damaged
from synchromesh.log.jetstream.tail import Spot, Tail
from synchromesh.log.jetstream.writer import headers_of
from synchromesh.model.message import Message

READ_SECONDS: Final = 2.0
"""Seconds after which reading gives up when no server answers: who reads has a lease to keep and must not stand still for longer."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""How many bytes of frames are kept for readers that take only a few records at a time."""
NEAR: Final = 8
"""Frames with fewer messages of others between them are fetched in one question."""
AT_ONCE: Final = 8
"""How many questions are under way at a time."""
_RUN_BYTES: Final = 4 * 1024 * 1024
_RUN: Final = 512
_BEHIND: Final = 64
"""How many messages of one partition one question asks for."""
_SEQUENCE: Final = "Nats-Sequence"
_SUBJECT: Final = "Nats-Subject"


class Frame:
    """A whole frame. Its messages are made once, by whoever asks first."""

    __slots__ = ("_messages", "_whole", "place", "spot")

    def __init__(self, spot: Spot, whole: bytes, place: str) -> None:
        self.spot = spot
        self.place = place
        self._whole = whole
        self._messages: list[Message] | None = None

    @property
    def count(self) -> int:
        return self.spot.last - self.spot.first + 1

    def messages(self) -> list[Message]:
        """The frame's messages. Raises `LogCorrupt`."""
        if self._messages is None:
            try:
                self._messages = messages_of(self._whole, self.count)
            except (ValueError, msgspec.DecodeError) as error:
                raise self._damaged(error) from error
        return self._messages

    def bodies(self) -> list[msgspec.Raw]:
        """The frame's messages as they are stored. Raises `LogCorrupt`."""
        try:
            self.messages()
            return bodies_of(self._whole, self.count)
        except (ValueError, msgspec.DecodeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> LogCorrupt:
        return damaged(self.place, f"positions {self.spot.first} to {self.spot.last}, message {self.spot.sequence} of the stream: {error}")


class Wanted(NamedTuple):
    """How much of a partition is wanted, and the bytes it may take; the first record is read whatever its size."""

    after: int
    most: int
    room: int

    @property
    def last(self) -> int:
        return self.after + self.most


class _Got(NamedTuple):
    """One message of the stream."""

    sequence: int
    subject: str
    stamp: Stamp | None
    payload: bytes


class Reader:
    """Reads for this process, for any number of callers at a time."""

    def __init__(self, connection: Connection, access: Access, stream: Stream, tail: Tail) -> None:
        self._connection = connection
        self._tail = tail
        self._place = access.name
        self._stream = stream
        self._patience = min(READ_SECONDS, access.options.patience)
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[str, Frame] = OrderedDict()
        self._kept_bytes = 0
        self._cursors: dict[str, tuple[int, int]] = {}
        """Where the frame of a position begins in the stream, or will: what was read last of each partition and went no further."""

    async def frames(self, wanted: Mapping[str, Wanted]) -> dict[str, list[Frame]]:
        """Frames that hold the first positions wanted of each partition, in order and without gaps.

        Raises `Trimmed`, `LogCorrupt`, `Unanswered`.
        """
        deadline = self._loop.time() + self._patience
        spots = {partition: self._spots(partition, each) for partition, each in wanted.items()}
        near = {partition: each for partition, each in spots.items() if each}
        behind = [partition for partition, each in spots.items() if not each]
        found = await self._near(near, deadline) if near else {}
        older = await asyncio.gather(*(self._behind(partition, wanted[partition], deadline) for partition in behind))
        found.update(zip(behind, older, strict=True))
        for partition, frames in found.items():
            self._keep(partition, frames[-1])
        return found

    def _spots(self, partition: str, wanted: Wanted) -> list[Spot]:
        """Where the wanted positions are; nothing when they are too old to be known."""
        recent = self._tail.line(partition).recent
        if not recent or recent[0].first > wanted.after + 1:
            return []
        spots: list[Spot] = []
        room = wanted.room
        for spot in recent:
            if spot.last <= wanted.after:
                continue
            if spot.first > wanted.last or (spots and room <= 0):
                break
            spots.append(spot)
            room -= spot.size
        return spots

    async def place(self, partition: str, position: int, deadline: float) -> Spot:
        """Where the frame is that holds a position."""
        for spot in self._tail.line(partition).recent:
            if spot.first <= position <= spot.last:
                return spot
        return await self._search(partition, position, deadline)

    # Near the end

    async def _near(self, spots: Mapping[str, Sequence[Spot]], deadline: float) -> dict[str, list[Frame]]:
        found = {kept.spot.sequence: kept for partition in spots if (kept := self._kept.get(partition))}
        missing = [spot for each in spots.values() for spot in each if spot.sequence not in found]
        for frames in await asyncio.gather(*(self._run(run, deadline) for run in _runs(missing))):
            found.update((frame.spot.sequence, frame) for frame in frames)
        return {partition: await self._begun(partition, each, found, deadline) for partition, each in spots.items()}

    async def _begun(self, partition: str, spots: Sequence[Spot], found: Mapping[int, Frame], deadline: float) -> list[Frame]:
        """The frames as far as they were found. What a server that lags does not have yet is had by the next read; asking the one that
        leads for frame after frame would take longer. It is asked for the first one, so that every read gets on."""
        frames = [found[spot.sequence] for spot in takewhile(lambda spot: spot.sequence in found, spots)]
        return frames or [await self._from_leader(partition, spots[0], deadline)]

    async def _run(self, run: Sequence[Spot], deadline: float) -> list[Frame]:
        """Frames that lie near one another, as far as a server has them."""
        first, last = run[0].sequence, run[-1].sequence + run[-1].parts - 1
        wanted = {spot.sequence for spot in run}
        got = await self._get(self._stream.all_frames, first, last - first + 1, 2 * _RUN_BYTES, deadline)
        return [frame for frame in self._whole(got) if frame.spot.sequence in wanted]

    async def _from_leader(self, partition: str, spot: Spot, deadline: float) -> Frame:
        """One frame from the server that leads. Raises `Trimmed` or `LogCorrupt` when it is not there."""
        parts = []
        for sequence in range(spot.sequence, spot.sequence + spot.parts):
            part = await self._ask_leader({"seq": sequence}, deadline)
            if part is None or part.stamp is None or part.stamp.first != spot.first:
                raise await self._absent(partition, spot.first, deadline)
            parts.append(part)
        return next(iter(self._whole(parts)))

    # Behind

    async def _behind(self, partition: str, wanted: Wanted, deadline: float) -> list[Frame]:
        """Frames from a position on that is too old for the tail to know its place."""
        kept = self._kept.get(partition)
        if kept and kept.spot.first <= wanted.after + 1 <= kept.spot.last:
            frames = [kept]
        else:
            frames = await self._fetched(partition, wanted, deadline)
        last = frames[-1].spot
        end = min(last.last, wanted.last)
        self._cursors[partition] = (end, last.sequence if end < last.last else last.sequence + last.parts)
        return frames

    async def _fetched(self, partition: str, wanted: Wanted, deadline: float) -> list[Frame]:
        """Frames from a position on: read on where the last read ended, else searched for."""
        spot = None
        position, sequence = self._cursors.get(partition, (-1, 0))
        if position != wanted.after:
            spot = await self._search(partition, wanted.after + 1, deadline)
            sequence = spot.sequence
        frames = await self._onward(partition, sequence, wanted, deadline)
        if not frames or frames[0].spot.first > wanted.after + 1:
            spot = spot or await self._search(partition, wanted.after + 1, deadline)
            frames = [await self._from_leader(partition, spot, deadline)]
        return self._connected(partition, frames, wanted)

    async def _onward(self, partition: str, sequence: int, wanted: Wanted, deadline: float) -> list[Frame]:
        subject = self._stream.frames(partition)
        got = await self._get(subject, sequence, _BEHIND, max(wanted.room, 1), deadline)
        if got and got[0].stamp and got[0].stamp.parts > len(got):
            got = await self._get(subject, sequence, got[0].stamp.parts, 1 << 40, deadline)
        return [frame for frame in self._whole(got) if frame.spot.last > wanted.after]

    def _connected(self, partition: str, frames: Sequence[Frame], wanted: Wanted) -> list[Frame]:
        """The frames as far as they are wanted. Raises `LogCorrupt` when one does not begin where the one before it ended."""
        result: list[Frame] = []
        last = None
        for frame in frames:
            if last is not None and frame.spot.first != last + 1:
                raise damaged(self._place, f"partition {partition} has no message at position {last + 1}")
            last = frame.spot.last
            if frame.spot.first <= wanted.last:
                result.append(frame)
        return result

    async def _search(self, partition: str, position: int, deadline: float) -> Spot:
        """The place of the frame that holds a position. Raises `Trimmed`, `LogCorrupt`."""
        subject = self._stream.frames(partition)
        line = self._tail.line(partition)
        low, high = 1, line.recent[0].sequence if line.recent else line.sequence
        while low <= high:
            middle = (low + high) // 2
            got = await self._ask_leader({"seq": middle, "next_by_subj": subject}, deadline)
            if got is None or got.stamp is None or got.stamp.first > position:
                high = middle - 1
            elif got.stamp.last < position:
                low = got.sequence + 1
            else:
                stamp = got.stamp
                return Spot(got.sequence - stamp.part + 1, stamp.first, stamp.last, stamp.parts, len(got.payload) * stamp.parts)
        raise await self._absent(partition, position, deadline)

    async def _absent(self, partition: str, position: int, deadline: float) -> Exception:
        """Why a position is not there: it was trimmed, which this process may not have heard yet, or it is lost."""
        await self._tail.fresh(deadline)
        line = self._tail.line(partition)
        if position <= line.trimmed:
            return trimmed(partition, position - 1, line.trimmed)
        return damaged(self._place, f"partition {partition} has no message at position {position}")

    # Questions

    async def _get(self, subject: str, sequence: int, count: int, room: int, deadline: float) -> list[_Got]:
        """Messages of a subject from a number on, as far as one server has them."""
        question = msgspec.json.encode({"seq": max(1, sequence), "next_by_subj": subject, "batch": count, "max_bytes": room})
        async with self._limit:
            answers = await self._connection.again(
                lambda: self._connection.ask_for_all(f"$JS.API.DIRECT.GET.{self._stream.name}", question, deadline), deadline
            )
        return [_got(answer) for answer in answers]

    async def _ask_leader(self, question: Mapping[str, object], deadline: float) -> _Got | None:
        try:
            answer = await self._connection.api(f"STREAM.MSG.GET.{self._stream.name}", question, deadline)
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise Unanswered(str(refused), sent=False) from refused
        message = answer["message"]
        stamp = stamp_of(headers_of(message.get("hdrs", "")))
        return _Got(message["seq"], message["subject"], stamp, base64.b64decode(message.get("data", "")))

    def _whole(self, got: Iterable[_Got]) -> list[Frame]:
        """The frames of which all parts are there."""
        frames: list[Frame] = []
        parts: dict[str, list[_Got]] = {}
        for each in got:
            if each.stamp is None:
                continue
            begun = parts.setdefault(each.subject, [])
            if each.stamp.part == 1:
                begun.clear()
            if each.stamp.part != len(begun) + 1:
                continue
            begun.append(each)
            if each.stamp.part == each.stamp.parts:
                payload = b"".join(part.payload for part in begun)
                spot = Spot(begun[0].sequence, each.stamp.first, each.stamp.last, each.stamp.parts, len(payload))
                frame = Frame(spot, payload, self._place)
                frames.append(frame)
        return frames

    # What is kept

    def _keep(self, partition: str, frame: Frame) -> None:
        """Keep the frame that a reader may still be inside of; at most one of each partition."""
        if (before := self._kept.pop(partition, None)) is not None:
            self._kept_bytes -= before.spot.size
        self._kept[partition] = frame
        self._kept_bytes += frame.spot.size
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1].spot.size


def trimmed(partition: str, after: int, through: int) -> Trimmed:
    """The exception for positions that are in the archive."""
    return Trimmed(f"partition {partition}: positions through {through} are in the archive; {after + 1} was asked for")


def _runs(spots: Iterable[Spot]) -> list[list[Spot]]:
    """Spots in groups that lie near one another and are not too large together."""
    runs: list[list[Spot]] = []
    size = 0
    for spot in sorted(spots):
        last = runs[-1][-1] if runs else None
        near = last is not None and spot.sequence - (last.sequence + last.parts) <= NEAR
        if near and size + spot.size <= _RUN_BYTES and spot.sequence - runs[-1][0].sequence < _RUN:
            runs[-1].append(spot)
            size += spot.size
        else:
            runs.append([spot])
            size = spot.size
    return runs


def _got(message: Msg) -> _Got:
    headers = message.headers or {}
    return _Got(int(headers.get(_SEQUENCE, "0")), headers.get(_SUBJECT, ""), stamp_of(headers), message.data)
