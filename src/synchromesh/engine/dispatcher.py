"""The dispatcher: claims ready postings, sends them, settles doubt by asking, and tells the log what came of them.

A claim is durable before anything is sent, and stays until the worker has folded the outcome. So after a crash only what was claimed
and has no outcome is in doubt, and doubt is asked about, never sent again blindly (law 4). Lanes stay in order because the
worker makes only the head of a lane ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Connector, ConnectorError
from synchromesh.engine.job import Job, after_finding, after_reply, backoff
from synchromesh.engine.worker import own_message
from synchromesh.log.agreement import Log
from synchromesh.model.event import OutcomesReported
from synchromesh.model.posting import Fate, Outcome, Posting, Reply
from synchromesh.observe.lines import emit
from synchromesh.observe.names import IN_DOUBT, SYSTEM_BACK, SYSTEM_LOST
from synchromesh.state.agreement import Outbox

_decode: Final = msgspec.json.Decoder(Posting).decode
IN_FLIGHT: Final = 4000
"""The most postings claimed at a time by one dispatcher: what a crash may leave in doubt."""

GROUP: Final = 500
"""The most outcomes in one message of the log."""


class Dispatcher:
    """Everything that goes to one business system. At most one runs per system; a second one would find the claims taken.

    `clock` gives seconds and never goes back; `now` is the time of day for the log; `jitter` gives 0 to 1.
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
    ) -> None:
        self._target = target
        self._connector = connector
        self._outbox = outbox
        self._log = log
        self._claimant = claimant
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._jobs: dict[tuple[str, int, int], Job] = {}
        self._waiting: dict[tuple[str, int, int], Job] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._heard: list[tuple[Job, Reply]] = []
        self._troubles = 0
        self._lost_at = 0.0
        self._blocked_until = 0.0
        self._sequence = 0
        self._taken_over = False
        self._broken: BaseException | None = None
        self.news = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Nothing is claimed and nothing is untold."""
        return not self._jobs and not self._heard

    async def step(self, patience: float | None = 0.0) -> float | None:
        """Claim, send what is due, wait up to `patience` seconds for an answer, tell the log; seconds until the next thing is due.
        With None it waits for nothing, and `news` is set by the next answer.

        Raises `LogError` or `StateError`; what was heard is kept and told at the next step.
        """
        self._take()
        self._start()
        if self._calls and patience is not None:
            await asyncio.wait(self._calls, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self._broken is not None:
            raise self._broken  # a connector that breaks its agreement ends the dispatcher; what it had claimed is then in doubt
        self._tell()
        self._start()
        return self._next_due()

    async def stop(self, grace: float) -> None:
        """Wait up to `grace` seconds for answers on their way and tell them; what stays open is in doubt and found at the next start."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._tell()

    # --- claiming --------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        now = self._clock()
        if not self._taken_over:
            for ready in self._outbox.orphans(self._target, self._claimant):
                self._add(Job(ready, _decode(ready.content), due=now, sent=now, doubtful=True))
            self._taken_over = True
        room = IN_FLIGHT - len(self._jobs)
        if room > 0 and now >= self._blocked_until:
            stamp = int(self._now().timestamp() * 1_000_000)
            for ready in self._outbox.take(self._target, self._claimant, room, stamp):
                self._add(Job(ready, _decode(ready.content), due=now, sent=now if ready.doubtful else -1.0, doubtful=ready.doubtful))

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._waiting[job.id] = job

    # --- sending ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start as many calls as the business system takes. While it is lost, one call at a time tries whether it is back."""
        now = self._clock()
        if now < self._blocked_until:
            return
        abilities = self._connector.abilities
        free = (1 if self._troubles else abilities.concurrency) - len(self._calls)
        batch: list[Job] = []
        for job in list(self._waiting.values()):
            if free <= 0:
                break
            if job.due > now:
                continue
            del self._waiting[job.id]
            if job.doubtful:
                self._call(self._ask(job))
                free -= 1
                continue
            batch.append(job)
            if len(batch) == abilities.batch:
                self._call(self._send(batch))
                batch = []
                free -= 1
        if batch and free > 0:
            self._call(self._send(batch))
        elif batch:
            self._waiting = {job.id: job for job in batch} | self._waiting

    def _call(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._called)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self.news.set()
        if not call.cancelled() and (error := call.exception()) is not None:
            self._broken = error

    async def _send(self, jobs: Sequence[Job]) -> None:
        now = self._clock()
        for job in jobs:
            job.sent, job.attempts = now, job.attempts + 1
        replies = await self._connector.post([job.posting for job in jobs])
        assert len(replies) == len(jobs), "a connector answers for every posting"
        unreachable = all(reply.fate in (Fate.RETRY, Fate.DOUBT) for reply in replies)
        self._reached(not unreachable)
        for job, reply in zip(jobs, replies, strict=True):
            if reply.fate is Fate.DOUBT:
                emit(IN_DOUBT, system=self._target, posting=job.posting.key, error="no answer after sending")
            self._hear(job, after_reply(job, reply, self._clock(), self._jitter))

    async def _ask(self, job: Job) -> None:
        try:
            finding = await self._connector.find(job.posting.key)
        except ConnectorError:
            self._reached(False)
            job.troubles += 1
            job.due = self._clock() + backoff(job.troubles, self._jitter())
            self._hear(job, None)
            return
        self._reached(True)
        reply = after_finding(job, finding, self._connector.abilities, self._clock())
        if reply is None and not job.doubtful and not job.attempts and not job.ready.doubtful:
            self._give_back(job)
        else:
            self._hear(job, reply)

    def _give_back(self, job: Job) -> None:
        """What another claimed certainly is not booked. It is claimed anew if it still is to be sent: its claimant may have told the log of
        a refusal that the worker had not folded when the claims were taken over."""
        self._outbox.release([job.id])
        del self._jobs[job.id]

    def _hear(self, job: Job, reply: Reply | None) -> None:
        if reply is not None:
            self._heard.append((job, reply))
        if reply is None or reply.fate is Fate.PARKED:
            self._waiting[job.id] = job

    def _reached(self, answered: bool) -> None:
        """Keep the circuit: after each call without any answer the whole system is left alone, longer each time."""
        now = self._clock()
        if answered:
            if self._troubles:
                emit(SYSTEM_BACK, system=self._target, seconds=round(now - self._lost_at, 1))
            self._troubles, self._blocked_until = 0, 0.0
            return
        if not self._troubles:
            self._lost_at = now
            emit(SYSTEM_LOST, system=self._target, error="no answer, or only refusals to try again later")
        self._troubles += 1
        self._blocked_until = now + backoff(self._troubles, self._jitter())

    # --- telling ---------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Append what was heard, many outcomes a message, and only then forget the jobs."""
        while self._heard:
            group = self._heard[:GROUP]
            now = self._now()
            by_partition: dict[str, list[Outcome]] = {}
            for job, reply in group:
                outcome = Outcome(reply.key, reply.fate, now, reply.document, reply.link, reply.refusal, max(job.attempts, 1))
                by_partition.setdefault(job.ready.partition, []).append(outcome)
            self._sequence += 1
            name = f"outcomes:{self._claimant}:{self._sequence}"
            self._log.append(
                [own_message(partition, name, OutcomesReported(tuple(outcomes)), now) for partition, outcomes in by_partition.items()]
            )
            del self._heard[: len(group)]
            for job, reply in group:
                if reply.fate is not Fate.PARKED:
                    del self._jobs[job.id]

    def _next_due(self) -> float | None:
        now = self._clock()
        due = min((job.due for job in self._waiting.values()), default=None)
        if due is None:
            return None
        return max(0.0, due - now, self._blocked_until - now)
