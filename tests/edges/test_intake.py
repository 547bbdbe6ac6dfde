"""The intake: groups, bounds, errors for everybody, and a stop that drains."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from tests.contracts.edge import PATIENCE
from tests.edges.plant import NOW

from synchromesh.edges.agreement import Busy
from synchromesh.edges.intake import GroupIntake
from synchromesh.log.agreement import LogCorrupt, LogError, LogFull
from synchromesh.log.memory import MemoryLog
from synchromesh.model.message import NATIVE, Message


def message(id: str, size: int = 2) -> Message:
    return Message("oslo", "mes", id, NATIVE, NOW, b"x" * size)


class SlowLog(MemoryLog):
    """Appends when the test lets it; remembers the sizes of the groups."""

    def __init__(self) -> None:
        super().__init__(before_append=self._wait)
        self.groups: list[int] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def _wait(self, messages: Sequence[Message]) -> None:
        self.groups.append(len(messages))
        self.entered.release()
        assert self.gate.acquire(timeout=10)


async def entered(log: SlowLog) -> None:
    assert await asyncio.to_thread(log.entered.acquire, timeout=10)


async def test_a_lone_message_goes_at_once_and_what_comes_meanwhile_goes_together() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    first = asyncio.create_task(intake.accept([message("0")]))
    await entered(log)
    others = [asyncio.create_task(intake.accept([message(f"{n}a"), message(f"{n}b")])) for n in range(100)]
    async with asyncio.timeout(PATIENCE):
        while intake.waiting < 201:  # noqa: ASYNC110 - each turn lets the callers run
            await asyncio.sleep(0)
    log.gate.release(2)
    assert await first == [1]
    assert await asyncio.gather(*others) == [[2 * n + 2, 2 * n + 3] for n in range(100)]
    assert log.groups == [1, 200]
    assert [record.message.id for record in log.read({"oslo": 0}, 3)["oslo"]] == ["0", "0a", "0b"]
    assert intake.waiting == 0
    await intake.stop()


async def test_nothing_returns_before_the_append_does() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    task = asyncio.create_task(intake.accept([message("0")]))
    await entered(log)
    assert log.head() == {}
    assert not task.done()
    log.gate.release()
    assert await task == [1]
    await intake.stop()


@pytest.mark.parametrize(
    ("raised", "heard"),
    [
        (LogFull("the disk is full"), LogFull),
        (LogCorrupt("page 3 is damaged"), LogCorrupt),
        (LogError("locked"), LogError),
        (RuntimeError("a fault"), LogError),
    ],
)
async def test_every_caller_of_a_group_hears_the_error_and_the_next_group_goes_on(raised: Exception, heard: type[LogError]) -> None:
    log = MemoryLog()

    def refuse(_: Sequence[Message]) -> None:
        raise raised

    log.before_append = refuse
    intake = GroupIntake(log)
    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(*(intake.accept([message(str(n))]) for n in range(10)), return_exceptions=True)
    assert [type(error) for error in found] == [heard] * 10
    assert all(str(raised) in str(error) for error in found)
    assert intake.waiting == 0
    log.before_append = None
    assert await intake.accept([message("again")]) == [1]
    await intake.stop()


@pytest.mark.parametrize("bounds", [{"max_waiting": 3}, {"max_waiting_bytes": 300}])
async def test_beyond_its_bounds_the_intake_is_busy_and_keeps_nothing(bounds: dict[str, int]) -> None:
    log = SlowLog()
    intake = GroupIntake(log, **bounds)
    tasks = [asyncio.create_task(intake.accept([message(str(n), 100)])) for n in range(3)]
    await entered(log)
    with pytest.raises(Busy) as busy:
        await intake.accept([message("too many", 100)])
    assert 0.1 <= busy.value.retry_after <= 30
    log.gate.release(5)
    await asyncio.gather(*tasks)
    assert log.head() == {"oslo": 3}
    assert await intake.accept([message("later", 100)]) == [4]
    await intake.stop()


async def test_a_batch_over_the_bounds_is_taken_when_nothing_else_waits() -> None:
    intake = GroupIntake(MemoryLog(), max_waiting=3)
    assert await intake.accept([message(str(n)) for n in range(10)]) == list(range(1, 11))
    await intake.stop()


async def test_a_caller_that_gives_up_disturbs_nobody() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    given_up = asyncio.create_task(intake.accept([message("0")]))
    await entered(log)
    other = asyncio.create_task(intake.accept([message("1")]))
    await asyncio.sleep(0)
    given_up.cancel()
    log.gate.release(2)
    assert await other == [2]
    await intake.stop()


async def test_a_stop_stores_what_waits_and_takes_nothing_more() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    tasks = [asyncio.create_task(intake.accept([message(str(n))])) for n in range(50)]
    await entered(log)
    stopping = asyncio.create_task(intake.stop())
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await intake.accept([message("late")])
    assert not stopping.done()
    log.gate.release(50)
    await stopping
    assert sorted(position for (position,) in await asyncio.gather(*tasks)) == list(range(1, 51))
    assert log.head() == {"oslo": 50}


async def test_nothing_to_store_is_stored_at_once() -> None:
    intake = GroupIntake(MemoryLog())
    assert await intake.accept([]) == []
    await intake.stop()


async def test_a_group_waits_as_long_as_it_is_told_to_and_is_told_its_size() -> None:
    log = MemoryLog()
    asked: list[int] = []
    waiting, go = threading.Event(), threading.Event()

    def pause(messages: int) -> float:
        asked.append(messages)
        waiting.set()
        assert go.wait(10)
        return 0.0

    intake = GroupIntake(log, pause=pause)
    answer = asyncio.create_task(intake.accept([message("1"), message("2")]))
    assert await asyncio.to_thread(waiting.wait, 10)
    assert log.head() == {}, "nothing is stored before the pause is over"
    go.set()
    assert await answer == [1, 2]
    assert asked == [2]
    await intake.stop()


async def test_a_stop_waits_for_no_pause_and_stores_what_was_taken() -> None:
    log = MemoryLog()
    intake = GroupIntake(log, pause=lambda messages: 3600.0)
    answer = asyncio.create_task(intake.accept([message("1")]))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done, "the pause is not over"
    async with asyncio.timeout(PATIENCE):
        await intake.stop()
        assert await answer == [1]
