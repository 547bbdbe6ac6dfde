"""The contract of every edge: what `synchromesh.edges.agreement` promises, as tests.

To run it on an edge, a stranger's too, give the suite a door: the edge, and a source that speaks its protocol to it. In a test module
of the plug-in (the root of this source tree on the path)::

    import pytest_asyncio
    from tests.contracts.edge import Door, EdgeContract

    class MyDoor(Door):
        ...                      # the abstract methods below

    class TestMyEdge(EdgeContract):
        @pytest_asyncio.fixture
        async def door(self):
            return MyDoor(...)

The suite starts and stops the edge itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from synchromesh.edges.agreement import Busy, Edge
from synchromesh.log.agreement import LogError, LogFull
from synchromesh.model.message import Message

PATIENCE = 10.0
"""Seconds after which what must happen counts as not happening."""


class Door(ABC):
    """An edge and a source before it."""

    edge: Edge
    stopped = False

    async def stop(self) -> None:
        """Stop the edge, once."""
        if not self.stopped:
            self.stopped = True
            await asyncio.wait_for(self.edge.stop(), PATIENCE)

    @abstractmethod
    async def tell(self, name: str) -> None:
        """Let the source tell one fact, named `name`, without waiting for the answer. Telling a name again repeats the same fact."""

    @abstractmethod
    def acknowledged(self, name: str) -> bool:
        """Whether the source has been told, since it last told this fact, that it is received."""

    @abstractmethod
    def refused(self, name: str) -> bool:
        """Whether the source knows that the fact it last told was not stored. An edge that keeps a refused fact and tries again by itself
        answers True as long as the source would see it as still waiting."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the source's own connections."""


class Gate:
    """An intake whose doorkeeper is the test: it stores what it is given when `open` is set, or raises `error`."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.calls = 0

    async def accept(self, messages: Sequence[Message]) -> list[int]:
        self.calls += 1
        self.arrived.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        first = len(self.stored) + 1
        self.stored.extend(messages)
        return list(range(first, len(self.stored) + 1))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail, naming it, when it does not come."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - what a foreign edge does sets no event of ours
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"it never happened: {what}") from None


@asynccontextmanager
async def started(door: Door, gate: Gate) -> AsyncIterator[None]:
    """The edge running before a gate, stopped at the end whatever happens."""
    await door.edge.start(gate)
    try:
        yield
    finally:
        gate.open.set()
        await door.close()
        await door.stop()


class EdgeContract:
    """Each test is one promise."""

    async def test_a_fact_is_stored_and_acknowledged(self, door: Door) -> None:
        gate = Gate()
        async with started(door, gate):
            await door.tell("first")
            await until(lambda: door.acknowledged("first"), "the acknowledgement")
            assert gate.stored

    async def test_nothing_is_acknowledged_before_it_is_stored(self, door: Door) -> None:
        gate = Gate()
        gate.open.clear()
        async with started(door, gate):
            await door.tell("first")
            await asyncio.wait_for(gate.arrived.wait(), PATIENCE)
            for _ in range(50):
                await asyncio.sleep(0.001)
                assert not door.acknowledged("first")
            gate.open.set()
            await until(lambda: door.acknowledged("first"), "the acknowledgement")

    @pytest.mark.parametrize(
        "error", [LogFull("the disk is full"), LogError("the log is away"), Busy(0.01)], ids=lambda error: type(error).__name__
    )
    async def test_what_is_refused_is_not_acknowledged(self, door: Door, error: Exception) -> None:
        gate = Gate()
        gate.error = error
        async with started(door, gate):
            await door.tell("first")
            await until(lambda: gate.calls > 0 and door.refused("first"), "the refusal")
            assert not door.acknowledged("first")
            assert not gate.stored
            gate.error = None
            await door.tell("first")
            await until(lambda: door.acknowledged("first"), "the acknowledgement, later")
            assert gate.stored

    async def test_a_repeated_fact_has_the_same_identity(self, door: Door) -> None:
        gate = Gate()
        async with started(door, gate):
            for name in ("first", "first", "second"):
                await door.tell(name)
                await until(lambda name=name: door.acknowledged(name), "the acknowledgement")  # type: ignore[misc]
        facts = [(message.partition, message.source, message.id) for message in gate.stored if message.interface != "synchromesh/1"]
        assert len(facts) == 3
        assert len(set(facts)) == 2

    async def test_a_stop_finishes_what_is_being_stored(self, door: Door) -> None:
        gate = Gate()
        gate.open.clear()
        async with started(door, gate):
            await door.tell("first")
            await asyncio.wait_for(gate.arrived.wait(), PATIENCE)
            stopping = asyncio.create_task(door.stop())
            for _ in range(20):
                await asyncio.sleep(0.001)
                assert not stopping.done()
            gate.open.set()
            await stopping
            assert len(gate.stored) >= 1

    async def test_a_stopped_edge_takes_nothing(self, door: Door) -> None:
        gate = Gate()
        async with started(door, gate):
            await door.stop()
            await door.tell("late")
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not door.acknowledged("late")
            assert gate.calls == 0
