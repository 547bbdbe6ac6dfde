"""The intake: many callers' messages become few durable appends.

One thread appends all that may go in one call to the log. While it does so the next group gathers, so a lone message goes at
once and groups grow by themselves when the log is slower than its callers. What waits is bounded, in all and for each plant: a plant may
have no more waiting than is free for the others, so that one plant's storm leaves room for them. Beyond the bounds callers hear `Busy` and
nothing of theirs is kept.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from synchromesh.edges.agreement import Busy
from synchromesh.edges.lanes import GROUP, Call, Lanes
from synchromesh.edges.pace import AtOnce, Pacing
from synchromesh.log.agreement import Log, LogAway, LogCorrupt, LogError, LogFull
from synchromesh.model.message import Message

MAX_WAITING: Final = 20_000
"""Messages that may wait to be stored."""

MAX_WAITING_BYTES: Final = 64_000_000
"""Bytes of bodies that may wait to be stored."""

_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0


class GroupIntake:
    """The `Intake` over a log. Made and used in one event loop; owns one thread from its making until `stop`.

    Guarantees: `accept` returns only after the log's append did; a group is appended whole or not at all, so on an error nothing of any
    of its callers is stored and each hears it; a caller that gives up waiting learns nothing, and its messages may be stored.
    The messages of one plant are stored in the order in which their callers came. `monotonic` is the clock, in seconds, by which appends
    are timed for the advice in `Busy`. `pace` says which plants wait, and how long.
    """

    def __init__(
        self,
        log: Log,
        *,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
        pace: Pacing | None = None,
    ) -> None:
        self._log = log
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._monotonic = monotonic
        self._pace = pace or AtOnce()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._waiting = 0
        self._of_plant: Counter[str] = Counter()
        self._bytes_of_plant: Counter[str] = Counter()
        self._waiting_bytes = 0
        self._last_append = 0.0
        self._failure = ("", 0.0)
        self._stopping = False
        self._finished = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many messages wait for their append just now."""
        return self._waiting

    def failed_within(self, seconds: float) -> str:
        """What the log said when the last append failed, if that was within so many seconds; else ''."""
        error, at = self._failure
        return error if error and self._monotonic() - at <= seconds else ""

    async def accept(self, messages: Sequence[Message]) -> list[int]:
        """See `Intake.accept`. A batch that alone exceeds the bounds is taken when nothing else waits. Messages of several plants wait
        together, as ones of the first one's."""
        if not messages:
            return []
        size = 0
        for message in messages:
            size += len(message.body)
        plant = messages[0].partition
        if self._stopping or (self._waiting and not self._fits(plant, len(messages), size)):
            raise Busy(self._pause(plant))
        call = Call(plant, messages, size, self._loop.create_future())
        self._waiting += len(messages)
        self._waiting_bytes += size
        self._of_plant[plant] += len(messages)
        self._bytes_of_plant[plant] += size
        self._queue.put(call)
        return await call.answer

    def _fits(self, plant: str, messages: int, size: int) -> bool:
        """Whether there is room in all, and the plant would not have more waiting than is free."""
        free, free_bytes = self._max_waiting - self._waiting, self._max_waiting_bytes - self._waiting_bytes
        if messages > free or size > free_bytes:
            return False
        return not self._of_plant[plant] or (self._of_plant[plant] + messages <= free and self._bytes_of_plant[plant] + size <= free_bytes)

    async def stop(self) -> None:
        """Store what waits, answer its callers, then let the thread end. Later calls of `accept` hear `Busy`."""
        if not self._stopping:
            self._stopping = True
            self._queue.put(None)
        await self._finished.wait()

    def _pause(self, plant: str) -> float:
        """How long until what waits now of this plant may be stored, judged by the last append and the pace."""
        groups = 1 + self._waiting // GROUP
        soonest = max(groups * self._last_append, self._pace.lasting(plant, self._of_plant[plant]))
        return min(max(soonest, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def _run(self) -> None:
        """The thread: append groups until told to stop, and then what still waits, without waiting for the pace."""
        lanes = Lanes(self._pace)
        more = True
        while more or lanes.waiting:
            more = more and self._arrived(lanes)
            if group := lanes.group(hurry=not more):
                self._append(group)
        self._loop.call_soon_threadsafe(self._finished.set)

    def _arrived(self, lanes: Lanes) -> bool:
        """Wait until something may be stored, and take in who came meanwhile; whether there can be more."""
        with suppress(Empty):
            wait = lanes.wait()
            call = self._queue.get_nowait() if wait == 0 else self._queue.get(timeout=wait)
            while call is not None:
                lanes.put(call)
                call = self._queue.get_nowait()
            return False
        return True

    def _append(self, group: list[Call]) -> None:
        started = self._monotonic()
        try:
            positions = self._log.append([message for call in group for message in call.messages])
        except Exception as error:  # noqa: BLE001 - whatever the log raised, every caller must hear that nothing is acknowledged
            self._failure = (str(error), self._monotonic())
            self._loop.call_soon_threadsafe(self._refuse, group, error)
        else:
            self._failure = ("", 0.0)
            self._loop.call_soon_threadsafe(self._answer, group, positions)
        self._last_append = self._monotonic() - started

    def _answer(self, group: list[Call], positions: list[int]) -> None:
        first = 0
        for call in group:
            self._gone(call)
            count = len(call.messages)
            if not call.answer.done():
                call.answer.set_result(positions[first : first + count])
            first += count

    def _refuse(self, group: list[Call], error: Exception) -> None:
        for call in group:
            self._gone(call)
            if not call.answer.done():
                call.answer.set_exception(_same_kind(error))

    def _gone(self, call: Call) -> None:
        """It waits no more."""
        self._waiting -= len(call.messages)
        self._waiting_bytes -= call.bytes
        self._of_plant[call.plant] -= len(call.messages)
        self._bytes_of_plant[call.plant] -= call.bytes
        if not self._of_plant[call.plant]:
            del self._of_plant[call.plant], self._bytes_of_plant[call.plant]


def _same_kind(error: Exception) -> LogError:
    """An own exception for each caller: one that many tasks raise would gather all their tracebacks."""
    kind = next((kind for kind in (LogFull, LogAway, LogCorrupt) if isinstance(error, kind)), LogError)
    told = str(error) if isinstance(error, LogError) else f"the log failed unexpectedly, nothing was stored: {error!r}"
    own = kind(told)
    own.__cause__ = error
    return own
