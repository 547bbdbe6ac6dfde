"""The processes of an installation: each role as often as wanted, started as users start them, killed, stopped, frozen and brought back.

Who dies is started again after a pause, as a service manager does it. A gateway has a line of its own in front of it, since its port is
another one at each start. All of it ends with the process that made it.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from tests.chaos.clock import Offset
from tests.chaos.line import Line

from synchromesh.app.process import Ready

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
AGAIN: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a process is started again that has ended so often in a row."""

GRACE: Final = 30.0
UNLIMITED: Final = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Member:
    """One process of a role, through all its lives."""

    def __init__(self, fleet: Fleet, role: str, number: int) -> None:
        self.role = role
        self.name = f"{role}-{number}"
        self.line = Line(self.name) if role == "gateway" else None
        self.ready = asyncio.Event()
        self.deaths: list[int] = []
        """The exit codes of the lives that ended unasked."""
        self._fleet = fleet
        self._clock = fleet.folder / f"{self.name}.clock"
        self.clock = Offset(self._clock)
        self.config = fleet.folder / f"{self.name}.toml"
        self.log = fleet.folder / f"{self.name}.log"
        self._process: Process | None = None
        self._asked = False
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Keep it running from now on."""
        if self.line is not None and not self.line.port:
            await self.line.open()
        self._keeper = asyncio.create_task(self._keep())

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the life that runs now."""
        if self._process is not None:
            self._asked = self._asked or number in (signal.SIGKILL, signal.SIGTERM)
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def limit_files(self, size: int) -> None:
        """From now on no file of it can become larger, as on a full disk; 0 for no limit."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY) if size else UNLIMITED)

    async def freeze(self, seconds: float) -> None:
        """Let it stand still for so long."""
        frozen = self._process
        self.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if frozen is not None:
            with suppress(ProcessLookupError):
                frozen.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """Stop it for good, by force when it does not."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), GRACE)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
                raise RuntimeError(f"{self.name} did not stop within {GRACE:.0f} s") from None
        if self.line is not None:
            self.line.close()

    async def _keep(self) -> None:
        quick = 0
        while True:
            began = time.monotonic()
            code = await self._live()
            self.ready.clear()
            if not self._asked:
                self.deaths.append(code)
            quick = quick + 1 if time.monotonic() - began < GRACE and not self._asked else 0
            self._asked = False
            await asyncio.sleep(AGAIN[min(quick, len(AGAIN) - 1)])

    async def _live(self) -> int:
        command = [
            sys.executable,
            "-m",
            "tests.chaos.mortal",
            "tests.chaos.child",
            str(self._clock),
            self._fleet.sabotage.get(self.role, "-"),
        ]
        command += ["serve", "--role", self.role, "--config", str(self.config)]
        with self.log.open("ab") as lines:
            process = self._process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=lines, cwd=ROOT, start_new_session=True
            )
        assert process.stdout is not None, "asked for above"
        try:
            while line := await process.stdout.readline():
                ready = msgspec.json.decode(line, type=Ready)
                if self.line is not None:
                    self.line.to = int(ready.address.rpartition(":")[2])
                self.ready.set()
            return await process.wait()
        except asyncio.CancelledError:
            raise
        finally:
            if self.line is not None:
                self.line.to = 0


class Fleet:
    """All processes of one configuration. `sabotage` breaks a law in every process of a role, by name."""

    def __init__(self, folder: Path, counts: dict[str, int], sabotage: dict[str, str]) -> None:
        self.folder = folder
        self.sabotage = sabotage
        self.members = [Member(self, role, number) for role, count in counts.items() for number in range(1, count + 1)]

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members if member.role == role]

    async def start(self) -> None:
        """Start everything, and wait until all of it works."""
        for member in self.members:
            await member.start()
        try:
            async with asyncio.timeout(PATIENCE):
                for member in self.members:
                    await member.ready.wait()
        except TimeoutError:
            late = next(member for member in self.members if not member.ready.is_set())
            raise RuntimeError(f"{late.name} does not come up: {late.log.read_text('utf-8', 'replace')[-2000:]}") from None

    async def end(self) -> None:
        """Stop who takes in first, so that the others can finish. Raises what did not end."""
        failed: list[BaseException] = []
        for role in ("gateway", "dispatcher", "worker"):
            ended = await asyncio.gather(*(member.end() for member in self.of(role)), return_exceptions=True)
            failed += [error for error in ended if isinstance(error, BaseException)]
        if failed:
            raise failed[0]

    def said(self, of: Sequence[str] = ("Traceback", "CRITICAL")) -> list[str]:
        """Lines of the logs that nothing may say, whatever happens."""
        return [
            f"{member.name}: {line}"
            for member in self.members
            if member.log.exists()
            for line in member.log.read_text("utf-8", "replace").splitlines()
            if any(word in line for word in of)
        ]
