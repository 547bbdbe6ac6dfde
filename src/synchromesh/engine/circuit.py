"""The circuit to one business system: it opens when nothing is answered, and closes step by step.

Open, the system is left alone, twice as long each time, or as long as it asked for itself; between, one call at a time tries whether it is
back. Closed again, it is not met by all that has gathered: one call at a time, and with each answer one more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from synchromesh.engine.sending import Retry

LATEST: Final = 3600.0
"""The longest that a business system is left alone because it asked for it."""


def backoff(retry: Retry, troubles: int, jitter: float) -> float:
    """Seconds to wait after so many troubles in a row: doubling, bounded, and spread by `jitter` (0 to 1) so that a herd comes apart."""
    return min(retry.longest_seconds, retry.backoff_seconds * 2.0 ** min(troubles, 20)) * (0.5 + jitter / 2)


def asked_for(seconds: float) -> float:
    """As long as a business system asked to be left alone, within reason."""
    return min(max(0.0, seconds), LATEST)


class Circuit:
    """`most` tells how many calls at a time the system takes at its best; times are seconds of one clock. `jitter` gives 0 to 1."""

    def __init__(self, retry: Retry, most: Callable[[], int], jitter: Callable[[], float]) -> None:
        self._retry = retry
        self._most = most
        self._width = 0
        """How many calls at a time since the circuit closed; 0 for as many as the system takes."""
        self._jitter = jitter
        self._troubles = 0
        self.blocked_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the system is lost, as far as is known."""
        return self._troubles > 0

    def calls(self) -> int:
        """How many calls there may be at a time."""
        if self.is_open:
            return 1
        return min(self._width, self._most()) if self._width else self._most()

    def answered(self) -> None:
        """A call had an answer."""
        if self.is_open:
            self._width = 1
        elif self._width:
            self._width = self._width + 1 if self._width < self._most() else 0
        self._troubles, self.blocked_until = 0, 0.0

    def silent(self, now: float, retry_after: float | None = None) -> bool:
        """A call had none, or only that the system takes nothing; whether that is news. Calls that were on their way together are one
        trouble."""
        if now < self.blocked_until:
            return False
        self._troubles += 1
        wait = backoff(self._retry, self._troubles, self._jitter()) if retry_after is None else asked_for(retry_after)
        self.blocked_until = now + wait
        return True
