"""One claimed posting on its way: what is known of it, when to act next, and how long to wait after what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Abilities, Finding, FindingState
from synchromesh.engine.circuit import asked_for, backoff
from synchromesh.engine.refusals import given_up, unanswered, unsettled, withdrawn
from synchromesh.engine.sending import Retry
from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, Refusal, Reply
from synchromesh.state.agreement import Ready

FOLLOWED: Final = frozenset({Fate.ACCEPTED, Fate.PARKED})
"""The fates that the log is told of and that are not the last word."""

TRIED_ENOUGH: Final = 8
"""So many questions without answer, and the question itself may be what the system can't answer: it says no more whether that is back."""


class BrokenAgreement(RuntimeError):
    """A connector answered as no connector may (`connectors.agreement`): a defect in it. What it was asked about is in doubt."""


class Job(msgspec.Struct):
    """A claimed posting. `due` is on the dispatcher's clock, in seconds; `sent` is when it was last sent or the sending was given up, -1
    for never by us.

    `doubtful`: it may be booked, so it is asked about before anything is sent. `followed`: what the log knows of it while the business
    system has not decided, and `looks` how often it was looked at since. `failures` counts tries and questions that came to nothing while
    the system answered, and `locked` is when the first lock was met, -1 for none.
    """

    ready: Ready
    posting: Posting
    due: float
    sent: float = -1.0
    attempts: int = 0
    troubles: int = 0
    doubtful: bool = False
    followed: Fate | None = None
    looks: int = 0
    failures: int = 0
    unanswered: int = 0
    """Questions about it in a row that had no answer."""
    locked: float = -1.0

    @property
    def id(self) -> tuple[str, int, int]:
        return self.ready.partition, self.ready.position, self.ready.ordinal


def check_replies(postings: Sequence[Posting], replies: Sequence[Reply]) -> None:
    """Raise `BrokenAgreement` unless there is one reply to each posting, in their order. Nothing of such an answer is believed: whose
    documents it names is not known."""
    asked, answered = [posting.key for posting in postings], [reply.key for reply in replies]
    if asked != answered:
        wrong = next((pair for pair in zip(asked, answered, strict=False) if pair[0] != pair[1]), None)
        what = f"for {wrong[1]!r} in place of {wrong[0]!r}" if wrong else f"{len(answered)} times for {len(asked)} postings"
        raise BrokenAgreement(f"the connector answered {what}; every posting needs one reply with its key, in the same order")


def check_finding(posting: Posting, finding: Finding) -> None:
    """Raise `BrokenAgreement` unless a finding that names something booked says what became of this posting."""
    reply = finding.reply
    if finding.state is not FindingState.BOOKED:
        return
    if reply is None or reply.key != posting.key or reply.fate in (Fate.RETRY, Fate.DOUBT):
        said = f"with the fate {reply.fate} for {reply.key!r}" if reply is not None else "without a reply"
        raise BrokenAgreement(f"the connector found {posting.key!r} booked {said}; a finding carries the reply of the first sending")


def is_of_the_system(refusal: Refusal | None) -> bool:
    """Whether a call came to nothing because of the system as a whole: it says nothing, or nothing about this posting."""
    return refusal is None or refusal.subject == subject.SYSTEM


def after_reply(job: Job, reply: Reply, now: float, jitter: Callable[[], float], retry: Retry, *, probe: bool) -> Reply | None:
    """What the log shall hear of a reply; None when the job goes on by itself, at `job.due`. `probe`: the system was lost, and this tried
    whether it is back."""
    match reply.fate:
        case Fate.POSTED | Fate.REJECTED | Fate.UNKNOWN:
            return reply
        case Fate.PARKED | Fate.ACCEPTED:
            return _follow(job, reply, now, retry)
        case Fate.RETRY:
            _note_failure(job, reply.refusal, now, probe=probe)
            if _is_tried_enough(job, now, retry):
                return Reply(key=reply.key, fate=Fate.REJECTED, refusal=_given_up(job, reply.refusal, now))
            job.troubles += 1
            job.due = now + (backoff(retry, job.troubles, jitter()) if reply.retry_after is None else asked_for(reply.retry_after))
        case Fate.DOUBT:
            _note_failure(job, reply.refusal, now, probe=probe)
            job.doubtful, job.troubles, job.sent = True, job.troubles + 1, now
            job.due = now + backoff(retry, job.troubles, jitter())
    return None


def after_finding(job: Job, finding: Finding, abilities: Abilities, now: float, retry: Retry) -> Reply | None:
    """What the log shall hear of a finding. "Absent" frees the job to be sent again only when the first request can run no more (law 4)."""
    job.unanswered = 0
    if finding.state is FindingState.BOOKED:
        assert finding.reply is not None, "checked when it came"
        return _follow(job, finding.reply, now, retry) if finding.reply.fate in FOLLOWED else finding.reply
    if finding.state is FindingState.SILENT:
        return Reply(key=job.posting.key, fate=Fate.UNKNOWN, refusal=unsettled(job.posting))
    settled = job.sent + abilities.settle_seconds
    if now < settled:
        job.due = settled
        return None
    if job.followed is not None:
        return Reply(key=job.posting.key, fate=Fate.REJECTED, refusal=withdrawn(job.posting, job.followed))
    if job.failures >= retry.attempts:
        return Reply(key=job.posting.key, fate=Fate.REJECTED, refusal=_given_up(job, None, now))
    job.doubtful, job.due = False, now
    return None


def after_no_answer(job: Job, now: float, jitter: float, retry: Retry, *, probe: bool) -> Reply | None:
    """What the log shall hear of a question that had no answer: nothing, until it is asked often enough while other calls are answered."""
    _note_failure(job, None, now, probe=probe)
    job.unanswered += 1
    if job.failures >= retry.attempts:
        return Reply(key=job.posting.key, fate=Fate.UNKNOWN, refusal=unanswered(job.posting, job.failures))
    job.troubles += 1
    job.due = now + backoff(retry, job.troubles, jitter)
    return None


def _follow(job: Job, reply: Reply, now: float, retry: Retry) -> Reply | None:
    """The business system has the posting and has not decided: look again, soon at first and ever more seldom, and tell the log once."""
    news = job.followed is not reply.fate
    job.doubtful, job.troubles, job.failures, job.followed, job.looks = True, 0, 0, reply.fate, 1 if news else job.looks + 1
    first = retry.follow_seconds if reply.fate is Fate.ACCEPTED else retry.approval_seconds
    job.due = now + min(first * 2.0 ** min(job.looks - 1, 20), retry.longest_follow_seconds)
    return reply if news else None


def _note_failure(job: Job, refusal: Refusal | None, now: float, *, probe: bool) -> None:
    """Count what came to nothing while the system answered: then it is the posting's trouble, or its lock's."""
    is_lock = refusal is not None and (refusal.category is Category.LOCKED or not is_of_the_system(refusal))
    if is_lock and job.locked < 0:
        job.locked = now
    if is_lock or not probe:
        job.failures += 1


def _is_tried_enough(job: Job, now: float, retry: Retry) -> bool:
    return job.failures >= retry.attempts or 0 <= job.locked <= now - retry.minutes * 60


def _given_up(job: Job, refusal: Refusal | None, now: float) -> Refusal:
    minutes = max(1, round((now - job.locked) / 60)) if job.locked >= 0 else 0
    return given_up(job.posting, refusal, job.attempts, minutes)
