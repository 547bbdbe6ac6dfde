"""One connection of the HTTP edge, made for the plainest request: a post of known length to a route of the edge.

A general server spends several times as long on its machinery as the edge does on the message. So this protocol reads whole requests
by their length and answers them past that machinery, one at a time and in order. With the first request that is anything else (another
address, chunks, an expectation, an upgrade) it hands the connection, with all bytes not yet used, to the general server's protocol for
good. No body is ever read by two rules.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol, cast

from synchromesh.edges.http.answer import Refused, Response, phrase
from synchromesh.edges.http.app import DISCARDED, too_large
from synchromesh.edges.http.head import MAX_HEAD, Head, read_head
from synchromesh.edges.http.ingest import Ingest

REQUEST_SECONDS: Final = 30.0
"""From a request's first byte to its last, and for the sender to read the answer."""

IDLE_SECONDS: Final = 75.0
"""Between two requests."""

LINGER_SECONDS: Final = 5.0
"""For the sender of a refused body to stop sending."""

_BEGINS: Final = re.compile(rb"[\r\n]*[A-Za-z]*(?:$|[ -])", re.ASCII)
"""What a request can begin with: a method's name as far as it has come."""

_AHEAD: Final = 65_536
_NEVER: Final = float("inf")


class Host(Protocol):
    """What a connection needs of its server."""

    ingest: Ingest
    date: bytes
    """The header line with the time, kept up to date."""

    def opened(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def hand_over(self, connection: Connection, transport: asyncio.Transport, data: bytes) -> None:
        """Let the general server go on with a connection whose next bytes are `data`."""
        ...


class Connection(asyncio.Protocol):
    """Reads a request, answers it, reads the next. What comes while one is answered waits, within a bound."""

    __slots__ = (
        "_buffer",
        "_discarded",
        "_ending",
        "_head",
        "_host",
        "_loop",
        "_paused",
        "_start",
        "_task",
        "_transport",
        "_writable",
        "deadline",
    )

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._buffer = bytearray()
        self._head: Head | None = None
        self._start = 0
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._paused = False
        self._writable = True
        self._discarded = -1
        self.deadline = loop.time() + REQUEST_SECONDS
        """When `expire` is due, by the loop's clock."""

    # --- called by the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class
        if not self._host.opened(self):
            self._refuse(Refused(503, "too many connections are open; try again later", headers={"retry-after": "1"}, last=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._buffer.clear()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._discarded >= 0:
            self._discard(len(data))
            return
        if not self._buffer:
            self.deadline = self._loop.time() + REQUEST_SECONDS
        self._buffer += data
        if self._task is None:
            self._advance()
        elif len(self._buffer) > _AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The sender sends no more; it may still wait for the answer to what it sent."""
        self._ending = True
        return self._task is not None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._task is None and self._discarded < 0:
            self._next()

    # --- called by the server -------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline has passed."""
        if self._buffer and self._discarded < 0 and self._task is None and self._writable:
            self._refuse(Refused(408, f"the request was not complete after {REQUEST_SECONDS:g} s", last=True))
        else:
            self._transport.abort()

    def stop(self) -> None:
        """Answer what was received whole, take nothing more, close."""
        self._ending = True
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    # --- one request -----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Begin with the next request as far as its bytes are here."""
        try:
            head = self._head or self._read_head()
        except Refused as refused:
            self._refuse(refused)
            return
        if head is None:
            return
        if head.route is None:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._host.hand_over(self, self._transport, data)
            return
        end = self._start + head.length
        if len(self._buffer) < end:
            self._head = head
            return
        body = bytes(memoryview(self._buffer)[self._start : end])
        del self._buffer[:end]
        self._head = None
        self.deadline = _NEVER
        self._task = self._loop.create_task(self._answer(head, body))

    def _read_head(self) -> Head | None:
        """The head of the next request, once it is here."""
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if not _BEGINS.match(self._buffer):
                raise Refused(400, "this is not HTTP; send plain HTTP/1.1, without TLS", last=True)
            if len(self._buffer) >= MAX_HEAD:
                raise Refused(431, f"the request's head is larger than {MAX_HEAD:,} bytes", last=True)
            return None
        self._start = end + 4
        head = read_head(bytes(memoryview(self._buffer)[: self._start]))
        limit = self._host.ingest.catalogue.max_body
        if head.length > limit:
            raise too_large(limit)
        return head

    async def _answer(self, head: Head, body: bytes) -> None:
        assert head.route is not None
        response = await self._host.ingest.answer(head.route, head.path, head.query, head.headers, body)
        self._task = None
        if self._transport.is_closing():
            return
        if not head.keep_alive:
            self._ending = True
        self._write(response, self._ending)
        if self._writable:
            self._next()
        else:
            self.deadline = self._loop.time() + REQUEST_SECONDS

    def _next(self) -> None:
        """After an answer was written: close, or go on with what has come meanwhile."""
        if self._ending:
            self._transport.close()
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        now = self._loop.time()
        if self._buffer:
            self.deadline = now + REQUEST_SECONDS
            self._advance()
        else:
            self.deadline = now + IDLE_SECONDS

    def _write(self, response: Response, last: bool) -> None:
        lines = [b"HTTP/1.1 %d %b\r\n" % (response.status, phrase(response.status)), self._host.date]
        lines += [b"%b: %b\r\n" % header for header in response.headers]
        lines.append(b"content-length: %d\r\n%b\r\n" % (len(response.body), b"connection: close\r\n" if last else b""))
        lines.append(response.body)
        self._transport.write(b"".join(lines))

    def _refuse(self, refused: Refused) -> None:
        """Answer a request that was not read to its end, and read away what follows of it: a connection closed at once would break
        under the sender before it has read the answer."""
        self._ending = True
        self._write(refused.response(), last=True)
        self._discarded = 0
        self.deadline = self._loop.time() + LINGER_SECONDS
        self._buffer.clear()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > DISCARDED:
            self._transport.abort()


def connections(host: Host, loop: asyncio.AbstractEventLoop) -> Callable[[], Connection]:
    """The factory that a listening socket calls."""
    return lambda: Connection(host, loop)
