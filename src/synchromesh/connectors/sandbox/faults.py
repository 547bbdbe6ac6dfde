"""Which fault meets which request: by seed and rates, or by order. Nothing here knows the books or the time."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Final


class Fault(enum.StrEnum):
    """What can go wrong between a sender and the books."""

    UNAVAILABLE = "unavailable"
    """503 with Retry-After: certainly nothing was booked."""
    BROKEN = "broken"
    """500 before anything was booked; the sender can't know that."""
    SLOW = "slow"
    """The answer takes long."""
    DROPPED = "dropped"
    """The connection breaks before anything was booked."""
    HALVED = "halved"
    """The connection breaks after the first half of the postings was booked; a single one is booked."""
    LOST = "lost"
    """Everything is booked, and the reply is lost."""
    LATE = "late"
    """The sender gives up, and long after that everything is booked."""
    LOCKED = "locked"
    """Somebody else works on the order: try again."""
    CLOSED_PERIOD = "closed_period"
    """The posting's day lies in a closed period, just now."""
    PARKED = "parked"
    """Accepted, and booked when it is approved."""
    DECLINED = "declined"
    """Waits for an approval, and is declined."""
    ACCEPTED = "accepted"
    """Taken unseen, with an early 200; judged, and booked or rejected, later."""


OF_A_REQUEST: Final = (
    Fault.UNAVAILABLE,
    Fault.BROKEN,
    Fault.SLOW,
    Fault.DROPPED,
    Fault.HALVED,
    Fault.LOST,
    Fault.LATE,
)
"""Faults that meet a request with all its postings."""

OF_A_POSTING: Final = (Fault.LOCKED, Fault.CLOSED_PERIOD, Fault.PARKED, Fault.DECLINED, Fault.ACCEPTED)
"""Faults that meet one posting."""


class Faults:
    """Decides, for each request and each posting in it. The same seed and questions give the same faults.

    `rates` are probabilities by fault; those of one group sum to at most 1. `delay` bounds how long a late commit or an approval takes.
    Raises `ValueError` on other rates.
    """

    def __init__(self, seed: int = 0, rates: Mapping[Fault, float] | None = None, delay: timedelta = timedelta(seconds=2)) -> None:
        self.delay = delay
        self._random = Random(seed)  # noqa: S311 - chance that can be repeated is the point

        self._order: deque[Fault] = deque()
        self.set_rates(rates or {})

    def set_rates(self, rates: Mapping[Fault, float]) -> None:
        """From now on these rates and no others hold."""
        for group in (OF_A_REQUEST, OF_A_POSTING):
            chosen = [rates.get(fault, 0.0) for fault in group]
            if min(chosen) < 0 or sum(chosen) > 1:
                raise ValueError(f"the rates of {', '.join(group)} must be 0 or more and sum to at most 1")
        self._of_request = [(fault, rates[fault]) for fault in OF_A_REQUEST if rates.get(fault)]
        self._of_posting = [(fault, rates[fault]) for fault in OF_A_POSTING if rates.get(fault)]
        self._asking = rates.get(Fault.UNAVAILABLE, 0.0)

    def arm(self, fault: Fault, times: int = 1) -> None:
        """The next `times` requests (or postings) meet this fault, before chance is asked."""
        self._order.extend([fault] * times)

    def for_request(self) -> Fault | None:
        """What meets this request of postings."""
        return self._next(OF_A_REQUEST, self._of_request)

    def for_posting(self) -> Fault | None:
        """What meets this posting of a request that got through."""
        return self._next(OF_A_POSTING, self._of_posting)

    def for_question(self) -> bool:
        """Whether the system is unavailable for this question."""
        return self._asking > 0 and self._random.random() < self._asking

    def wait(self) -> timedelta:
        """How long this late commit or approval takes: a tenth of the delay to all of it."""
        return self.delay * self._random.uniform(0.1, 1.0)

    def _next(self, group: tuple[Fault, ...], rates: list[tuple[Fault, float]]) -> Fault | None:
        if self._order and self._order[0] in group:
            return self._order.popleft()
        if not rates:
            return None
        chance = self._random.random()
        for fault, rate in rates:
            if chance < rate:
                return fault
            chance -= rate
        return None
