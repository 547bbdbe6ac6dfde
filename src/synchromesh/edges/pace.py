"""How fast messages are taken in while they are folded more slowly than they come.

What is stored and not yet folded is safe, and it costs: the outcomes of postings stand behind it in the log, and what they concern has left
every cache when their turn comes. So beyond `NEAR` messages no more are stored in a second than are folded. Nobody is refused for it;
answers take longer. Where nothing is folded at all the log goes on growing, by `LEAST` messages a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

NEAR: Final = 8_000
"""Messages that may be stored and not yet folded before anybody is slowed down: about two batches of the worker."""

LEAST: Final = 2_000.0
"""Messages a second that are stored in any case."""

LONGEST: Final = 1.0
"""Seconds that one group waits at the most."""

LOOK: Final = 0.1
SPAN: Final = 3.0
"""Seconds between two looks at how far folding has come, and over how many of them its speed is measured."""


class Pace:
    """Says how long the next messages wait. `progress` tells how many messages are stored and how many are folded, `clock` seconds."""

    def __init__(self, progress: Callable[[], tuple[int, int]], clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._look_at = 0.0
        self._rate = 0.0
        """Messages a second; 0 while nobody is slowed down."""
        self._free_at = 0.0

    def pause(self, messages: int) -> float:
        """Seconds to wait before so many messages are stored."""
        now = self._clock()
        if now >= self._look_at:
            self._look(now)
        if not self._rate:
            return 0.0
        wait = min(max(0.0, self._free_at - now), LONGEST)
        self._free_at = now + wait + messages / self._rate
        return wait

    def _look(self, now: float) -> None:
        self._look_at = now + LOOK
        stored, folded = self._progress()
        self._seen.append((now, folded))
        while self._seen[0][0] < now - SPAN:
            self._seen.popleft()
        since, before = self._seen[0]
        speed = (folded - before) / (now - since) if now > since else 0.0
        self._rate = max(LEAST, speed) if stored - folded > NEAR else 0.0
