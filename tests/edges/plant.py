"""What the edges' tests share: a catalogue of one plant, a clock that stands still, and a small HTTP client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from synchromesh.edges.agreement import Intake
from synchromesh.edges.catalogue import IdentityError
from synchromesh.edges.http.app import ASGIApp
from synchromesh.edges.http.server import HttpEdge

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOW


class OnePlant:
    """The plant `oslo` with the interface `mes/1`, whose messages are known by their field `no`."""

    plants = frozenset({"oslo"})
    max_body = 1_000_000

    def accepts(self, plant: str, interface: str) -> bool:
        return (plant, interface) == ("oslo", "mes/1")

    def source(self, interface: str) -> str:
        return "mes"

    def identity(self, interface: str, payload: Mapping[str, object]) -> tuple[str, str]:
        if "no" not in payload:
            raise IdentityError("the field 'no' is missing")
        return "mes", str(payload["no"])


async def never_settled(plant: str, position: int, seconds: float) -> Mapping[str, object] | None:
    return None


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, speaking bytes: it can say what no decent client would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer; an unfinished one is an error."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the server closed the connection, after at most ten seconds."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 10) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.writer.close()


def request(path: str, body: bytes | str | object = b"", method: str = "POST", **headers: str) -> bytes:
    """A request's bytes; header names with `_` for `-`. Text and other values become JSON bodies."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    told = {"host": "test", "content_type": "application/json", "content_length": str(len(content)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + content


class Server:
    """A running edge and connections to it."""

    def __init__(self, edge: HttpEdge) -> None:
        self.edge = edge
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.edge.port))
        self.clients.append(client)
        return client

    async def ask(self, data: bytes) -> Answer:
        """One request on its own connection."""
        client = await self.connect()
        await client.send(data)
        return await client.answer()

    async def post(self, path: str, body: bytes | str | object, **headers: str) -> Answer:
        return await self.ask(request(path, body, **headers))


@asynccontextmanager
async def serving(
    intake: Intake, settled: Any = never_settled, problems: Sequence[str] = (), other: ASGIApp | None = None
) -> AsyncIterator[Server]:
    edge = HttpEdge(
        "127.0.0.1", 0, catalogue=OnePlant(), settled=settled, problems=lambda: problems, clock=clock, other=other
    )  # fmt: skip
    await edge.start(intake)
    server = Server(edge)
    try:
        yield server
    finally:
        for client in server.clients:
            client.close()
        await edge.stop()


def report(id: str = "r-1", **data: object) -> dict[str, object]:
    """A native event that nothing is wrong with."""
    return {
        "id": id,
        "source": "mes",
        "type": "production.reported",
        "time": "2026-03-01T07:59:00Z",
        "data": {"order": "WO-1", "good": {"amount": "12.5", "unit": "EA"}, **data},
    }
