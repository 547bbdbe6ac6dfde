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
from synchromesh.edges.lanes import GROUP
from synchromesh.edges.pace import AtOnce
from synchromesh.log.agreement import MOST_PARTITIONS, LogCorrupt, LogError, LogFull
from synchromesh.log.memory import MemoryLog
from synchromesh.model.message import NATIVE, Message


def message(id: str, size: int = 2, plant: str = "oslo") -> Message:
    return Message(plant, "mes", id, NATIVE, NOW, b"x" * size)


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


@pytest.mark.parametrize("bounds", [{"max_waiting": 6}, {"max_waiting_bytes": 600}])
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


@pytest.mark.parametrize("bounds", [{"max_waiting": 100}, {"max_waiting_bytes": 10_000}])
async def test_a_storm_of_one_plant_leaves_room_for_the_others_and_all_are_bounded(bounds: dict[str, int]) -> None:
    log = SlowLog()
    intake = GroupIntake(log, **bounds)
    tasks: list[asyncio.Task[list[int]]] = []

    async def fill(plant: str) -> int:
        for taken in range(200):
            task = asyncio.create_task(intake.accept([message(str(taken), 100, plant)]))
            await asyncio.sleep(0)
            if task.done():
                assert isinstance(task.exception(), Busy)
                return taken
            tasks.append(task)
        raise AssertionError("no bound")

    assert [await fill(plant) for plant in ("storm", "oslo", "rome")] == [50, 25, 13]
    assert intake.waiting <= 100
    log.gate.release(len(tasks))
    await asyncio.gather(*tasks)
    assert intake.waiting == 0
    await intake.stop()


class Slowed(AtOnce):
    """Keeps one plant waiting until it is let go."""

    def __init__(self, plant: str) -> None:
        self.plant = plant

    def wait(self, plant: str) -> float:
        return 0.01 if plant == self.plant else 0.0

    def lasting(self, plant: str, messages: int) -> float:
        return 7.0 if plant == self.plant else 0.0


async def test_who_is_behind_waits_and_the_others_go_on_at_once() -> None:
    log = MemoryLog()
    pace = Slowed("storm")
    intake = GroupIntake(log, max_waiting=4, pace=pace)
    slow = [asyncio.create_task(intake.accept([message(str(number), plant="storm")])) for number in range(2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        for number in range(100):
            assert await intake.accept([message(str(number))]) == [number + 1]
    assert not any(task.done() for task in slow)
    assert log.head() == {"oslo": 100}
    with pytest.raises(Busy) as busy:
        await intake.accept([message("more", plant="storm")])
    assert busy.value.retry_after == 7
    pace.plant = ""
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*slow) == [[1], [2]]
    await intake.stop()


async def test_a_group_is_drawn_from_all_plants_in_turn_each_in_its_own_order() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    first = asyncio.create_task(intake.accept([message("first")]))
    await entered(log)
    storm = [asyncio.create_task(intake.accept([message(f"{number}-{n}", plant="storm") for n in range(100)])) for number in range(40)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(intake.accept([message("quiet")]))
    await asyncio.sleep(0)
    log.gate.release(2)
    assert await first == [1]
    assert await quiet == [2], "it goes with the second group, whatever came before it"
    log.gate.release(10)
    assert [positions[0] for positions in await asyncio.gather(*storm)] == [1 + 100 * number for number in range(40)]
    assert log.groups[1] <= GROUP + 1
    await intake.stop()


async def test_a_group_has_no_more_plants_than_every_log_takes_at_a_time() -> None:
    log = SlowLog()
    intake = GroupIntake(log)
    first = asyncio.create_task(intake.accept([message("first")]))
    await entered(log)
    others = [asyncio.create_task(intake.accept([message("1", plant=f"plant-{number}")])) for number in range(MOST_PARTITIONS + 1)]
    await asyncio.sleep(0)
    log.gate.release(3)
    await asyncio.gather(first, *others)
    assert log.groups == [1, MOST_PARTITIONS, 1]
    await intake.stop()


async def test_a_stop_waits_for_no_pace_and_stores_what_was_taken() -> None:
    log = MemoryLog()
    intake = GroupIntake(log, pace=Slowed("oslo"))
    answer = asyncio.create_task(intake.accept([message("1")]))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done, "the pace does not let it go"
    async with asyncio.timeout(PATIENCE):
        await intake.stop()
        assert await answer == [1]
