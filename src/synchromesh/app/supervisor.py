"""One command, all roles: each a process of its own, started again when it dies, all stopped together.

Before all of them have worked once, a role that won't come up is a wrong installation, and everything stops and says why. Afterwards the
installation never gives up by itself: the other roles go on, and a role that dies again and again is started again after growing pauses.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.process import Ready
from synchromesh.app.roles import ROLES
from synchromesh.observe.lines import emit
from synchromesh.observe.names import FAILED, ROLE_ENDED

STOP_SECONDS: Final = 20.0
"""How long a role may take to finish before it is killed. What it had accepted is in the log."""

TRIES: Final = 5
"""A role that ends so often in a row is no accident: it won't come up, or it is started again only after a pause."""

QUICK: Final = 60.0
"""A run shorter than this, in seconds, is one of those in a row."""

LONGEST_PAUSE: Final = 60.0
FULL_PAUSE: Final = 5.0
"""Seconds between two starts of a role that has no room to work."""

USAGE: Final = 2
FULL: Final = 4
"""Exit codes of a role that can't be used as it is configured, and of one that has no room: see `cli.frame.Code`."""

_decode: Final = msgspec.json.Decoder(Ready).decode


class Supervisor:
    """Runs the roles of one configuration file. `address` is the gateway's, once it is ready; `inherited` are open files that the
    processes hold with this one; `log` is a file for their log lines, which else go to this process's standard error."""

    def __init__(self, config: Path, inherited: Sequence[int] = (), log: Path | None = None) -> None:
        self._config = config
        self._inherited = inherited
        self._log = log
        self.address = ""
        self.processes: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._up = False
        self._failed = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self.error = ""

    async def start(self) -> None:
        """Start every role and wait until each works; one that has no room to work is waited for. Raises `RuntimeError` when one does not
        come up; nothing is left running then."""
        for role in ROLES:
            ready = asyncio.Event()
            self._keepers.append(asyncio.create_task(self._keep(role, ready)))
            failed = asyncio.create_task(self._failed.wait())
            came = asyncio.create_task(ready.wait())
            await asyncio.wait([failed, came], return_when=asyncio.FIRST_COMPLETED)
            failed.cancel()
            came.cancel()
            if self._failed.is_set():
                await self.stop()
                raise RuntimeError(self.error)
        self._up = True

    async def run(self, until: Callable[[], Awaitable[object]]) -> None:
        """Keep the roles running until `until` returns."""
        try:
            await until()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Stop who takes in first, so that the others can finish; kill what does not end."""
        self._stopping.set()
        for role in reversed(ROLES):
            process = self.processes.get(role)
            if process is None or process.returncode is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _keep(self, role: str, ready: asyncio.Event) -> None:
        """Start a role, and again whenever it dies, until everything stops."""
        quick = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            ended = await self._live(role, ready)
            if self._stopping.is_set():
                return
            quick = quick + 1 if time.monotonic() - began < QUICK else 0
            if not self._up and (ended == USAGE or (quick >= TRIES and ended != FULL)):
                self.error = f"the {role} can't be kept running (it ended with {ended}); its last lines above say why"
                emit(FAILED, part=role, error=self.error)
                self._failed.set()
                return
            pause = FULL_PAUSE if ended == FULL else _pause(quick)
            emit(ROLE_ENDED, part=role, error=f"it ended with {ended}; its last lines above say why", seconds=pause)
            await self._rest(pause)

    async def _live(self, role: str, ready: asyncio.Event) -> int | str:
        """One life of a role: its exit code, or why it could not be started."""
        try:
            process = await self._spawn(role)
        except OSError as error:
            return str(error)
        await self._listen(process, ready)
        return await process.wait()

    async def _rest(self, seconds: float) -> None:
        """Wait, but not for longer than everything runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _spawn(self, role: str) -> Process:
        command = [sys.executable, "-m", "synchromesh.cli", "serve", "--role", role, "--config", str(self._config), "--child"]
        with self._log.open("ab") if self._log is not None else nullcontext() as lines:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=lines, start_new_session=True, env=os.environ, pass_fds=self._inherited
            )
        self.processes[role] = process
        if self._stopping.is_set():
            process.terminate()
        return process

    async def _listen(self, process: Process, ready: asyncio.Event) -> None:
        """Read what the process announces until it closes its standard output. What else is printed there goes to standard error."""
        assert process.stdout is not None, "asked for above"
        while line := await _line(process.stdout):
            try:
                announced = _decode(line)
            except msgspec.DecodeError:
                sys.stderr.write(line.decode("utf-8", "replace"))
                continue
            self.address = announced.address or self.address
            ready.set()


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or as much of it as is read of a line; b'' at the end."""
    try:
        return await stream.readuntil()
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(error.consumed)


def _pause(quick: int) -> float:
    """Seconds before a role is started again that has ended so often in a row."""
    return 0.0 if quick < TRIES else min(LONGEST_PAUSE, 2.0 ** (quick - TRIES))
