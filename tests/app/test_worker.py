"""The worker's process beside the folding: the log is trimmed behind it, also after a full disk."""

from __future__ import annotations

import threading

import pytest

from synchromesh.app import worker as process
from synchromesh.log.agreement import LogFull
from synchromesh.log.memory import MemoryLog


class Folded:
    """A worker that has folded this far."""

    def __init__(self, **positions: int) -> None:
        self.positions = positions


class Archiving(MemoryLog):
    """Has no room for its archive at first. Everything stops after the second segment."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.stop = stop
        self.full = 2
        self.trimmed: list[tuple[str, int]] = []

    def trim(self, partition: str, through: int) -> None:
        if self.full:
            self.full -= 1
            raise LogFull("no room")
        self.trimmed.append((partition, through))
        if len(self.trimmed) == 2:
            self.stop.set()


def test_trimming_goes_on_after_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TRIM_PAUSE", 0)
    stop = threading.Event()
    log = Archiving(stop)
    process._trim(log, Folded(oslo=3 * process.SEGMENT, lyon=process.SEGMENT), process.SEGMENT, stop)  # type: ignore[arg-type]
    assert log.trimmed == [("oslo", process.SEGMENT), ("oslo", 2 * process.SEGMENT)]
