"""Whether a business system answers, told by the process that asks it to those that show it.

The dispatcher knows, the gateway shows. Between them stands one small file for each system that does not answer; it is there as long as
that lasts. A lost file only shows a system as answering that does not, until the next try.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from synchromesh.observe.lines import emit
from synchromesh.observe.names import SYSTEM_BACK, SYSTEM_LOST


class Presence:
    """One system as its dispatcher finds it. A start begins with nothing known, which counts as answering."""

    def __init__(self, data: Path, name: str, clock: Callable[[], float]) -> None:
        self._file = silence_of(data, name)
        self._name = name
        self._clock = clock
        self._since = 0.0
        self._silent = False
        self.answered()

    def silent(self, error: str) -> None:
        """It gave no answer. Told once, until it answers again."""
        if not self._silent:
            self._silent, self._since = True, self._clock()
            emit(SYSTEM_LOST, system=self._name, error=error)
            with suppress(OSError):
                self._file.write_text(error + "\n", "utf-8")

    def answered(self) -> None:
        """It gave one."""
        if self._silent:
            emit(SYSTEM_BACK, system=self._name, seconds=round(self._clock() - self._since, 1))
        self._silent = False
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def silence_of(data: Path, name: str) -> Path:
    """The file that is there while the system does not answer."""
    return data / f"{quote(name, safe='')}.silent"
