"""Log and state that can't store just now: said once, and once when they can again."""

from __future__ import annotations

import time
from typing import Final

from synchromesh.log.agreement import LogAway, LogError, LogFull
from synchromesh.observe.lines import emit
from synchromesh.observe.names import STORE_AWAY, STORE_BACK, STORE_FULL
from synchromesh.state.agreement import StateAway, StateError, StateFull

LATER: Final = (LogFull, StateFull, LogAway, StateAway)
"""What may work later: there is no room just now, or nobody answers."""


class Room:
    """Whether one task of a process can store, as far as it was told."""

    def __init__(self) -> None:
        self._gone_at: float | None = None

    def gone(self, error: LogError | StateError) -> None:
        """It can't just now."""
        if self._gone_at is None:
            self._gone_at = time.monotonic()
            if isinstance(error, LogFull | StateFull):
                emit(STORE_FULL, error=str(error))
            else:
                emit(STORE_AWAY, error=str(error))

    def there(self) -> None:
        """Something was stored, or there was nothing to store."""
        if self._gone_at is not None:
            emit(STORE_BACK, seconds=round(time.monotonic() - self._gone_at, 1))
            self._gone_at = None
