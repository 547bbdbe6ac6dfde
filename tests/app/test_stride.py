"""A worker folds no more at a time than it commits while its lease lasts."""

from __future__ import annotations

import pytest

from synchromesh.app import worker as app
from synchromesh.engine.worker import Worker
from synchromesh.log.memory import MemoryLog
from synchromesh.model.instant import moment
from synchromesh.state.agreement import LEASE_SECONDS
from synchromesh.state.memory import MemoryStore


def test_what_takes_too_long_is_halved_and_what_is_quick_grows_to_what_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.LONGEST_STEP < LEASE_SECONDS / 2, "a step that takes a little too long is no loss yet"
    worker = Worker(MemoryLog(), MemoryStore().state(), ["oslo"], "w", now=lambda: moment(0), batch=4000)
    stride = app._Stride(worker)

    def stepped(longest: float, folded: int) -> int:
        monkeypatch.setattr(app, "LONGEST_STEP", longest)
        stride.begin()
        stride.end(folded)
        return worker.batch

    assert [stepped(-1.0, 4000), stepped(-1.0, 0), stepped(-1.0, 300)] == [2000, 1000, 150]
    assert [stepped(-1.0, 1), stepped(-1.0, 1)] == [1, 1]
    assert [stepped(60.0, 1) for _ in range(13)][-3:] == [2048, 4000, 4000]
