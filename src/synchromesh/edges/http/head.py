"""The head of a request, read at once and remembered: clients send the same head again and again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import httptools
import msgspec

from synchromesh.edges.http.answer import Refused
from synchromesh.edges.http.app import joined
from synchromesh.edges.http.route import Route, find_route

MAX_HEAD: Final = 16_384
"""Bytes of request line and headers."""

_REMEMBERED: Final = 1_024
"""Heads up to this size are remembered, as many: a megabyte at most."""

_NOT_PLAIN: Final = (b"transfer-encoding", b"expect", b"upgrade")


class Head(msgspec.Struct, frozen=True):
    """What a connection must know to go on. `route` is None when the request is not a plain post to the edge: one with a length, of
    HTTP/1.1, that asks for nothing unusual."""

    route: Route | None
    path: str = ""
    query: bytes = b""
    headers: dict[bytes, bytes] = {}
    length: int = 0
    keep_alive: bool = True


def read_head(head: bytes) -> Head:
    """Read a head with its closing empty line. Raises `Refused` with 400."""
    return _remembered(head) if len(head) <= _REMEMBERED else _read(head)


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, part: bytes) -> None:
        self.url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()
        self.plain = self.parser.get_method() == b"POST" and self.parser.get_http_version() == "1.1" and not self.parser.should_upgrade()


def _read(head: bytes) -> Head:
    reader = _Reader()
    try:
        reader.parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        return Head(None)
    except httptools.HttpParserError as error:
        raise Refused(400, f"this is not HTTP: {error}", last=True) from None
    if not reader.complete:
        raise Refused(400, "the request's head is not complete", last=True)
    headers = joined(reader.headers)
    if not reader.plain or any(name in headers for name in _NOT_PLAIN):
        return Head(None)
    path, _, query = reader.url.partition(b"?")
    route = find_route(path.decode("latin-1"))
    length = headers.get(b"content-length", b"0")
    return Head(route, path.decode("latin-1"), query, headers, int(length), reader.keep_alive)


_remembered = lru_cache(maxsize=1_024)(_read)
