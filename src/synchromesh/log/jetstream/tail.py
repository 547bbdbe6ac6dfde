"""The tail: where every partition ends, as told by the servers the moment it changes.

One consumer without bodies delivers the last message of every partition and then whatever follows. So heads are known without asking, a
waiting reader is woken by the message itself, and recent frames are found without searching. Only what the stream has stored is
delivered, which on a cluster is what a majority has. When the line breaks or a delivery is missing the tail starts again where it was.

Everything is changed in the loop's thread only; `heads` may be read by any thread that holds `news`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from nats.aio.msg import Msg

from synchromesh.log.agreement import LogAway, LogError
from synchromesh.log.jetstream.access import Access
from synchromesh.log.jetstream.connection import TRY_SECONDS, Connection, Refused, Unanswered, status_of
from synchromesh.log.jetstream.frame import Stamp, mark_of, stamp_of
from synchromesh.log.jetstream.stream import NO_MESSAGE, NOT_FOUND, Stream, damaged, gone, kind_of, look

RECENT: Final = 64
"""How many frames of a partition are found without searching."""
FOLLOWED: Final = 20_000
"""How many messages the tail catches up with one by one after a break; beyond them it looks where partitions end."""
HEARTBEAT_SECONDS: Final = 1
SILENCE_SECONDS: Final = 4.0
"""How long a consumer may be silent before it counts as gone; alive, it speaks every second."""
FORGOTTEN_SECONDS: Final = 15
"""After how long the server forgets a consumer that nobody listens to."""
_PAUSE: Final = 0.2
_GLANCE: Final = 0.3
_SIZE: Final = "Nats-Msg-Size"
_NANOSECONDS: Final = 1_000_000_000


class Spot(NamedTuple):
    """Where a frame is: the number of its first part in the stream, its positions, its parts and its bytes."""

    sequence: int
    first: int
    last: int
    parts: int
    size: int
    append: str = ""


class Line:
    """What is known of one partition."""

    __slots__ = ("chain", "damage", "growing", "head", "mark", "recent", "sequence", "suspect", "trimmed")

    def __init__(self) -> None:
        self.head = 0
        self.sequence = 0
        """The number of the partition's last message in the stream."""
        self.trimmed = 0
        self.chain = ""
        self.mark = 0
        """The number of the mark that says `trimmed` and `chain`."""
        self.damage = ""
        self.suspect = 0
        """The number of a message that did not follow when it was delivered first."""
        self.growing = 0
        """Bytes of the parts so far of a frame that is not whole yet."""
        self.recent: deque[Spot] = deque(maxlen=RECENT)


class Tail:
    """The ends of all partitions. Lives as long as the log."""

    def __init__(self, connection: Connection, access: Access, stream: Stream) -> None:
        self._connection = connection
        self._access = access
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self.lines: dict[str, Line] = {}
        self.heads: dict[str, int] = {}
        self.news = threading.Condition()
        self.sequence = 0
        """Through which message of the stream everything is known."""
        self._delivered = 0
        self._generation = 0
        self._synced: asyncio.Future[None] = self._loop.create_future()
        self._broken = asyncio.Event()
        self._heard = 0.0
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []
        self._unsubscribe: Callable[[], Awaitable[None]] = _nothing
        self._following: asyncio.Task[None] | None = None
        self._trouble: LogError | None = None

    async def open(self, deadline: float) -> None:
        """Know all partitions. Raises `LogError`, `Refused`, `Unanswered`."""
        await self._connection.again(lambda: self._start(min(deadline, self._loop.time() + TRY_SECONDS)), deadline)
        self._following = self._loop.create_task(self._follow())

    def interrupted(self) -> None:
        """The line has broken, or is new: start again."""
        self._broken.set()

    async def current(self, deadline: float) -> None:
        """Return while the servers tell of news; raise `LogError` when they have not by the deadline, since what is known may be old."""
        while not self._synced.done() or self._loop.time() - self._heard > SILENCE_SECONDS:
            if self._loop.time() + _PAUSE > deadline:
                raise self._trouble or LogAway(
                    f"reading the log: {self._access.name}: nothing was heard from the servers for {self._loop.time() - self._heard:.0f} "
                    f"seconds ({self._connection.trouble}); check that a majority of the servers runs and can be reached"
                )
            await asyncio.sleep(_PAUSE)

    def line(self, partition: str) -> Line:
        """What is known of a partition. Raises `LogCorrupt` when something in it is not ours."""
        line = self.lines.get(partition) or Line()
        if line.damage:
            raise damaged(self._access.name, f"partition {partition}: {line.damage}")
        return line

    async def reach(self, sequence: int, deadline: float) -> bool:
        """Wait until everything through a message of the stream is known; whether that came true in time."""
        if self.sequence >= sequence:
            return True
        reached: asyncio.Future[None] = self._loop.create_future()
        self._awaited.append((sequence, reached))
        await asyncio.wait([reached], timeout=max(0.0, deadline - self._loop.time()))
        if not reached.done():
            reached.cancel()
            return False
        return True

    async def fresh(self, deadline: float) -> None:
        """Know whatever was stored before this call. Raises `LogError`, `Unanswered`."""
        stream = await self._look(deadline)
        if not await self.reach(stream.last, min(deadline, self._loop.time() + TRY_SECONDS)):
            self._broken.set()
            await self._reached(stream.last, deadline)

    def append_at(self, partition: str, first: int) -> str | None:
        """The id of the append whose frame begins at a position, '' where a stranger's message is; None when it is not known."""
        line = self._line(partition)
        if line.damage:
            return ""
        return next((spot.append for spot in reversed(line.recent) if spot.first == first), None)

    async def there(self, deadline: float) -> None:
        """Raise `LogError` when a server says that the stream is gone or another."""
        try:
            await self._look(min(deadline, self._loop.time() + _GLANCE))
        except Unanswered:
            return

    def stored(self, partition: str, stamp: Stamp, sequence: int, parts: list[int]) -> None:
        """A frame of this process was stored: known at once, before the servers deliver it."""
        line = self._line(partition)
        if sequence > line.sequence:
            line.recent.append(Spot(sequence - stamp.parts + 1, stamp.first, stamp.last, stamp.parts, sum(parts), stamp.append))
            line.growing = 0
            self._advance(partition, line, stamp.last, sequence)

    def marked(self, partition: str, through: int, chain: str, sequence: int) -> None:
        """Through where a partition is archived."""
        line = self._line(partition)
        if sequence > line.mark:
            line.trimmed, line.chain, line.mark = through, chain, sequence
            if through > line.head:  # a partition that was moved here and goes on behind its archive
                self._advance(partition, line, through, line.sequence)

    # Following

    async def _follow(self) -> None:
        """Start again whenever deliveries stop. What keeps it from that is told to whoever asks."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS / 2):
                    await self._broken.wait()
            except TimeoutError:
                if self._loop.time() - self._heard < SILENCE_SECONDS:
                    continue
            try:
                await self._start(self._loop.time() + TRY_SECONDS)
                self._trouble = None
            except LogError as error:
                self._trouble = error
            except Refused as refused:
                self._trouble = LogError(f"reading the log: {self._access.name}: {refused} (error {refused.code})")
            except Unanswered:
                pass
            except Exception as error:  # noqa: BLE001 - without a tail nothing works: whatever it is, it is told and tried again
                self._trouble = LogError(f"reading the log: {self._access.name}: the tail can't be followed ({error!r})")
            else:
                continue
            self._broken.set()
            await asyncio.sleep(_PAUSE)

    async def _look(self, deadline: float) -> Stream:
        """The stream now. Raises `LogError` when it is not the one that was opened."""
        known = self.sequence  # what is told of while the answer is on its way may be newer than the answer
        try:
            stream = await look(self._connection, self._stream.name, self._access, deadline)
        except Refused as refused:
            raise gone(self._access) if refused.code == NOT_FOUND else _refused(self._access, refused) from refused
        if (stream.id, stream.created) != (self._stream.id, self._stream.created):
            raise LogError(
                f"{self._access.name} was replaced by another since this process opened it; nothing was changed: stop all processes, and "
                "make sure that the stream holds this installation's log before they start again"
            )
        if stream.last < known:  # a new leader that has not caught up, or servers that lost what they acknowledged
            raise Unanswered(f"the servers have {stream.last} messages of the stream and have told of {known}", sent=False)
        return stream

    async def _start(self, deadline: float) -> None:
        """Have everything behind what is known delivered, and wait until it is."""
        client = await self._connection.ready(deadline)
        stream = await self._look(deadline)
        self._broken.clear()
        before, self._unsubscribe = self._unsubscribe, _nothing
        await before()
        inbox = client.new_inbox()
        self._generation += 1
        self._delivered = 0
        self._synced = self._loop.create_future()
        self._heard = self._loop.time()
        self._unsubscribe = await self._connection.subscribe(client, inbox, partial(self._receive, self._generation))
        name = inbox.rpartition(".")[2]
        answer = await self._connection.api(
            f"CONSUMER.CREATE.{stream.name}.{name}", {"stream_name": stream.name, "config": self._consumer(name, inbox, stream)}, deadline
        )
        if answer["num_pending"] or answer["delivered"]["consumer_seq"]:
            await asyncio.wait([self._synced], timeout=max(0.0, deadline - self._loop.time()))
            if not self._synced.done():
                raise Unanswered("the servers do not deliver where partitions end", sent=False)
        elif not self._synced.done():
            self._synced.set_result(None)
        # The server that delivers may lag behind the one that leads: what it has not delivered is not known yet.
        await self._reached(stream.last, deadline)

    async def _reached(self, sequence: int, deadline: float) -> None:
        """Wait until everything through the stream's last message is known. Raises `LogCorrupt` when it is gone, `Unanswered`."""
        if await self.reach(sequence, deadline):
            return
        try:
            await self._connection.api(f"STREAM.MSG.GET.{self._stream.name}", {"seq": sequence}, self._loop.time() + _GLANCE)
        except Refused as refused:
            if refused.code == NO_MESSAGE and self.sequence < sequence:
                raise damaged(self._access.name, f"message {sequence} of the stream, its last, is gone") from refused
        raise Unanswered("the servers do not deliver what they have", sent=False)

    def _consumer(self, name: str, inbox: str, stream: Stream) -> dict[str, Any]:
        anew = not self.sequence or stream.last - self.sequence > FOLLOWED
        if anew:
            for line in self.lines.values():
                line.recent.clear()
                line.growing = 0
        where = (
            {"deliver_policy": "last_per_subject"} if anew else {"deliver_policy": "by_start_sequence", "opt_start_seq": self.sequence + 1}
        )
        return {
            **where,
            "name": name,
            "deliver_subject": inbox,
            "filter_subjects": stream.subjects,
            "ack_policy": "none",
            "headers_only": True,
            "flow_control": True,
            "idle_heartbeat": HEARTBEAT_SECONDS * _NANOSECONDS,
            "inactive_threshold": FORGOTTEN_SECONDS * _NANOSECONDS,
            "mem_storage": True,
            "num_replicas": 1,
        }

    async def _receive(self, generation: int, message: Msg) -> None:
        """One delivery, or the server's sign of life, or its question whether we keep up."""
        if generation != self._generation:
            return
        self._heard = self._loop.time()
        if status_of(message):
            if message.reply:
                await self._connection.tell(message.reply, b"", None)
            return
        sequence, delivery, pending = _numbers(message.reply)
        if delivery != self._delivered + 1:
            self._broken.set()
            return
        self._delivered = delivery
        if not self._take(message, sequence):
            return
        if pending == 0 and not self._synced.done():
            self._synced.set_result(None)
        if self._synced.done():
            self._known(sequence)

    def _take(self, message: Msg, sequence: int) -> bool:
        """Learn from one message; whether to go on with what follows."""
        kind, partition = kind_of(message.subject)
        if kind == "trimmed":
            if (marked := mark_of(message.headers)) is not None:
                self.marked(partition, *marked, sequence)
            return True
        line = self._line(partition)
        if sequence <= line.sequence:
            return True
        stamp = stamp_of(message.headers)
        if stamp is None:
            line.damage = f"message {sequence} of the stream was not written by Synchromesh"
            line.sequence = sequence
        elif line.recent and stamp.first != line.head + 1:
            if line.suspect != sequence:  # deliveries may have been missed: have them again, from another server if need be
                line.suspect = sequence
                self.sequence = min(self.sequence, line.sequence)
                self._generation += 1
                self._broken.set()
                return False
            line.damage = f"message {sequence} of the stream holds position {stamp.first} behind position {line.head}"
            line.sequence = sequence
        else:
            self._frame(partition, line, stamp, sequence, int((message.headers or {}).get(_SIZE, "0")))
        return True

    def _frame(self, partition: str, line: Line, stamp: Stamp, sequence: int, size: int) -> None:
        line.growing += size
        if stamp.part < stamp.parts:
            line.sequence = sequence
            return
        line.recent.append(Spot(sequence - stamp.parts + 1, stamp.first, stamp.last, stamp.parts, line.growing, stamp.append))
        line.growing = 0
        self._advance(partition, line, stamp.last, sequence)

    def _line(self, partition: str) -> Line:
        return self.lines.setdefault(partition, Line())

    def _advance(self, partition: str, line: Line, head: int, sequence: int) -> None:
        line.sequence = sequence
        with self.news:
            line.head = self.heads[partition] = head
            self.news.notify_all()

    def _known(self, sequence: int) -> None:
        """Everything through this message has been delivered."""
        self.sequence = max(self.sequence, sequence)
        if self._awaited:
            left = []
            for wanted, reached in self._awaited:
                if wanted <= self.sequence and not reached.done():
                    reached.set_result(None)
                elif not reached.done():
                    left.append((wanted, reached))
            self._awaited = left


async def _nothing() -> None:
    """There is no subscription to end yet."""


def _refused(access: Access, refused: Refused) -> LogError:
    return LogError(f"{access.name}: {refused} (error {refused.code}); nothing was changed")


def _numbers(reply: str) -> tuple[int, int, int]:
    """From the address of a delivery's acknowledgement: its number in the stream, its number in the consumer, and how many follow."""
    words = reply.split(".")
    at = 5 if len(words) == 9 else 7  # servers with domains name domain and account first
    return int(words[at]), int(words[at + 1]), int(words[at + 3])


def has_news(heads: Mapping[str, int], after: Mapping[str, int]) -> Callable[[], bool]:
    """Whether any partition goes on behind a position, for `news.wait_for`."""
    return lambda: any(heads.get(partition, 0) > position for partition, position in after.items())
