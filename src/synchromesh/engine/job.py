"""One claimed posting on its way: what is known of it, when to act next, and how long to wait after what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from synchromesh.connectors.agreement import Abilities, Finding, FindingState
from synchromesh.model.posting import Category, Fate, Posting, Refusal, Reply
from synchromesh.state.agreement import Ready

SHORTEST: Final = 0.1
LONGEST: Final = 60.0
FOLLOW_UP: Final = 5.0
"""Seconds between two looks at a posting that waits for an approval inside the business system."""


class Job(msgspec.Struct):
    """A claimed posting. `due` is on the dispatcher's clock, in seconds; `sent` is when it was last sent, -1 for never by us.

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

    @property
    def id(self) -> tuple[str, int, int]:
        return self.ready.partition, self.ready.position, self.ready.ordinal


def backoff(troubles: int, jitter: float) -> float:
    """Seconds to wait after so many troubles in a row: doubling, bounded, and spread by `jitter` (0 to 1) so that a herd comes apart."""
    return min(LONGEST, SHORTEST * 2.0 ** min(troubles, 20)) * (0.5 + jitter / 2)


def after_reply(job: Job, reply: Reply, now: float, jitter: Callable[[], float]) -> Reply | None:
    """What the log shall hear of a reply; None when the job goes on by itself, at `job.due`."""
    match reply.fate:
        case Fate.POSTED | Fate.REJECTED | Fate.UNKNOWN:
            return reply
        case Fate.PARKED:
            job.doubtful, job.troubles, job.due = True, 0, now + FOLLOW_UP
            if job.parked:
                return None
            job.parked = True
            return reply
        case Fate.RETRY:
            job.troubles += 1
            job.due = now + (reply.retry_after if reply.retry_after is not None else backoff(job.troubles, jitter()))
        case Fate.DOUBT:
            job.doubtful, job.troubles = True, job.troubles + 1
            job.due = now + backoff(job.troubles, jitter())
    return None


def after_finding(job: Job, finding: Finding, abilities: Abilities, now: float) -> Reply | None:
    """What the log shall hear of a finding. "Absent" frees the job to be sent again only when the first request can run no more (law 4)."""
    if finding.state is FindingState.BOOKED and finding.reply is not None:
        reply = finding.reply
        if reply.fate is Fate.PARKED and job.parked:
            job.due = now + FOLLOW_UP
            return None
        job.parked = job.parked or reply.fate is Fate.PARKED
        job.due = now + FOLLOW_UP
        return reply
    if finding.state is FindingState.SILENT:
        return Reply(key=job.posting.key, fate=Fate.UNKNOWN, refusal=unsettled(job.posting))
    settled = job.sent + abilities.settle_seconds
    if now >= settled:
        job.doubtful, job.parked, job.due = False, False, now
    else:
        job.due = settled
    return None


def unsettled(posting: Posting) -> Refusal:
    """The exception of a posting that nobody but a person can settle."""
    what = f"{posting.kind} for order {posting.order}" if posting.order else posting.kind
    return Refusal(
        Category.OTHER,
        f"posting {posting.key}",
        f"The {what} was sent and no answer came; this system cannot be asked whether it is booked.",
        "Look for it there and settle it: booked, with the document's number, or not booked.",
    )
