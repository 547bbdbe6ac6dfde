"""The file of claims is lost: what may have been sent is in doubt and asked about, and goes on by itself wherever the ERP can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.engine.test_dispatcher import GRADES, Between, report, send
from tests.engine.world import PLANT, World

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.faults import Fault
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.plant.rows import PostingRow
from synchromesh.state.agreement import Outbox, Reading, State
from synchromesh.state.sqlite.outbox import SqliteOutbox
from synchromesh.state.sqlite.reading import SqliteReading
from synchromesh.state.sqlite.store import SqliteState


class OnDisk:
    """A world's store in files, opened anew whenever processes start."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.path = folder / "state.db"
        self._opened = opened

    def state(self) -> State:
        return self._opened.enter_context(closing(SqliteState(self.path)))

    def outbox(self) -> Outbox:
        return self._opened.enter_context(closing(SqliteOutbox(self.path)))

    def reading(self) -> Reading:
        return self._opened.enter_context(closing(SqliteReading(self.path)))


class Stored(World):
    """A world on disk. Its processes can be stopped, and files taken away, before they start again."""

    def __init__(self, folder: Path, grade: Grade) -> None:
        self._opened = ExitStack()
        self._folder = folder
        super().__init__(None, Rules(grade=grade))
        World.made.remove(self)  # the laws look into stores in memory
        self.between = Between(self.erp)
        self.erp = self.between  # type: ignore[assignment]
        self.start()
        for order in ("4711", "4712", "4713"):
            self.order(order)

    def start(self) -> None:
        self.files = OnDisk(self._folder, self._opened)
        self.store = self.files  # type: ignore[assignment]
        super().start()

    def stop(self) -> None:
        self._opened.close()

    def lose(self, *names: str) -> None:
        """Stop everything, and files of the store are gone."""
        self.stop()
        for name in names:
            for file in self._folder.glob(f"{name}*"):
                file.unlink()

    def fate_in_store(self, position: int) -> str:
        row = self.fact(position)
        postings: list[PostingRow] = self.store.reading().postings_of(PLANT, position)
        return self.fate_of(row, postings)


@pytest.fixture
def world_on(tmp_path: Path) -> Iterator[Callable[[Grade], Stored]]:
    made: list[Stored] = []

    def make(grade: Grade) -> Stored:
        made.append(Stored(tmp_path, grade))
        return made[-1]

    yield make
    for world in made:
        world.stop()


@GRADES
def test_what_was_sent_before_the_claims_were_lost_is_not_booked_twice(world_on: Callable[[Grade], Stored], grade: Grade) -> None:
    world = world_on(grade)
    world.faults.arm(Fault.LOST)
    told = [report(world, order=order) for order in ("4711", "4712", "4713")]
    world.work()
    world.step()  # ERP has booked all three and nobody heard it
    world.lose("state.claims")
    world.start()
    world.run(20)
    assert len(world.between.sent) == 1, "asked about, not sent"
    assert len(world.documents()) == 3
    assert [world.fate_in_store(at) for at in told] == ["exception" if grade is Grade.BLIND else "booked"] * 3


@pytest.mark.parametrize("grade", [Grade.UNIQUE, Grade.ASKABLE])
def test_what_was_not_sent_is_sent_after_the_claims_were_lost(world_on: Callable[[Grade], Stored], grade: Grade) -> None:
    world = world_on(grade)
    at = report(world)
    world.work()
    world.lose("state.claims")
    world.start()
    world.run(20)
    assert (world.fate_in_store(at), len(world.documents())) == ("booked", 1)


@GRADES
def test_facts_after_the_loss_are_booked_as_ever(world_on: Callable[[Grade], Stored], grade: Grade) -> None:
    world = world_on(grade)
    report(world)
    world.lose("state.claims")
    world.start()
    send(world)
    at = report(world, order="4712")
    world.run(20)
    assert world.fate_in_store(at) == "booked"


@GRADES
@pytest.mark.parametrize("lost", [("state.claims", "state.db"), ("state.claims",)])
def test_nothing_is_sent_while_a_state_without_claims_is_behind_the_log(
    world_on: Callable[[Grade], Stored], grade: Grade, lost: tuple[str, ...]
) -> None:
    """The store was made anew, or an old snapshot was put back, and its outbox names what was booked long ago."""
    world = world_on(grade)
    world.stop()
    old = world.files.path.read_bytes()
    world.start()
    told = [report(world, good, order) for good in (1, 2) for order in ("4711", "4712", "4713")]
    world.run(5)
    sent = len(world.between.sent)
    world.lose(*lost)
    if lost == ("state.claims",):
        world.lose("state.db")
        world.files.path.write_bytes(old)
    world.start()
    world.worker._batch = 1
    for _ in range(200):
        world.worker.step()
        send(world)
    world.run(30)
    assert [world.fate_in_store(at) for at in told] == ["booked"] * 6
    assert (len(world.between.sent), len(world.documents())) == (sent, 6)


@GRADES
def test_a_first_start_doubts_nothing(world_on: Callable[[Grade], Stored], grade: Grade) -> None:
    world = world_on(grade)
    at = report(world)
    world.run(2)
    assert (world.between.asked, world.fate_in_store(at)) == ([], "booked")


def test_a_second_loss_while_the_first_is_not_settled_forgets_no_doubt(world_on: Callable[[Grade], Stored]) -> None:
    """The dispatcher dies before the state has caught up, and so does its knowledge that the claims are lost: the file has it."""
    world = world_on(Grade.ASKABLE)
    world.faults.arm(Fault.LOST)
    at = report(world)
    world.work()
    send(world)
    report(world, order="4712")  # in the log, and not folded
    world.lose("state.claims")
    world.start()
    send(world)
    world.stop()
    world.start()
    send(world)
    world.run(20)
    assert (world.fate_in_store(at), len(world.documents())) == ("booked", 2)
    assert sum(posting.order == "4711" for batch in world.between.sent for posting in batch) == 1
