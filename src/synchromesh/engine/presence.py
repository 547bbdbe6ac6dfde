"""Whether one business system answers, as those find it who send to it and who read from it.

It is lost when either has no answer. An answer to who sends counts for reading, too; but what can be read says nothing of what can be sent.
Each change is told once, whoever finds it first.
"""

from __future__ import annotations

from collections.abc import Callable

from synchromesh.observe.lines import emit
from synchromesh.observe.names import SYSTEM_BACK, SYSTEM_LOST


class Presence:
    """`show` is told at every change why the system is lost, or '' when it answers again. `clock` gives seconds and never goes back."""

    def __init__(self, system: str, clock: Callable[[], float], show: Callable[[str], None] = lambda _: None) -> None:
        self._system = system
        self._clock = clock
        self._show = show
        self._sending = self._reading = True
        self._lost_at = -1.0
        self.sends = 0
        """How often it has answered who sends: the system is there, whatever is wrong with reading."""

    def sent(self, answered: bool, error: str = "") -> None:
        """What was sent or asked about had an answer, or none."""
        self._sending = answered
        if answered:
            self.sends += 1
            self._reading = True
        self._told(error)

    def read(self, answered: bool, error: str = "") -> None:
        """What changed there could be read, or there was no answer."""
        self._reading = answered
        self._told(error)

    def _told(self, error: str) -> None:
        here, was_here = self._sending and self._reading, self._lost_at < 0
        if here and not was_here:
            emit(SYSTEM_BACK, system=self._system, seconds=round(self._clock() - self._lost_at, 1))
            self._lost_at = -1.0
            self._show("")
        elif was_here and not here:
            emit(SYSTEM_LOST, system=self._system, error=error)
            self._lost_at = self._clock()
            self._show(error)
