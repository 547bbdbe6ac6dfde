"""PostgreSQL and JetStream servers of a run: real ones, each behind a line, which are stopped, crashed, cut, frozen and brought back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.chaos.engines import Engine, Strike
from tests.chaos.line import Line
from tests.nats.server import Server as Nats
from tests.nats.server import free_ports
from tests.postgres.server import Server as Postgres

from synchromesh.sim.chance import Chance

DATABASE = "chaos"
PASSWORD = "chaos"
SIZE = 3
TABLES_FULL = 17 * 2**20
"""The longest file, in bytes, with which segments of the write-ahead log can still be written."""

LOG_FULL = 2**20


class Database:
    """One PostgreSQL server with a database that belongs to a role of its own."""

    def __init__(self) -> None:
        self.line = Line("postgres")
        self._server = Postgres()
        self._busy = asyncio.Lock()

    async def start(self) -> None:
        await self.line.open()
        self.line.to = self._server.port
        self._server.run(f"CREATE ROLE {DATABASE} LOGIN PASSWORD '{PASSWORD}'")
        self._server.run(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")

    @property
    def address(self) -> str:
        return f"postgresql://{DATABASE}:{PASSWORD}@127.0.0.1:{self.line.port}/{DATABASE}"

    def strikes(self) -> Mapping[str, Strike]:
        return {"database crash": self._crash, "database restart": self._restart, "database cut": self._cut, "database full": self._full}

    async def _crash(self, chance: Chance) -> str:
        return await self._away(self._server.crash, chance.whole(0, 40) / 10, "crashed")

    async def _restart(self, chance: Chance) -> str:
        return await self._away(self._server.stop, chance.whole(0, 40) / 10, "stopped")

    async def _cut(self, chance: Chance) -> str:
        """Some of its connections, as an administrator or a pooler cuts them."""
        if self._busy.locked():
            return ""
        of = chance.whole(1, 3)
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid %% %s = 0"
        async with self._busy:
            cut = await asyncio.to_thread(self._server.run, statement, (DATABASE, of))
        return f"{len(cut)} connections"

    async def _full(self, chance: Chance) -> str:
        """No file of it may become longer: with the larger limit tables can't grow, with the smaller one it can't log a change and dies. It
        comes back with room."""
        longest, seconds = chance.one((TABLES_FULL, TABLES_FULL, TABLES_FULL, LOG_FULL)), chance.whole(1, 6)
        if self._busy.locked():
            return ""
        async with self._busy:
            await asyncio.to_thread(self._server.crash)
            with suppress(RuntimeError):  # so full that it can't even start
                await asyncio.to_thread(self._server.start, longest)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._server.crash)
            await asyncio.to_thread(self._server.start)
        return f"at {longest} bytes for {seconds} s"

    async def _away(self, stop: Callable[[], None], seconds: float, how: str) -> str:
        if self._busy.locked():
            return ""
        async with self._busy:
            await asyncio.to_thread(stop)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._server.start)
        return f"{how}, away for {seconds} s"

    async def mend(self) -> None:
        """Nothing befalls it any more."""
        async with self._busy:
            pass

    def close(self) -> None:
        self.line.close()
        self._server.close()


class Stream:
    """A cluster of three servers. At most one of them is away at a time, and the next only when all are well again."""

    def __init__(self, folder: Path) -> None:
        self.lines = [Line(f"nats n{number}") for number in range(1, SIZE + 1)]
        self._folder = folder
        self._servers: list[Nats] = []
        self._busy = asyncio.Lock()

    async def start(self) -> None:
        routes = free_ports(SIZE)
        told = ", ".join(f"'nats://127.0.0.1:{port}'" for port in routes)
        for number, (line, port) in enumerate(zip(self.lines, routes, strict=True), 1):
            await line.open()
            cluster = f"cluster {{ name: chaos, listen: 127.0.0.1:{port}, routes: [{told}] }}\n"
            advertise = f"client_advertise: '127.0.0.1:{line.port}'\n"
            server = Nats(self._folder / f"n{number}", name=f"n{number}", cluster=cluster, extra=advertise)
            line.to = server.port
            self._servers.append(server)
            await asyncio.to_thread(server.start)
        await self._well()

    @property
    def address(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{line.port}" for line in self.lines)

    def strikes(self) -> Mapping[str, Strike]:
        return {"stream kill": self._kill, "stream freeze": self._freeze}

    async def _kill(self, chance: Chance) -> str:
        server, seconds = chance.one(self._servers), chance.whole(0, 60) / 10

        async def strike() -> None:
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(server.start)

        return f"{server.name} killed, away for {seconds} s" if await self._one(strike) else ""

    async def _freeze(self, chance: Chance) -> str:
        server, seconds = chance.one(self._servers), chance.whole(1, 80) / 10

        async def strike() -> None:
            os.kill(server.pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(server.pid, signal.SIGCONT)

        return f"{server.name} for {seconds} s" if await self._one(strike) else ""

    async def _one(self, strike: Callable[[], Awaitable[None]]) -> bool:
        if self._busy.locked():
            return False
        async with self._busy:
            await strike()
            await self._well()
        return True

    async def _well(self) -> None:
        """Wait until all servers and their streams are."""
        await asyncio.to_thread(_wait_for, self._servers)

    async def mend(self) -> None:
        async with self._busy:
            pass

    def close(self) -> None:
        for line in self.lines:
            line.close()
        for server in self._servers:
            with suppress(ProcessLookupError, AssertionError):
                os.kill(server.pid, signal.SIGCONT)
            server.kill()


class Servers:
    """State in PostgreSQL, and the log there or in JetStream."""

    alone = False

    def __init__(self, log: str, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._database = Database()
        stack.callback(self._database.close)
        self._stream = Stream(folder) if log == "jetstream" else None
        if self._stream is not None:
            stack.callback(self._stream.close)

    @property
    def _all(self) -> list[Database | Stream]:
        return [self._database, *([self._stream] if self._stream is not None else [])]

    @property
    def lines(self) -> list[Line]:
        return [self._database.line, *(self._stream.lines if self._stream is not None else [])]

    async def start(self) -> None:
        for each in self._all:
            await each.start()

    def config(self) -> str:
        log = self._stream.address if self._stream is not None else self._database.address
        archive = self._folder / "archive"
        return f'\n[log]\naddress = "{log}"\narchive = "{archive}"\n\n[state]\naddress = "{self._database.address}"\n'

    def strikes(self) -> Mapping[str, Strike]:
        return {name: strike for each in self._all for name, strike in each.strikes().items()}

    async def mend(self) -> None:
        for each in self._all:
            await each.mend()


def engine(log: str, state: str, folder: Path, stack: ExitStack) -> Engine:
    """Servers of these kinds."""
    if state != "postgres" or log not in ("postgres", "jetstream"):
        raise ValueError(f"there is no run with the log on {log} and the state on {state}")
    return Servers(log, folder, stack)


def _wait_for(servers: Sequence[Nats]) -> None:
    while not all(server.healthy() for server in servers):
        time.sleep(0.1)
