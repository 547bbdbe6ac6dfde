"""HTTP/1.1 for one small server: bytes to requests, answers to bytes. Requests of one connection are answered one after another.

Made by hand on httptools because the sandbox must never be what a benchmark measures. Foreign bytes are bounded here: what is too large is
answered and the connection closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qs, unquote

import httptools
import msgspec

MAX_BODY: Final = 8 * 2**20
MAX_HEAD: Final = 64 * 2**10
LINGER: Final = 5.0
"""Seconds for which what a refused client goes on sending is thrown away."""


class Request(msgspec.Struct, frozen=True):
    """What a client asked. `path` is split at its slashes and each part decoded; header names are in lower case."""

    method: str
    path: tuple[str, ...]
    query: dict[str, list[str]]
    headers: dict[bytes, bytes]
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What it gets: a JSON body after `delay` seconds, or with `hang_up` no answer at all."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    retry_after: float | None = None
    delay: float = 0.0
    hang_up: bool = False
    close: bool = False


Respond = Callable[[Request], Answer]
"""What answers requests. It never waits and never raises."""


def json_answer(value: object, delay: float = 0.0) -> Answer:
    return Answer(body=msgspec.json.encode(value), delay=delay)


def problem(status: int, detail: str, **more: object) -> Answer:
    """An RFC 9457 problem."""
    body = msgspec.json.encode({"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more})
    return Answer(status=status, body=body, content_type="application/problem+json")


_BODY_TOO_LARGE: Final = problem(413, f"the body is longer than {MAX_BODY} bytes; send smaller batches")


class _TooLarge(Exception):
    """Raised through the parser to stop it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | Answer] = deque()
        self._busy = False
        self._refused = False
        self._transport: asyncio.Transport | None = None
        self._begin()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TCP transport is one in all but its class

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(problem(400, "this server speaks HTTP/1.1 and upgrades to nothing else"))
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _TooLarge):
                raise
            self._refuse(error.__context__.answer)
        except httptools.HttpParserError as error:
            self._refuse(problem(400, f"this is not HTTP/1.1: {error}"))
        self._next()

    # --- httptools ------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        length = self._headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise _TooLarge(_BODY_TOO_LARGE)
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAX_BODY:
            raise _TooLarge(_BODY_TOO_LARGE)
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        self._waiting.append(
            Request(
                method=self._parser.get_method().decode("latin-1"),
                path=tuple(unquote(part) for part in path.split("/") if part),
                query=parse_qs(query),
                headers=self._headers,
                body=b"".join(self._chunks),
            )
        )

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._head = 0

    def _count_head(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            raise _TooLarge(problem(431, f"address and headers are longer than {MAX_HEAD} bytes; shorten them"))

    def _refuse(self, answer: Answer) -> None:
        """Answer and close: nothing that follows on this connection is understood."""
        self._refused = True
        self._waiting.append(msgspec.structs.replace(answer, close=True))

    def _next(self) -> None:
        """Answer what waits, in order, until an answer takes its time."""
        while self._waiting and not self._busy and self._transport:
            asked = self._waiting.popleft()
            answer = asked if isinstance(asked, Answer) else self._respond(asked)
            if answer.delay:
                self._busy = True
                asyncio.get_running_loop().call_later(answer.delay, self._later, answer)
            else:
                self._send(answer)

    def _later(self, answer: Answer) -> None:
        self._busy = False
        self._send(answer)
        self._next()

    def _send(self, answer: Answer) -> None:
        if self._transport is None:
            return
        if answer.hang_up:
            self._transport.abort()
            return
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\ncontent-type: {answer.content_type}\r\n"
        if answer.retry_after is not None:
            head += f"retry-after: {answer.retry_after:g}\r\n"
        if answer.close:
            head += "connection: close\r\n"
        self._transport.write(f"{head}content-length: {len(answer.body)}\r\n\r\n".encode("latin-1") + answer.body)
        if answer.close:
            self._part(self._transport)

    def _part(self, transport: asyncio.Transport) -> None:
        """Close so that the answer is heard: closing outright while the client still sends would reset the connection under it."""
        transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, transport.abort)


async def listen(respond: Respond, port: int) -> tuple[asyncio.Server, str]:
    """Serve on 127.0.0.1 (`port` 0: a free one) until the server is closed; it, and its address. Raises `OSError`."""
    server = await asyncio.get_running_loop().create_server(lambda: Wire(respond), "127.0.0.1", port)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
