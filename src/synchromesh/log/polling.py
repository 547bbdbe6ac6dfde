"""Looking again and again for what others do elsewhere, where nobody tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

GROWTH: Final = 1.1
"""How much longer each rest is than the one before it."""


def look_until(there_is: Callable[[], bool], timeout: float, shortest: float, longest: float) -> bool:
    """Look until there is news, at most `timeout` seconds; whether there is any. It is looked at least once, and between two looks is a
    rest of `shortest` seconds at first and of `longest` at last, so that news is noticed within that."""
    deadline = time.monotonic() + timeout
    pause = shortest
    while not there_is():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * GROWTH, longest)
    return True
