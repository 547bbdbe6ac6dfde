"""The raw loop beside the whole system: an HTTP server that only makes each post durable (SQLite, FULL, group commit) and answers."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import cast

import apsw
import uvloop

_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"


class _Sink:
    """Posts that wait for the next commit."""

    def __init__(self, path: Path) -> None:
        self.connection = apsw.Connection(str(path))
        self.connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (body BLOB)").fetchall()
        self.waiting: list[tuple[asyncio.Transport, bytes]] = []
        self.due = False

    def take(self, transport: asyncio.Transport, body: bytes) -> None:
        self.waiting.append((transport, body))
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self.commit)

    def commit(self) -> None:
        taken, self.waiting, self.due = self.waiting, [], False
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO log VALUES (?)", [(body,) for _, body in taken])
        self.connection.execute("COMMIT")
        for transport, _ in taken:
            transport.write(_ANSWER)


class _Protocol(asyncio.Protocol):
    """One request at a time on a connection, as the load driver sends them."""

    def __init__(self, sink: _Sink) -> None:
        self.sink = sink
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.find(b"content-length: ", 0, head + 2)
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) >= head + 4 + length:
            body, self.buffer = self.buffer[head + 4 :], b""
            self.sink.take(self.transport, body)


async def _serve(path: Path) -> None:
    sink = _Sink(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(sink), "127.0.0.1", 0)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
