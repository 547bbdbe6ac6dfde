"""The general server's protocol (uvicorn's) with the bounds that it lacks: sizes of head and request, and the time to send them."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from synchromesh.edges.http.answer import Refused, phrase
from synchromesh.edges.http.app import DISCARDED
from synchromesh.edges.http.connection import IDLE_SECONDS, REQUEST_SECONDS
from synchromesh.edges.http.head import MAX_HEAD

_CHUNKING: Final = 8
"""Chunks of one byte each cost six times their content on the wire; a request that needs more than this sends air."""

_NEVER: Final = float("inf")
_HEAD_TOO_LARGE: Final = Refused(431, f"the request's head is larger than {MAX_HEAD:,} bytes", last=True)


class Bounded(HttpToolsProtocol):
    """Closes a connection whose request is too large or too slow, and tells `gone` when it ends."""

    def __init__(self, config: Config, state: ServerState, loop: AbstractEventLoop, max_body: int, gone: Callable[[], None]) -> None:
        super().__init__(config, state, {}, loop)
        self._most = MAX_HEAD + _CHUNKING * max_body + DISCARDED
        self._gone = gone
        self._received = 0
        self._head = 0
        self._in_head = True
        self.deadline = _NEVER
        """When `expire` is due, by the loop's clock."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.deadline == _NEVER:
            return
        if self._in_head and self._received > MAX_HEAD:
            self._refuse(_HEAD_TOO_LARGE)
        elif self._received > self._most:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received = 0
        self._head = 0
        self._in_head = True
        self.deadline = self.loop.time() + REQUEST_SECONDS

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD:
            raise ValueError("the headers are too large")  # the parser stops, and `send_400_response` says why
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.deadline = _NEVER
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_HEAD_TOO_LARGE if self._head > MAX_HEAD else Refused(400, "this is not HTTP", last=True))

    def expire(self) -> None:
        """The deadline has passed."""
        if self._in_head:
            self._refuse(Refused(408, f"the request was not complete after {REQUEST_SECONDS:g} s", last=True))
        else:
            self.transport.abort()

    def _refuse(self, refused: Refused) -> None:
        response = refused.response()
        headers = b"".join(b"%b: %b\r\n" % header for header in response.headers)
        length = len(response.body)
        status = b"HTTP/1.1 %d %b\r\n" % (response.status, phrase(response.status))
        self.transport.write(b"%b%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, headers, length, response.body))
        self.transport.close()


def configured(app: Any) -> Config:
    """The general server's settings: quiet, trusting no proxy, leaving the process's logging alone. What a stranger sends is answered, and
    no reason for a line in the log."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        http=HttpToolsProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(IDLE_SECONDS),
    )
    config.load()
    return config
