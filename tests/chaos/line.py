"""A TCP line that can fail: connections are cut, delayed, held half-open or refused, all of them or some that chance names.

Nothing is changed in what passes. A half-open connection is one on which nothing arrives any more, while both ends see it as it was.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

CHUNK: Final = 65536


class _Connection:
    """One connection and its counterpart behind the line."""

    def __init__(self, line: Line, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._line = line
        self._writers = writers
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on in one direction until either end is gone."""
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                self._line.see(data)
                if late := self.delay + self._line.latency:
                    await asyncio.sleep(late)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self.cut()

    def hold(self) -> None:
        """From now on nothing arrives any more."""
        self._open.clear()

    def cut(self) -> None:
        """End it at once on both sides, whatever is on its way."""
        self._open.set()
        for writer in self._writers:
            writer.transport.abort()


class Line:
    """A line to a server of this machine, with a port of its own that stays while the server behind it comes and goes."""

    def __init__(self, name: str, to: int = 0) -> None:
        self.name = name
        self.to = to
        """The port behind the line; 0 for nobody."""
        self.port = 0
        self.latency = 0.0
        """How much later everything arrives at any time, in seconds."""
        self.refuses = False
        self._awaited: dict[bytes, asyncio.Event] = {}
        self._connections: list[_Connection] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> Line:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut(1, 0)

    def cut(self, of: int, which: int) -> int:
        """Cut every `of`-th connection, from the `which`-th on; how many these are."""
        chosen = self._connections[which % of :: of]
        for connection in chosen:
            connection.cut()
        return len(chosen)

    async def passes(self, beginning: bytes) -> None:
        """Wait until something passes that begins so; it has not arrived yet where there is a latency."""
        await self._awaited.setdefault(beginning, asyncio.Event()).wait()

    def see(self, data: bytes) -> None:
        """Tell who waits for it that this passes."""
        for beginning in [each for each in self._awaited if data.startswith(each)]:
            self._awaited.pop(beginning).set()

    async def slow(self, seconds: float, delay: float) -> None:
        """For so long everything arrives later."""
        chosen = list(self._connections)
        for connection in chosen:
            connection.delay = delay
        await asyncio.sleep(seconds)
        for connection in chosen:
            connection.delay = 0.0

    async def hold(self, seconds: float, of: int, which: int) -> None:
        """For so long nothing arrives on every `of`-th connection, from the `which`-th on; then they are cut."""
        chosen = self._connections[which % of :: of]
        for connection in chosen:
            connection.hold()
        await asyncio.sleep(seconds)
        for connection in chosen:
            connection.cut()

    async def refuse(self, seconds: float) -> None:
        """For so long there is nobody at the other end."""
        self.refuses = True
        self.cut(1, 0)
        await asyncio.sleep(seconds)
        self.refuses = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses or not self.to:
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, (writer, forth))
        self._connections.append(connection)
        try:
            await asyncio.gather(connection.carry(reader, forth), connection.carry(back, writer))
        except asyncio.CancelledError:
            return  # the run ends
        finally:
            self._connections.remove(connection)
