"""The log in memory keeps the contract, and its hooks fail it at the two moments that matter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.contracts.log import LogContract, message

from synchromesh.log.agreement import LogFull
from synchromesh.log.memory import MemoryLog
from synchromesh.model.message import Message


class TestMemoryLog(LogContract):
    @pytest.fixture
    def log(self) -> MemoryLog:
        return MemoryLog()


def _full(messages: Sequence[Message]) -> None:
    raise LogFull(f"no room for {len(messages)}")


def test_a_failure_before_leaves_nothing() -> None:
    log = MemoryLog(before_append=_full)
    with pytest.raises(LogFull):
        log.append([message()])
    assert log.head() == {}


def test_a_failure_after_leaves_what_was_appended() -> None:
    log = MemoryLog(after_append=_full)
    with pytest.raises(LogFull):
        log.append([message()])
    assert log.head() == {"plant-1": 1}


def test_what_was_trimmed_can_be_read_in_the_archive() -> None:
    log = MemoryLog()
    told = [message() for _ in range(4)]
    log.append(told)
    log.trim("plant-1", 2)
    log.trim("plant-1", 3)
    assert [(record.position, record.message) for record in log.archived("plant-1")] == list(enumerate(told[:3], 1))
