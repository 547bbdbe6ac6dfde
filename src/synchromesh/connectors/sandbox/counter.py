"""The counter at which senders stand: it takes their requests, meets them with faults, and enters what gets through into the books.

The HTTP server and the in-process connector share it, so both show the same ERP. It reads no clock: a late commit waits in a queue until
`advance` is told that its time has come.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count

import msgspec

from synchromesh.connectors.sandbox import refusals
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.connectors.sandbox.records import Approval, Booking, Entry
from synchromesh.model.posting import Category, Fate, Posting, Reply

Record = Callable[[Entry, datetime], None]
"""Told of every entry that changed the books, in order."""


class Heard(msgspec.Struct, frozen=True):
    """What the sender hears: `replies`, or nothing (the connection breaks), or the `fault` alone.

    With `Fault.SLOW` the replies come late. `Fault.UNAVAILABLE` and `Fault.BROKEN` come without any.
    """

    replies: list[Reply] | None = None
    fault: Fault | None = None


class Counter:
    """Postings in, replies out, with everything that can go wrong between."""

    def __init__(self, books: Books, faults: Faults, record: Record | None = None) -> None:
        self.books = books
        self.faults = faults
        self._record = record
        self._late: list[tuple[datetime, int, Sequence[Posting]]] = []
        self._ordinal = count()

    def take(self, postings: Sequence[Posting], now: datetime) -> Heard:
        """Take one request at `now`."""
        self.advance(now)
        fault = self.faults.for_request()
        match fault:
            case Fault.UNAVAILABLE | Fault.BROKEN | Fault.DROPPED:
                return Heard(fault=fault)
            case Fault.LATE:
                heapq.heappush(self._late, (now + self.faults.wait(), next(self._ordinal), postings))
                return Heard(fault=fault)
            case Fault.HALVED:
                self._book(postings[: (len(postings) + 1) // 2], now)
                return Heard(fault=fault)
            case Fault.LOST:
                self._book(postings, now)
                return Heard(fault=fault)
            case _:
                return Heard(replies=[self._meet(posting, now) for posting in postings], fault=fault)

    def enter(self, entry: Entry, now: datetime) -> Reply | None:
        """Enter something into the books, and let it be recorded if it changed them. Raises `Refused`."""
        reply = self.books.enter(entry, now)
        if self._record and (reply is None or reply.fate is not Fate.REJECTED):
            self._record(entry, now)
        return reply

    def advance(self, now: datetime) -> None:
        """Time reaches `now`: late requests that are due by then are booked, each at its own time."""
        while self._late and self._late[0][0] <= now:
            due, _, postings = heapq.heappop(self._late)
            self._book(postings, due)
        self.books.advance(now)

    def restart(self) -> None:
        """The system stops and starts again: what was in the books or waits for an approval stays, requests that were still running are
        gone."""
        self._late.clear()

    def due(self) -> datetime | None:
        """When something will happen by itself next."""
        known = [due for due in (self.books.due(), self._late[0][0] if self._late else None) if due is not None]
        return min(known, default=None)

    def _book(self, postings: Sequence[Posting], now: datetime) -> list[Reply]:
        return [self._post(Booking(posting), now) for posting in postings]

    def _post(self, entry: Booking | Approval, now: datetime) -> Reply:
        reply = self.enter(entry, now)
        assert reply is not None
        return reply

    def _meet(self, posting: Posting, now: datetime) -> Reply:
        """One posting of a request that got through. A key that is known has its answer, whatever is locked or closed by now."""
        known = self.books.repeated(posting)
        if known is not None:
            return known
        match self.faults.for_posting():
            case Fault.LOCKED:
                refused = refusals.locked(posting)
                return Reply(key=posting.key, fate=Fate.RETRY, refusal=refused.refusal)
            case Fault.CLOSED_PERIOD:
                return Reply(key=posting.key, fate=Fate.REJECTED, refusal=refusals.closed_period(posting.effective).refusal)
            case Fault.PARKED | Fault.DECLINED | Fault.ACCEPTED as later:
                declined = Category.NOT_PERMITTED if later is Fault.DECLINED else None
                approval = Approval(posting, due=now + self.faults.wait(), declined=declined, unseen=later is Fault.ACCEPTED)
                return self._post(approval, now)
            case _:
                return self._post(Booking(posting), now)
