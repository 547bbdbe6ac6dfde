"""One command, all roles: each a process of its own, started again when it dies, all stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.process import Ready
from synchromesh.app.roles import ROLES
from synchromesh.observe.lines import emit
from synchromesh.observe.names import FAILED

STOP_SECONDS: Final = 20.0
"""How long a role may take to finish before it is killed. What it had accepted is in the log."""

TRIES: Final = 5
"""A role that ends so often within a minute won't come up: everything stops and says why."""

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
        self._stopping = False
        self._failed = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self.error = ""

    async def start(self) -> None:
        """Start every role and wait until each works. Raises `RuntimeError` when one does not come up; nothing is left running then."""
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

    async def run(self, until: Callable[[], Awaitable[object]]) -> None:
        """Keep the roles running until `until` returns, or one can't be kept. Raises `RuntimeError` then."""
        ended = asyncio.ensure_future(until())
        failed = asyncio.create_task(self._failed.wait())
        await asyncio.wait([ended, failed], return_when=asyncio.FIRST_COMPLETED)
        failed.cancel()
        ended.cancel()
        await self.stop()
        if self.error:
            raise RuntimeError(self.error)

    async def stop(self) -> None:
        """Stop who takes in first, so that the others can finish; kill what does not end."""
        self._stopping = True
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
        ends: list[float] = []
        while not self._stopping:
            process = await self._spawn(role)
            await self._listen(process, ready)
            code = await process.wait()
            if self._stopping:
                return
            ends = [end for end in ends if time.monotonic() - end < 60] + [time.monotonic()]
            if code == 2 or len(ends) >= TRIES:
                self.error = f"the {role} can't be kept running (it ended with {code}); its last lines above say why"
                emit(FAILED, part=role, error=self.error)
                self._failed.set()
                return

    async def _spawn(self, role: str) -> Process:
        command = [sys.executable, "-m", "synchromesh.cli", "serve", "--role", role, "--config", str(self._config), "--child"]
        with self._log.open("ab") if self._log is not None else nullcontext() as lines:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=lines, start_new_session=True, env=os.environ, pass_fds=self._inherited
            )
        self.processes[role] = process
        if self._stopping:
            process.terminate()
        return process

    async def _listen(self, process: Process, ready: asyncio.Event) -> None:
        """Read what the process announces until it closes its standard output."""
        assert process.stdout is not None, "asked for above"
        async for line in process.stdout:
            announced = _decode(line)
            self.address = announced.address or self.address
            ready.set()
