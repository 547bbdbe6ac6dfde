"""The dispatcher: claims ready postings, sends them, settles doubt by asking, and tells the log what came of them.

A claim is durable before anything is sent, and stays until the worker has folded the outcome. So after a crash only what was claimed
and has no outcome is in doubt, and doubt is asked about, never sent again blindly (law 4). Whether it has an outcome, the state knows when
it has reached the log's head of the takeover; until then what others claimed in a partition is left alone. Lanes stay in order because
the worker makes only the head of a lane ready.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Connector, ConnectorError, FindingState, Grade
from synchromesh.engine.circuit import Circuit
from synchromesh.engine.job import (
    FOLLOWED,
    TRIED_ENOUGH,
    Job,
    after_finding,
    after_no_answer,
    after_reply,
    check_finding,
    check_replies,
    is_of_the_system,
)
from synchromesh.engine.presence import Presence
from synchromesh.engine.sending import Limits, Retry
from synchromesh.engine.turns import Turns
from synchromesh.engine.worker import own_message
from synchromesh.log.agreement import Log
from synchromesh.model import subject
from synchromesh.model.event import OutcomesReported
from synchromesh.model.posting import Fate, Outcome, Posting, Refusal, Reply
from synchromesh.observe.lines import emit
from synchromesh.observe.names import IN_DOUBT
from synchromesh.state.agreement import Fenced, Outbox, Ready

_decode: Final = msgspec.json.Decoder(Posting).decode
IN_FLIGHT: Final = 4000
"""The most postings claimed at a time by one dispatcher: what a crash may leave in doubt."""

HELD: Final = 20_000
"""The most postings that one dispatcher keeps, with those held up by a lock or an approval in the business system. They take no place
among those in flight, so that a plant whose orders are all locked does not stop the others."""

NOTHING: Final = "no answer, or only refusals to try again later"
GROUP: Final = 500
"""The most outcomes in one message of the log."""


class Dispatcher:
    """Everything that goes to one business system. At most one runs per system; a second one would find the claims taken.

    `clock` gives seconds and never goes back; `now` is the time of day for the log; `jitter` gives 0 to 1. `presence` is told whether the
    system answers. `limits` hold within what the connector can do. `copied` tells through which position a partition's log is a copy that
    went on elsewhere: what came of these messages may have been sent there, and is asked about first, whenever it becomes ready.
    """

    def __init__(
        self,
        target: str,
        connector: Connector,
        outbox: Outbox,
        log: Log,
        claimant: str,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        presence: Presence | None = None,
        limits: Limits | None = None,
        retry: Retry | None = None,
        copied: Callable[[str], int] = lambda partition: 0,
    ) -> None:
        self._target = target
        self._connector = connector
        self._outbox = outbox
        self._log = log
        self._copied = copied
        self._claimant = claimant
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._presence = presence or Presence(target, clock)
        self._jobs: dict[tuple[str, int, int], Job] = {}
        self._waiting: dict[tuple[str, int, int], Job] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._heard: list[tuple[Job, Reply]] = []
        self._limits = limits or Limits()
        self._retry = retry or Retry()
        self._circuit = Circuit(self._retry, self._concurrency, jitter)
        self._turns = Turns(self._limits, clock())
        self._sequence = 0
        self._behind: dict[str, int] | None = None
        """Partitions whose claims of others are not taken over yet, with the log's head when this dispatcher began."""
        self._asked = False
        """Whether the last call was a question."""
        self._broken: BaseException | None = None
        self.news = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Nothing is claimed and nothing is untold."""
        return not self._jobs and not self._heard

    async def step(self, patience: float | None = 0.0) -> float | None:
        """Claim, send what is due, wait up to `patience` seconds for an answer, tell the log; seconds until the next thing is due.
        With None it waits for nothing, and `news` is set by the next answer.

        Raises `LogError` or `StateError`; what was heard is kept and told at the next step. `Fenced`, one of these, ends the dispatcher.
        """
        self._tell()  # before anything that may fail: what is known goes to the log, and only then is more taken on
        self._check()
        self._take()
        self._start()
        if self._calls and patience is not None:
            await asyncio.wait(self._calls, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        self._tell()
        if self._broken is not None:
            raise self._broken  # a connector that breaks its agreement ends the dispatcher; what it had claimed is then in doubt
        self._start()
        return self._next_due()

    async def stop(self, grace: float) -> None:
        """Wait up to `grace` seconds for answers on their way and tell them. What certainly was not sent, or not booked, is given back for
        the next start; what stays open is in doubt and found then. Raises as `step`."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        try:
            self._tell()
        finally:
            self._give_back()

    # --- claiming --------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        now = self._clock()
        room = self._room(now)
        if room > 0:
            room -= self._take_over(room, now)
        if self._circuit.is_open:
            # What is claimed tries whether the system is back, unless it is only what the system never answers to.
            room = 0 if any(job.unanswered < TRIED_ENOUGH for job in self._jobs.values()) else min(room, 1)
        if room > 0 and now >= self._circuit.blocked_until:
            stamp = int(self._now().timestamp() * 1_000_000)
            taken = self._outbox.take(self._target, self._claimant, room, stamp, self._full())
            for ready, doubtful in zip(taken, self._of_copies(taken), strict=True):
                self._add(Job(ready, _decode(ready.content), due=now, sent=now if doubtful else -1.0, doubtful=doubtful))

    def _of_copies(self, taken: Sequence[Ready]) -> list[bool]:
        """Which of these may have been sent by where this log was copied from. What can't be told is given back."""
        try:
            return [ready.position <= self._copied(ready.partition) for ready in taken]
        except BaseException:
            self._outbox.release([(ready.partition, ready.position, ready.ordinal) for ready in taken])
            raise

    def _full(self) -> set[str]:
        """Plants of which enough is claimed."""
        return self._turns.full(Counter(partition for partition, _, _ in self._jobs)) if self._turns.share else set()

    def _room(self, now: float) -> int:
        """How many more may be claimed. Of a system that can't be asked not more than is sent at once: a crash makes exceptions of them."""
        abilities = self._connector.abilities
        most = self._batch() * self._concurrency() if abilities.grade is Grade.BLIND else IN_FLIGHT
        room = most - len(self._jobs)
        if room <= 0:
            room += sum(job.due > now for job in self._waiting.values())
        room = min(room, HELD - len(self._jobs))
        return min(room, self._turns.share) if self._turns.share else room

    def _take_over(self, room: int, now: float) -> int:
        """Take over what others claimed, partition by partition as the state reaches the log's head; how many these are now. Those before
        this one are gone, so what has no outcome below that head has none at all."""
        if self._behind is None:
            self._outbox.disown(self._target, self._claimant)
            self._behind = self._log.head()
        if not self._behind:
            return 0
        taken = self._outbox.take_over(self._target, self._claimant, self._behind, room)
        for ready in taken.entries:
            self._add(Job(ready, _decode(ready.content), due=now, sent=now, doubtful=True))
        for partition in taken.partitions:
            del self._behind[partition]
        return len(taken.entries)

    def _give_back(self) -> None:
        if not self._outbox.sends(self._target, self._claimant):
            return
        free = [job for job in self._waiting.values() if not job.doubtful]
        self._outbox.release([job.id for job in free])
        for job in free:
            del self._waiting[job.id], self._jobs[job.id]

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._waiting[job.id] = job

    # --- sending ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start as many calls as the business system takes, questions and postings in turn, so that neither stops the other. A system that
        is lost is tried with a question where there is one, else with a single posting: what has no answer then is in doubt."""
        now = self._clock()
        free = self._free()
        if now < self._circuit.blocked_until or free <= 0:
            return
        asks, sends = self._due(now)
        if self._circuit.is_open:
            asks = _telling(asks, sends)
        batch = 1 if self._circuit.is_open else self._batch()
        while free > 0 and (any(asks.values()) or any(sends.values())):
            self._asked = any(asks.values()) and (self._circuit.is_open or not (self._asked and any(sends.values())))
            jobs = self._turns.draw(asks, 1, now) if self._asked else self._turns.draw(sends, batch, now)
            if not jobs:
                return
            for job in jobs:
                del self._waiting[job.id]
            probe = self._circuit.is_open
            if self._asked:
                self._call(self._ask(jobs[0], probe=probe))
            else:
                self._check()
                self._call(self._send(jobs, probe=probe))
            free -= 1

    def _check(self) -> None:
        """Nothing is sent by one that another one has followed: it may have stood still for hours between two lines of this program."""
        if not self._outbox.sends(self._target, self._claimant):
            raise Fenced(f"another dispatcher sends to {self._target} now; this one ends")

    def _due(self, now: float) -> tuple[dict[str, deque[Job]], dict[str, deque[Job]]]:
        """What is due to be asked about, and what is due to be sent, by plant."""
        asks: dict[str, deque[Job]] = {}
        sends: dict[str, deque[Job]] = {}
        for job in self._waiting.values():
            if job.due <= now:
                (asks if job.doubtful else sends).setdefault(job.ready.partition, deque()).append(job)
        return asks, sends

    def _free(self) -> int:
        """How many calls may be started. While the system is lost, one call at a time tries whether it is back."""
        return self._circuit.calls() - len(self._calls)

    def _batch(self) -> int:
        return self._least(self._connector.abilities.batch, self._limits.batch)

    def _concurrency(self) -> int:
        return self._least(self._connector.abilities.concurrency, self._limits.concurrency)

    @staticmethod
    def _least(able: int, allowed: int) -> int:
        """What the connector can do, or less where that is configured."""
        return min(able, allowed) if allowed else able

    def _call(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._called)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self.news.set()
        if not call.cancelled() and (error := call.exception()) is not None:
            self._broken = error

    async def _send(self, jobs: Sequence[Job], *, probe: bool) -> None:
        now = self._clock()
        for job in jobs:
            job.sent, job.attempts = now, job.attempts + 1
        replies = await self._connector.post([job.posting for job in jobs])
        check_replies([job.posting for job in jobs], replies)
        if any(map(_answered, replies)):
            self._reached()
        else:
            self._lost(replies[0].refusal.sentence if replies[0].refusal else NOTHING, _longest(replies))
        for job, reply in zip(jobs, replies, strict=True):
            if reply.fate is Fate.DOUBT:
                emit(IN_DOUBT, system=self._target, posting=job.posting.key, error="no answer after sending")
            self._hear(job, after_reply(job, reply, self._clock(), self._jitter, self._retry, probe=probe))

    async def _ask(self, job: Job, *, probe: bool) -> None:
        try:
            finding = await self._connector.find(job.posting.key)
        except ConnectorError as error:
            self._lost(str(error))
            self._hear(job, after_no_answer(job, self._clock(), self._jitter(), self._retry, probe=probe))
            return
        check_finding(job.posting, finding)
        if finding.state is not FindingState.SILENT:  # that a system can't be asked was known before
            self._reached()
        self._hear(job, after_finding(job, finding, self._connector.abilities, self._clock(), self._retry))

    def _hear(self, job: Job, reply: Reply | None) -> None:
        if reply is not None:
            self._heard.append((job, reply))
        if reply is None or reply.fate in FOLLOWED:
            self._waiting[job.id] = job

    def _reached(self) -> None:
        self._circuit.answered()
        self._presence.sent(True)

    def _lost(self, words: str, retry_after: float | None = None) -> None:
        if self._circuit.silent(self._clock(), retry_after):
            self._presence.sent(False, words)

    # --- telling ---------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Append what was heard, many outcomes a message, and only then forget the jobs. That something is not booked is no longer known
        when another one has followed, and perhaps sent it again."""
        if any(reply.fate is not Fate.POSTED for _, reply in self._heard) and not self._outbox.sends(self._target, self._claimant):
            self._heard = [(job, reply) for job, reply in self._heard if reply.fate is Fate.POSTED]
        while self._heard:
            group = self._heard[:GROUP]
            now = self._now()
            by_partition: dict[str, list[Outcome]] = {}
            for job, reply in group:
                outcome = Outcome(reply.key, reply.fate, now, reply.document, reply.link, self._named(reply.refusal), max(job.attempts, 1))
                by_partition.setdefault(job.ready.partition, []).append(outcome)
            self._sequence += 1
            name = f"outcomes:{self._claimant}:{self._sequence}"
            self._log.append(
                [own_message(partition, name, OutcomesReported(tuple(outcomes)), now) for partition, outcomes in by_partition.items()]
            )
            del self._heard[: len(group)]
            for job, reply in group:
                if reply.fate not in FOLLOWED:
                    del self._jobs[job.id]

    def _named(self, refusal: Refusal | None) -> Refusal | None:
        """A refusal that is about the system itself is about the one with this name."""
        return refusal and msgspec.structs.replace(refusal, subject=subject.named(refusal.subject, self._target))

    def _next_due(self) -> float | None:
        """In how many seconds there is something to do; None when only an answer or new work can change anything."""
        if self._free() <= 0:
            return None
        now = self._clock()
        due = min((job.due for job in self._waiting.values()), default=None)
        if due is None:
            return None
        if due > now:
            return max(due - now, self._circuit.blocked_until - now)
        plants = {job.ready.partition for job in self._waiting.values() if job.due <= now}
        return max(0.0, self._turns.next_at(plants, now) - now, self._circuit.blocked_until - now)


def _answered(reply: Reply) -> bool:
    """Whether the business system itself said something about the posting: also that it is locked just now."""
    return reply.fate not in (Fate.RETRY, Fate.DOUBT) or not is_of_the_system(reply.refusal)


def _telling(asks: dict[str, deque[Job]], sends: dict[str, deque[Job]]) -> dict[str, deque[Job]]:
    """The questions that tell whether a lost system is back: one that it never answers must not keep the circuit open for everything."""
    fresh = {plant: deque(job for job in jobs if job.unanswered < TRIED_ENOUGH) for plant, jobs in asks.items()}
    return fresh if any(fresh.values()) or any(sends.values()) else asks


def _longest(replies: Sequence[Reply]) -> float | None:
    """How long the business system asked to be left alone."""
    return max((reply.retry_after for reply in replies if reply.retry_after is not None), default=None)
