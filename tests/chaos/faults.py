"""What befalls a run: which fault, whom, for how long, all of it drawn from one seed before anything happens.

Some faults may last at the same time, but never two of the same process, line or server. The seed gives the plan; what the plan meets is as
chance as it is in life.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from tests.chaos.engines import Engine
from tests.chaos.erps import Erp
from tests.chaos.fleet import Fleet, Member
from tests.chaos.line import Line

from synchromesh.sim.chance import Chance
from synchromesh.state.agreement import LEASE_SECONDS

Fault = Callable[[Chance], Awaitable[str]]

LONGEST_FREEZE: Final = 3 * LEASE_SECONDS
LONGEST_JUMP: Final = 7200
"""Seconds by which a clock is set forward or back at the most."""

FURTHEST: Final = timedelta(hours=3)
"""A clock that is further from the true time than this is set right."""

LONGEST_HOLD: Final = 12
NOTHING_SENT: Final = 10.0
"""Seconds after which nobody waits any more for something to be sent."""

ROOM: Final = 65536
"""Bytes by which files may still grow on a disk that becomes full."""


class Chaos:
    """Draws and does faults until it is ended. `done` counts them; `said` is a line about each, with the second in which it began."""

    def __init__(self, fleet: Fleet, erps: Sequence[Erp], engine: Engine, seed: int, pause: float, kinds: Sequence[str] = ()) -> None:
        self._fleet = fleet
        self._erps = erps
        self._engine = engine
        self._chance = Chance(seed, "chaos")
        self._pause = pause
        self._busy: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self.done: Counter[str] = Counter()
        self.said: list[str] = []
        lines = [*(member.line for member in fleet.members if member.line is not None), *(erp.line for erp in erps), *engine.lines]
        self._lines: Sequence[Line] = lines
        self._kinds: Mapping[str, Fault] = {
            "kill": self._kill,
            "kill sending": self._kill_sending,
            "stop": self._stop,
            "freeze": self._freeze,
            "cut": self._cut,
            "slow": self._slow,
            "hold": self._hold,
            "refuse": self._refuse,
            "jump": self._jump,
            "full": self._full,
            "erp": self._erp,
            **engine.strikes(),
        }
        of_one_role = {
            f"{name} {role}": partial(do, role=role)
            for name, do in (("kill", self._kill), ("freeze", self._freeze))
            for role in ("gateway", "worker", "dispatcher")
        }
        if kinds:
            self._kinds = {name: {**self._kinds, **of_one_role}[name] for name in kinds}

    async def rage(self) -> None:
        """Until it is cancelled. Raises what a fault of the harness itself raised."""
        names = list(self._kinds)
        while True:
            await asyncio.sleep(self._pause * self._chance.whole(1, 20) / 10)
            name = self._chance.one(names)
            drawn = Chance(self._chance.whole(0, 2**31), name)
            for over in [task for task in self._running if task.done()]:
                self._running.discard(over)
                over.result()
            self._running.add(asyncio.create_task(self._do(name, drawn)))

    def clocks(self) -> None:
        """No clock is behind any more."""
        for member in self._fleet.members:
            member.clock.value = max(member.clock.value, timedelta(0))

    async def end(self) -> None:
        """Everything that lasts is waited for, and everything works again."""
        await asyncio.gather(*self._running)
        await self._engine.mend()
        for member in self._fleet.members:
            member.limit_files(0)
        self.clocks()

    async def _do(self, name: str, chance: Chance) -> None:
        began = time.monotonic() - self._began
        what = await self._kinds[name](chance)
        if what:
            self.done[name] += 1
            self.said.append(f"{began:7.1f} {name}: {what}")

    # --- processes --------------------------------------------------------------------------------------------------------

    async def _with(self, name: str, do: Callable[[], Awaitable[object]]) -> bool:
        """Do it, unless something else befalls the same one just now; whether it was done."""
        if name in self._busy:
            return False
        self._busy.add(name)
        try:
            await do()
        finally:
            self._busy.discard(name)
        return True

    def _member(self, chance: Chance, role: str = "") -> Member:
        return chance.one([member for member in self._fleet.members if role in ("", member.role)])

    async def _kill(self, chance: Chance, role: str = "") -> str:
        return await self._signal(self._member(chance, role), signal.SIGKILL)

    async def _kill_sending(self, chance: Chance) -> str:
        """Every dispatcher that runs, while postings are on their way: what became of them nobody has heard."""
        erp = chance.one(self._erps)
        try:
            await asyncio.wait_for(erp.line.passes(b"POST /postings"), NOTHING_SENT)
        except TimeoutError:
            return ""
        for member in self._fleet.of("dispatcher"):
            member.signal(signal.SIGKILL)
        return f"all dispatchers, while {erp.name} was sent something"

    async def _stop(self, chance: Chance) -> str:
        return await self._signal(self._member(chance), signal.SIGTERM)

    async def _signal(self, member: Member, number: signal.Signals) -> str:
        async def strike() -> None:
            member.signal(number)

        return f"{member.name}, {number.name}" if await self._with(member.name, strike) else ""

    async def _freeze(self, chance: Chance, role: str = "") -> str:
        """Mostly for longer than a lease lasts: then another one has taken over when it wakes."""
        member = self._member(chance, role)
        seconds = chance.whole(5, round(LONGEST_FREEZE * 10)) / 10
        done = await self._with(member.name, lambda: member.freeze(seconds))
        return f"{member.name} for {seconds} s" if done else ""

    async def _jump(self, chance: Chance) -> str:
        member = self._member(chance)
        jump = timedelta(seconds=chance.whole(1, LONGEST_JUMP) * chance.one((1, -1)) / chance.one((1, 60, 3600)))
        clock = member.clock.value + jump
        member.clock.value = clock if abs(clock) < FURTHEST else timedelta(0)
        return f"{member.name} by {jump.total_seconds():.1f} s"

    async def _full(self, chance: Chance) -> str:
        """No file of the process can grow beyond what the largest one of its kind may have."""
        member = self._member(chance)
        room, seconds = chance.whole(1, 20) * ROOM, chance.whole(1, 8)

        async def strike() -> None:
            member.limit_files(room)
            await asyncio.sleep(seconds)
            member.limit_files(0)

        return f"{member.name}, at {room} bytes for {seconds} s" if await self._with(member.name, strike) else ""

    async def _erp(self, chance: Chance) -> str:
        erp, seconds = chance.one(self._erps), chance.whole(0, 60) / 10

        async def strike() -> None:
            await erp.kill()
            await asyncio.sleep(seconds)
            await erp.start()

        return f"{erp.name} killed, away for {seconds} s" if await self._with(f"erp {erp.name}", strike) else ""

    # --- lines ------------------------------------------------------------------------------------------------------------

    async def _cut(self, chance: Chance) -> str:
        line, of, which = self._chosen(chance)
        return f"{line.cut(of, which)} of {line.name}"

    async def _slow(self, chance: Chance) -> str:
        line, seconds, delay = chance.one(self._lines), chance.whole(1, 6), chance.whole(1, 30) / 100
        done = await self._with(line.name, lambda: line.slow(seconds, delay))
        return f"{line.name} by {delay} s for {seconds} s" if done else ""

    async def _hold(self, chance: Chance) -> str:
        (line, of, which), seconds = self._chosen(chance), chance.whole(1, LONGEST_HOLD)
        done = await self._with(line.name, lambda: line.hold(seconds, of, which))
        return f"1 in {of} of {line.name} half-open for {seconds} s" if done else ""

    async def _refuse(self, chance: Chance) -> str:
        line, seconds = chance.one(self._lines), chance.whole(1, 6)
        return f"{line.name} for {seconds} s" if await self._with(line.name, lambda: line.refuse(seconds)) else ""

    def _chosen(self, chance: Chance) -> tuple[Line, int, int]:
        return chance.one(self._lines), chance.whole(1, 3), chance.whole(0, 9)


async def endless(of: asyncio.Task[None]) -> None:
    """End a task that has no end; what it raised before is raised."""
    of.cancel()
    with suppress(asyncio.CancelledError):
        await of
