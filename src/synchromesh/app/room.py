"""Room to store: that it is gone is said once, and that it is back."""

from __future__ import annotations

import time

from synchromesh.log.agreement import LogFull
from synchromesh.observe.lines import emit
from synchromesh.observe.names import STORE_BACK, STORE_FULL
from synchromesh.state.agreement import StateFull


class Room:
    """Whether one task of a process has room to store, as far as it was told."""

    def __init__(self) -> None:
        self._gone_at: float | None = None

    def gone(self, error: LogFull | StateFull) -> None:
        """There is none just now."""
        if self._gone_at is None:
            self._gone_at = time.monotonic()
            emit(STORE_FULL, error=str(error))

    def there(self) -> None:
        """Something was stored, or there was nothing to store."""
        if self._gone_at is not None:
            emit(STORE_BACK, seconds=round(time.monotonic() - self._gone_at, 1))
            self._gone_at = None
