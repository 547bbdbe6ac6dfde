"""Both edges keep the contract of edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.contracts.edge import Door, EdgeContract
from tests.edges.plant import Client, OnePlant, clock, never_settled, report, request

from synchromesh.edges.files.drop import FileEdge
from synchromesh.edges.files.folder import Drop
from synchromesh.edges.http.server import HttpEdge


class HttpDoor(Door):
    """A source that posts; each post on the one connection it keeps."""

    def __init__(self, path: str) -> None:
        self.edge = self.http = HttpEdge("127.0.0.1", 0, catalogue=OnePlant(), settled=never_settled, problems=list, clock=clock)
        self.path = path
        self.client: Client | None = None

    async def tell(self, name: str) -> None:
        await self.close()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.http.port)
        except ConnectionRefusedError:
            return
        self.client = Client(reader, writer)
        body = report(name) if self.path.endswith("/events") else {"no": name}
        await self.client.send(request(self.path, body))

    def _status(self) -> str:
        """The status line's number, as far as it is here."""
        return "" if self.client is None else bytes(self.client.reader._buffer)[9:12].decode()  # type: ignore[attr-defined]

    def acknowledged(self, name: str) -> bool:
        return self._status() in ("200", "202")

    def refused(self, name: str) -> bool:
        return self._status() in ("503", "507")

    async def close(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None


class FileDoor(Door):
    """A source that drops a file for each fact."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.edge = FileEdge(Drop(folder, "oslo", "mes/1"), catalogue=OnePlant(), clock=clock, interval=0.002)

    async def tell(self, name: str) -> None:
        path = self.folder / f"{name}.csv"
        done = self.folder / "done" / path.name
        if done.exists():
            done.unlink()
        path.with_suffix(".part").write_text(f"no,good\n{name},1\n")
        path.with_suffix(".part").rename(path)

    def acknowledged(self, name: str) -> bool:
        return (self.folder / "done" / f"{name}.csv").exists()

    def refused(self, name: str) -> bool:
        return (self.folder / f"{name}.csv").exists()

    async def close(self) -> None:
        pass


class TestEvents(EdgeContract):
    @pytest_asyncio.fixture
    async def door(self) -> AsyncIterator[Door]:
        yield HttpDoor("/v1/plants/oslo/events")


class TestPayloads(EdgeContract):
    @pytest_asyncio.fixture
    async def door(self) -> AsyncIterator[Door]:
        yield HttpDoor("/v1/plants/oslo/interfaces/mes/1/messages")


class TestFiles(EdgeContract):
    @pytest_asyncio.fixture
    async def door(self, tmp_path: Path) -> AsyncIterator[Door]:
        yield FileDoor(tmp_path)
