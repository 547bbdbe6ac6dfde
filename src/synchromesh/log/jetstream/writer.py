"""Appending: gapless positions among any number of writers, without a coordinator.

A frame is stored only if the last message of its partition is still the one that its positions follow from: the server compares and
stores in one step. So of two writers one is refused, sees where the partition ends now, and tries again. An append over several frames is
the server's atomic batch: all comparisons hold and all is stored, or nothing is.

The same comparison settles lost answers. What may have been stored is sent again as it was: it is stored now, or something follows
its predecessor, and that is ours or another's. Nobody guesses, and nothing is stored twice.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.msg import Msg

from synchromesh.log.agreement import LogAway, LogError, LogFull
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import TRY_SECONDS, Connection, Refused, Unanswered, refusal
from synchromesh.log.jetstream.frame import OVERHEAD, STAMP, Draft, Stamp, draft, stamp_of
from synchromesh.log.jetstream.stream import Stream
from synchromesh.log.jetstream.tail import Tail

MOST_PARTS: Final = 1_000
"""How many messages the server stores all or none."""
GROUP_BYTES: Final = 4 * 1024 * 1024
"""How many bytes of waiting appends are stored together; a larger append is stored alone."""
LARGEST_PART: Final = 1024 * 1024

_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_BATCH: Final = "Nats-Batch-Id"
_NUMBER: Final = "Nats-Batch-Sequence"
_COMMIT: Final = "Nats-Batch-Commit"

_OTHER_LAST: Final = 10071
"""Something else follows; the words end with the number of the partition's last message."""
_OTHER_UNDER_WAY: Final = 10164
FULL: Final = {10002, 10023, 10047, 10077}
_AGAIN: Final = {10167, 10176, 10210, 10211}
"""The server was too busy, or a batch came apart on the way; nothing was stored."""
_MOMENT: Final = 0.003
_NEWS_SECONDS: Final = 0.05
"""How long the tail may take to tell of what another writer stored, before a server is asked."""


class _Waiting(NamedTuple):
    """One call's messages by partition, and where the first positions go."""

    bodies: Mapping[str, Sequence[bytes]]
    drafts: Mapping[str, list[Draft]]
    size: int
    answer: asyncio.Future[dict[str, int]]

    @property
    def parts(self) -> int:
        return sum(len(each.parts) for drafts in self.drafts.values() for each in drafts)


class _Part(NamedTuple):
    """One message as it is sent."""

    partition: str
    subject: str
    headers: dict[str, str]
    payload: bytes
    stamp: Stamp
    sizes: list[int]


class _Overtaken(Exception):
    """Another writer was first; the number of a message that is to be known before trying again, 0 where it was not told."""

    def __init__(self, sequence: int) -> None:
        super().__init__(sequence)
        self.sequence = sequence


class _Group:
    """Appends that are stored together, because they have partitions in common."""

    def __init__(self, first: _Waiting) -> None:
        self.members = [first]
        self.partitions = set(first.bodies)
        self._size = first.size
        self._parts = first.parts

    def takes(self, waiting: _Waiting) -> bool:
        """Take one more, if there is room."""
        if self._size + waiting.size > GROUP_BYTES or self._parts + waiting.parts > MOST_PARTS:
            return False
        self.members.append(waiting)
        self.partitions.update(waiting.bodies)
        self._size += waiting.size
        self._parts += waiting.parts
        return True


class Writer:
    """The one that appends for this process: one append at a time in each partition, made of all that waits for it."""

    def __init__(self, connection: Connection, access: Access, stream: Stream, tail: Tail) -> None:
        self._connection = connection
        self._access = access
        self._stream = stream
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._busy: set[str] = set()
        self._working: set[asyncio.Task[None]] = set()

    async def append(self, bodies: Mapping[str, Sequence[bytes]]) -> dict[str, int]:
        """Append stored messages; the first position of each partition's. Raises `LogError`, `LogFull`, `LogCorrupt`."""
        room = self._part_bytes()
        drafts = {partition: list(draft(each, room)) for partition, each in bodies.items()}
        size = sum(len(part) for each in drafts.values() for one in each for part in one.parts)
        waiting = _Waiting(bodies, drafts, size, self._loop.create_future())
        if waiting.parts > MOST_PARTS:
            raise LogError(
                f"appending to the log: {self._access.name}: {waiting.parts} messages would be needed and the servers store at most "
                f"{MOST_PARTS} all or none; append fewer partitions or bytes at a time; nothing was appended"
            )
        self._waiting.append(waiting)
        self._begin()
        return await waiting.answer

    def _part_bytes(self) -> int:
        client = self._connection.client
        return min(client.max_payload - OVERHEAD, LARGEST_PART) if client else LARGEST_PART // 2

    def _begin(self) -> None:
        """Begin whatever waits for nothing under way. In each partition appends keep the order in which they came."""
        groups: list[_Group] = []
        left: list[_Waiting] = []
        blocked = set(self._busy)
        for waiting in self._waiting:
            mates = [group for group in groups if not group.partitions.isdisjoint(waiting.bodies)]
            if not blocked.isdisjoint(waiting.bodies) or len(mates) > 1 or (mates and not mates[0].takes(waiting)):
                left.append(waiting)
                blocked.update(waiting.bodies)
            elif not mates:
                groups.append(_Group(waiting))
        self._waiting = left
        for group in groups:
            self._busy |= group.partitions
            task = self._loop.create_task(self._work(group))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, group: _Group) -> None:
        """Store a group, tell its callers, and begin what waited for it."""
        try:
            firsts = await self._store(_together(group.members, self._part_bytes()))
        except asyncio.CancelledError:
            _fail(group.members, LogError(f"appending to the log: {self._access.name}: the log was closed meanwhile"))
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of whatever happened
            _fail(group.members, error)
        else:
            _tell(group.members, firsts)
        self._busy -= group.partitions
        self._begin()

    async def _store(self, drafts: Mapping[str, list[Draft]]) -> dict[str, int]:
        """Store frames behind where their partitions end. Raises `LogError`, `LogFull`, `LogCorrupt`; `LogAway` when it is not known."""
        deadline = self._loop.time() + self._access.options.patience
        append = uuid.uuid4().hex
        doubtful: list[_Part] = []  # what may have been stored: until that is known, only the same may be sent again
        while True:
            parts = doubtful or self._parts(drafts, append)
            try:
                last = await self._publish(parts, deadline)
            except Unanswered as unanswered:
                doubtful = parts if unanswered.sent else doubtful
                await self._tail.there(deadline)
                await self._pause(unanswered, deadline, doubtful=bool(doubtful))
            except (_Overtaken, LogFull) as refused:
                if isinstance(refused, LogFull) and not doubtful:
                    raise
                # Also a server that only believes to lead answers, with a refusal, what the one that leads may be storing just now.
                ours = await self._ours(parts, refused, deadline)
                if ours:
                    return _firsts(parts)
                if ours is None:
                    doubtful = parts
                    await self._pause(Unanswered(f"no server tells what became of it: {refused}", sent=True), deadline, doubtful=True)
                    continue
                doubtful = []
                if isinstance(refused, LogFull):
                    raise
                if self._loop.time() >= deadline:
                    raise self._given_up(Unanswered("other writers were always first", sent=False), doubtful=False) from refused
            else:
                self._stored(parts, last)
                return _firsts(parts)

    async def _pause(self, why: Unanswered, deadline: float, *, doubtful: bool) -> None:
        """Let some time pass before the next attempt. Raises `LogAway` when there is none left."""
        if self._loop.time() + _MOMENT >= deadline:
            raise self._given_up(why, doubtful=doubtful) from why
        await asyncio.sleep(10 * _MOMENT)

    def _parts(self, drafts: Mapping[str, list[Draft]], append: str) -> list[_Part]:
        """The messages, with the positions that follow now. Raises `LogCorrupt`."""
        parts: list[_Part] = []
        for partition, frames in drafts.items():
            line = self._tail.line(partition)
            subject = self._stream.frames(partition)
            first, expected = line.head + 1, str(line.sequence)
            for frame in frames:
                sizes = [len(payload) for payload in frame.parts]
                for number, payload in enumerate(frame.parts, 1):
                    stamp = Stamp(first, frame.length, number, len(frame.parts), append)
                    headers = {STAMP: stamp.text()}
                    if expected:
                        headers[_EXPECTED] = expected
                        expected = ""
                    parts.append(_Part(partition, subject, headers, payload, stamp, sizes))
                first += frame.length
        return parts

    async def _publish(self, parts: list[_Part], deadline: float) -> int:
        """The number of the last message in the stream, when all are stored. Raises `_Overtaken`, `LogFull`, `LogError`, `Unanswered`."""
        until = min(deadline, self._loop.time() + TRY_SECONDS)
        *before, last = parts
        extra: dict[str, str] = {}
        if before:
            await self._connection.ready(until)
            batch = uuid.uuid4().hex
            for number, part in enumerate(before, 1):
                await self._connection.tell(part.subject, part.payload, {**part.headers, _BATCH: batch, _NUMBER: str(number)})
            extra = {_BATCH: batch, _NUMBER: str(len(parts)), _COMMIT: "1"}
        answer = await self._connection.ask(last.subject, last.payload, {**last.headers, **extra}, until)
        return self._acknowledged(answer)

    def _acknowledged(self, answer: Msg) -> int:
        told: dict[str, Any] = msgspec.json.decode(answer.data)
        if not (error := told.get("error")):
            return int(told["seq"])
        refused = refusal(error)
        if not isinstance(refused, Refused):
            raise Unanswered(str(refused), sent=True)
        if refused.code == _OTHER_LAST:
            raise _Overtaken(int(str(refused).rpartition(" ")[2]))
        if refused.code == _OTHER_UNDER_WAY:
            raise _Overtaken(0)
        if refused.code in FULL:
            raise LogFull(
                f"appending to the log: {self._access.name}: no room ({refused}); nothing was appended; trim the log, give the stream more "
                "room (`max_bytes`) or the servers' disks more space, then go on"
            )
        if refused.code in _AGAIN:
            raise Unanswered(str(refused), sent=True)
        raise LogError(f"appending to the log: {self._access.name}: {refused} (error {refused.code}); nothing was appended")

    async def _ours(self, parts: list[_Part], refused: Exception, deadline: float) -> bool | None:
        """Whether what was refused is stored nevertheless: what follows a predecessor tells, for all partitions alike.

        None when nothing is known to follow: then it may still be stored, and only the same may be sent again.
        """
        if isinstance(refused, _Overtaken):
            await self._tail.reach(refused.sequence or self._tail.sequence + 1, min(deadline, self._loop.time() + _NEWS_SECONDS))
        firsts = [part for part in parts if _EXPECTED in part.headers]
        for part in firsts:
            if (append := self._tail.append_at(part.partition, part.stamp.first)) is not None:
                return append == part.stamp.append
        for part in firsts:
            if (append := await self._following(part, deadline)) is not None:
                self._tail.interrupted()  # it should have known
                await self._tail.reach(int(part.headers[_EXPECTED]) + 1, min(deadline, self._loop.time() + TRY_SECONDS))
                return append == part.stamp.append
        return None

    async def _following(self, part: _Part, deadline: float) -> str | None:
        """The id of the append of what directly follows the message that a part was to follow, '' for a stranger's; None where it can't
        be seen."""
        question = {"seq": int(part.headers[_EXPECTED]) + 1, "next_by_subj": part.subject}
        try:
            answer = await self._connection.api(f"STREAM.MSG.GET.{self._stream.name}", question, deadline)
        except Refused:
            return None
        except Unanswered as unanswered:
            raise self._given_up(unanswered, doubtful=True) from unanswered
        stamp = stamp_of(headers_of(answer["message"].get("hdrs", "")))
        if stamp is None:
            return ""
        return stamp.append if stamp.first == part.stamp.first else None

    def _given_up(self, why: Unanswered, *, doubtful: bool) -> LogAway:
        what = "it is not known whether the messages were stored" if doubtful else "nothing was appended"
        return LogAway(
            f"appending to the log: {self._access.name}: no answer within {self._access.options.patience} seconds ({why}); {what}; check "
            "that a majority of the servers runs and can be reached"
        )

    def _stored(self, parts: list[_Part], last: int) -> None:
        """Tell the tail at once. The messages of a batch lie side by side."""
        for sequence, part in enumerate(parts, last - len(parts) + 1):
            if part.stamp.part == part.stamp.parts:
                self._tail.stored(part.partition, part.stamp, sequence, part.sizes)


def headers_of(encoded: str) -> dict[str, str]:
    """The headers that the API gives in base64."""
    lines = base64.b64decode(encoded).decode("utf-8", "replace").split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _together(group: Sequence[_Waiting], part_bytes: int) -> Mapping[str, list[Draft]]:
    """The frames of several appends, neighbours of one partition in one frame."""
    if len(group) == 1:
        return group[0].drafts
    bodies: dict[str, list[bytes]] = {}
    for waiting in group:
        for partition, each in waiting.bodies.items():
            bodies.setdefault(partition, []).extend(each)
    return {partition: list(draft(each, part_bytes)) for partition, each in bodies.items()}


def _firsts(parts: list[_Part]) -> dict[str, int]:
    firsts: dict[str, int] = {}
    for part in parts:
        firsts.setdefault(part.partition, part.stamp.first)
    return firsts


def _tell(group: Sequence[_Waiting], firsts: dict[str, int]) -> None:
    """Each append its own positions; those of one partition follow one another in the order of the group."""
    following = dict(firsts)
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_result({partition: following[partition] for partition in waiting.bodies})
        for partition, each in waiting.bodies.items():
            following[partition] += len(each)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
