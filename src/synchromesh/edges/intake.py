"""The intake: many callers' messages become few durable appends.

One thread appends all that waits in one call to the log. While it does so the next group gathers, so a lone message goes at
once and groups grow by themselves when the log is slower than its callers. What waits is bounded; beyond the bound callers
hear `Busy` and nothing of theirs is kept.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from synchromesh.edges.agreement import Busy
from synchromesh.log.agreement import Log, LogAway, LogCorrupt, LogError, LogFull
from synchromesh.model.message import Message

MAX_WAITING: Final = 20_000
"""Messages that may wait to be stored."""

MAX_WAITING_BYTES: Final = 64_000_000
"""Bytes of bodies that may wait to be stored."""

_GROUP: Final = 2_000
_GROUP_BYTES: Final = 8_000_000
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0


class _Waiting:
    """One caller's messages and where its answer goes."""

    __slots__ = ("answer", "bytes", "messages")

    def __init__(self, messages: Sequence[Message], size: int, answer: asyncio.Future[list[int]]) -> None:
        self.messages = messages
        self.bytes = size
        self.answer = answer


class GroupIntake:
    """The `Intake` over a log. Made and used in one event loop; owns one thread from its making until `stop`.

    Guarantees: `accept` returns only after the log's append did; a group is appended whole or not at all, so on an error nothing of any
    of its callers is stored and each hears it; a caller that gives up waiting learns nothing, and its messages may be stored.
    `monotonic` is the clock, in seconds, by which appends are timed for the advice in `Busy`. `pause` says how many seconds so many
    messages wait before they are stored (see `edges.pace`).
    """

    def __init__(
        self,
        log: Log,
        *,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[int], float] = lambda messages: 0.0,
    ) -> None:
        self._log = log
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._monotonic = monotonic
        self._pause_before = pause
        self._ending = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._waiting = 0
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
        """See `Intake.accept`. A batch that alone exceeds the bounds is taken when nothing else waits."""
        if not messages:
            return []
        size = 0
        for message in messages:
            size += len(message.body)
        if self._stopping or (
            self._waiting and (self._waiting + len(messages) > self._max_waiting or self._waiting_bytes + size > self._max_waiting_bytes)
        ):
            raise Busy(self._pause())
        answer: asyncio.Future[list[int]] = self._loop.create_future()
        self._waiting += len(messages)
        self._waiting_bytes += size
        self._queue.put(_Waiting(messages, size, answer))
        return await answer

    async def stop(self) -> None:
        """Store what waits, answer its callers, then let the thread end. Later calls of `accept` hear `Busy`."""
        if not self._stopping:
            self._stopping = True
            self._ending.set()
            self._queue.put(None)
        await self._finished.wait()

    def _pause(self) -> float:
        """How long until what waits now may be stored, judged by the last append."""
        groups = 1 + self._waiting // _GROUP
        return min(max(groups * self._last_append, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def _run(self) -> None:
        """The thread: append groups until told to stop. Groups keep the order in which callers came."""
        more = True
        while more:
            group, more = self._gather()
            if group:
                self._append(group)
        self._loop.call_soon_threadsafe(self._finished.set)

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """Wait for a caller, then take everybody who waits, up to the size of a group; and whether there can be more."""
        group: list[_Waiting] = []
        messages = size = 0
        try:
            waiting = self._queue.get()
            while waiting is not None:
                group.append(waiting)
                messages += len(waiting.messages)
                size += waiting.bytes
                if messages >= _GROUP or size >= _GROUP_BYTES:
                    return group, True
                waiting = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _append(self, group: list[_Waiting]) -> None:
        started = self._monotonic()
        try:
            self._ending.wait(self._pause_before(sum(len(waiting.messages) for waiting in group)))
            positions = self._log.append([message for waiting in group for message in waiting.messages])
        except Exception as error:  # noqa: BLE001 - whatever the log raised, every caller must hear that nothing is acknowledged
            self._failure = (str(error), self._monotonic())
            self._loop.call_soon_threadsafe(self._refuse, group, error)
        else:
            self._failure = ("", 0.0)
            self._loop.call_soon_threadsafe(self._answer, group, positions)
        self._last_append = self._monotonic() - started

    def _answer(self, group: list[_Waiting], positions: list[int]) -> None:
        first = 0
        for waiting in group:
            count = len(waiting.messages)
            self._waiting -= count
            self._waiting_bytes -= waiting.bytes
            if not waiting.answer.done():
                waiting.answer.set_result(positions[first : first + count])
            first += count

    def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        for waiting in group:
            self._waiting -= len(waiting.messages)
            self._waiting_bytes -= waiting.bytes
            if not waiting.answer.done():
                waiting.answer.set_exception(_same_kind(error))


def _same_kind(error: Exception) -> LogError:
    """An own exception for each caller: one that many tasks raise would gather all their tracebacks."""
    kind = next((kind for kind in (LogFull, LogAway, LogCorrupt) if isinstance(error, kind)), LogError)
    told = str(error) if isinstance(error, LogError) else f"the log failed unexpectedly, nothing was stored: {error!r}"
    own = kind(told)
    own.__cause__ = error
    return own
