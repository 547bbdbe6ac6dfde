"""One claimed posting on its way: what is known of it, when to act next, and how long to wait after what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Abilities, Finding, FindingState
from synchromesh.model import subject
from synchromesh.model.posting import Category, Fate, Posting, Refusal, Reply
from synchromesh.state.agreement import Ready

SHORTEST: Final = 0.1
LONGEST: Final = 60.0
LATEST: Final = 3600.0
"""The longest that a business system is left alone because it asked for it."""

FOLLOW_UP: Final = 5.0
LONGEST_FOLLOW_UP: Final = 300.0
"""Seconds between two looks at a posting that waits for an approval inside the business system: soon at first, and seldom after hours."""


class BrokenAgreement(RuntimeError):
    """A connector answered as no connector may (`connectors.agreement`): a defect in it. What it was asked about is in doubt."""


class Job(msgspec.Struct):
    """A claimed posting. `due` is on the dispatcher's clock, in seconds; `sent` is when it was last sent or the sending was given up, -1
    for never by us.

    `doubtful`: it may be booked, so it is asked about before anything is sent. `parked`: the log knows that it waits for an approval.
    """

    ready: Ready
    posting: Posting
    due: float
    sent: float = -1.0
    attempts: int = 0
    troubles: int = 0
    doubtful: bool = False
    parked: bool = False
    looks: int = 0
    """How often a parked one was looked at."""

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


def backoff(troubles: int, jitter: float) -> float:
    """Seconds to wait after so many troubles in a row: doubling, bounded, and spread by `jitter` (0 to 1) so that a herd comes apart."""
    return min(LONGEST, SHORTEST * 2.0 ** min(troubles, 20)) * (0.5 + jitter / 2)


def follow_up(job: Job, now: float) -> float:
    """When to look again at a posting that waits for an approval."""
    job.looks += 1
    return now + min(FOLLOW_UP * 2.0 ** min(job.looks - 1, 20), LONGEST_FOLLOW_UP)


def after_reply(job: Job, reply: Reply, now: float, jitter: Callable[[], float]) -> Reply | None:
    """What the log shall hear of a reply; None when the job goes on by itself, at `job.due`."""
    match reply.fate:
        case Fate.POSTED | Fate.REJECTED | Fate.UNKNOWN:
            return reply
        case Fate.PARKED:
            job.doubtful, job.troubles, job.due = True, 0, follow_up(job, now)
            if job.parked:
                return None
            job.parked = True
            return reply
        case Fate.RETRY:
            job.troubles += 1
            job.due = now + (backoff(job.troubles, jitter()) if reply.retry_after is None else min(max(0.0, reply.retry_after), LATEST))
        case Fate.DOUBT:
            job.doubtful, job.troubles, job.sent = True, job.troubles + 1, now
            job.due = now + backoff(job.troubles, jitter())
    return None


def after_finding(job: Job, finding: Finding, abilities: Abilities, now: float) -> Reply | None:
    """What the log shall hear of a finding. "Absent" frees the job to be sent again only when the first request can run no more (law 4)."""
    if finding.state is FindingState.BOOKED:
        assert finding.reply is not None, "checked when it came"
        if finding.reply.fate is not Fate.PARKED:
            return finding.reply
        known, job.parked, job.due = job.parked, True, follow_up(job, now)
        return None if known else finding.reply
    if finding.state is FindingState.SILENT:
        return Reply(key=job.posting.key, fate=Fate.UNKNOWN, refusal=unsettled(job.posting))
    settled = job.sent + abilities.settle_seconds
    if now < settled:
        job.due = settled
        return None
    if job.parked:
        return Reply(key=job.posting.key, fate=Fate.REJECTED, refusal=withdrawn(job.posting))
    job.doubtful, job.due = False, now
    return None


def withdrawn(posting: Posting) -> Refusal:
    """The refusal of a posting that waited for an approval and is gone: somebody threw it away there."""
    return Refusal(
        Category.NOT_PERMITTED,
        subject.posting(posting.key),
        f"The {posting.kind} waited for an approval in ERP and is not there any more.",
        "Ask its approver; then retry, or dismiss it.",
    )


def unsettled(posting: Posting) -> Refusal:
    """The exception of a posting that nobody but a person can settle."""
    what = f"{posting.kind} for order {posting.order}" if posting.order else posting.kind
    return Refusal(
        Category.OTHER,
        subject.posting(posting.key),
        f"The {what} was sent and no answer came; this system cannot be asked whether it is booked.",
        "Look for it there and settle it: booked, with the document's number, or not booked.",
    )
