"""A real Tryton for the tests: one per module and variant, with items, stock and orders, and a line to it that can be cut."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from synchromesh.connectors.tryton.provision import Part, Provisioner
from synchromesh.connectors.tryton.rpc import Json, Tryton, read_as
from synchromesh.connectors.tryton.server import COMPANY, LOGIN, TrytonServer, tryton
from synchromesh.connectors.tryton.settings import read_settings
from synchromesh.model.event import amount
from synchromesh.model.posting import Line, Posting, PostingKind

CACHE = Path(tempfile.gettempdir()) / "synchromesh-tryton"
"""Seeded databases outlive a run: seeding takes longer than all the tests."""

TODAY = datetime.now(UTC).date()
CLOSED = TODAY - timedelta(days=40)
"""A day in the closed stock period."""

_ordinals = itertools.count(1)


@contextmanager
def furnished(folder: Path, module: bool) -> Iterator[TrytonServer]:
    """A fresh Tryton with what the tests need."""
    with tryton(folder, CACHE, module) as server:
        asyncio.run(_furnish(server))
        yield server


async def _furnish(server: TrytonServer) -> None:
    provisioner = Provisioner(server.settings())
    try:
        await provisioner.create_item("RM", "Raw material")
        await provisioner.create_item("OIL", "Oil", "KGM")
        await provisioner.create_item("FG", "Gear")
        await provisioner.create_item("LOTTED", "By lot", lots=True)
        await provisioner.create_location("BIN2")
        await provisioner.set_stock("RM", amount(100_000, "EA"))
        await provisioner.set_stock("OIL", amount(1000, "KGM"))
        await provisioner.create_order("PLANNED", "FG", amount(10, "EA"), release=False)
        await provisioner.create_order("CLOSED", "FG", amount(10, "EA"))
        await provisioner.close_period(TODAY - timedelta(days=30))
    finally:
        await provisioner.close()
    books = Books(server)
    try:
        closed = await books.ids("production", ["reference", "=", "CLOSED"])
        await books.call("model.production.cancel", closed)
    finally:
        await books.close()


class Books:
    """Tryton's own books, past the connector. As the administrator it is "somebody else"."""

    def __init__(self, server: TrytonServer, user: str = LOGIN) -> None:
        self._tryton = Tryton(read_settings(server.settings() | {"user": user, "company": COMPANY}))
        self._who = (server.url, user)
        share_login(self._tryton, self._who)

    async def call(self, method: str, *parameters: Json) -> Json:
        return await self._tryton.call(method, *parameters)

    async def ids(self, model: str, *domain: Json) -> list[int]:
        return read_as(await self.call(f"model.{model}.search", [*domain], 0, None, None), list[int], model)

    async def rows(self, model: str, fields: list[str], *domain: Json) -> list[dict[str, Json]]:
        found = await self.call(f"model.{model}.search_read", [*domain], 0, None, [["id", "ASC"]], fields)
        return read_as(found, list[dict[str, Json]], model)

    async def moved(self, *domain: Json) -> Decimal:
        """The sum of done moves."""
        rows = await self.rows("stock.move", ["quantity"], ["state", "=", "done"], *domain)
        return sum((Decimal(str(row["quantity"])) for row in rows), Decimal(0))

    async def close(self) -> None:
        keep_login(self._tryton, self._who)
        await self._tryton.close()


_logins: dict[tuple[str, str], tuple[str, int, dict[str, Json]]] = {}


def share_login(tryton: Tryton, who: tuple[str, str]) -> None:
    """Use the session of an earlier client of the tests' own: Tryton takes a fifth of a second to check a password."""
    if who in _logins:
        tryton._authorization, tryton._user, tryton._context = _logins[who]


def keep_login(tryton: Tryton, who: tuple[str, str]) -> None:
    _logins[who] = (tryton._authorization, tryton._user, tryton._context)


async def new_order(server: TrytonServer, *parts: Part) -> str:
    """A released order of 100 FG."""
    name = f"O{next(_ordinals)}"
    provisioner = Provisioner(server.settings())
    who = (server.url, "orders")
    share_login(provisioner._tryton, who)
    try:
        await provisioner.create_order(name, "FG", amount(100, "EA"), parts or (Part("RM", amount(200, "EA")),))
    finally:
        keep_login(provisioner._tryton, who)
        await provisioner.close()
    return name


def posting(kind: PostingKind, order: str, *lines: Line, **more: object) -> Posting:
    plain = Posting(f"test-{next(_ordinals)}", kind, "P1", order or "stock", TODAY, order)
    return msgspec.structs.replace(plain, lines=lines, **more)


def line(item: str, quantity: str | int, unit: str = "EA", **more: str) -> Line:
    return Line(item, amount(quantity, unit), **more)


class Wire:
    """A TCP line to Tryton that can be cut: before a request is passed on, or when its answer comes back."""

    def __init__(self, server: TrytonServer) -> None:
        self._port = urlsplit(server.url).port
        self.url = ""
        self.cut_request = b""
        """Requests that hold this are not passed on."""
        self.cut_reply = b""
        """Answers to requests that hold this are not passed back."""
        self.meanwhile: tuple[bytes, Callable[[], Awaitable[None]]] | None = None
        """What happens in Tryton just before the first request that holds this arrives there."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
            request = head + await reader.readexactly(length)
            if self.cut_request and self.cut_request in request:
                return
            if self.meanwhile is not None and self.meanwhile[0] in request:
                (_, happens), self.meanwhile = self.meanwhile, None
                await happens()
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
            forth.write(request)
            answer = await back.read()
            forth.close()
            if not (self.cut_reply and self.cut_reply in request):
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()
