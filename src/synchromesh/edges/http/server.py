"""The HTTP edge as a server: listens, sweeps connections whose time is over, stops gracefully."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from uvicorn.server import ServerState

from synchromesh.edges.agreement import Intake
from synchromesh.edges.catalogue import Catalogue
from synchromesh.edges.http.app import ASGIApp, create_app
from synchromesh.edges.http.connection import Connection, connections
from synchromesh.edges.http.general import Bounded, configured
from synchromesh.edges.http.ingest import Ingest, Settled

MAX_CONNECTIONS: Final = 2_000
GRACE_SECONDS: Final = 10.0
"""How long a stop waits for answers that are under way."""

_BACKLOG: Final = 1_024
_SWEEP_SECONDS: Final = 1.0


class HttpEdge:
    """An `Edge`: serves the routes of `app`, and `other` beside them, on one address.

    `settled` is asked by callers that wait, `problems` by the health route; `clock` gives aware times. Port 0 takes any
    free port; `port` says which, once started. `other` hears the lifespan as under any ASGI server.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        catalogue: Catalogue,
        settled: Settled,
        problems: Callable[[], Sequence[str]],
        clock: Callable[[], datetime],
        other: ASGIApp | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.date = b""
        self.ingest: Ingest
        self._catalogue = catalogue
        self._settled = settled
        self._problems = problems
        self._clock = clock
        self._other = other
        self._plain: set[Connection] = set()
        self._general = ServerState()
        self._stopping = False
        self._changed = asyncio.Event()

    async def start(self, intake: Intake) -> None:
        """Listen. Raises `OSError` naming the address and what to do when it can't be had."""
        self._loop = asyncio.get_running_loop()
        self.ingest = Ingest(intake, self._catalogue, self._settled, self._clock)
        self._config = configured(create_app(self.ingest, self._problems, self._other))
        self._lifespan = self._config.lifespan_class(self._config)
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise OSError("an application mounted beside the HTTP edge failed to start; its log says why")
        try:
            self._server = await self._loop.create_server(connections(self, self._loop), self.host, self.port, backlog=_BACKLOG)
        except OSError as error:
            await self._lifespan.shutdown()
            raise _explained(error, self.host, self.port) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweep()

    async def stop(self) -> None:
        """Listen no more, finish what is being answered within the grace, close every connection."""
        self._stopping = True
        self._server.close()
        self._sweeping.cancel()
        for connection in list(self._plain):
            connection.stop()
        for protocol in list(self._general.connections):
            protocol.shutdown()
        await self._emptied(self._loop.time() + GRACE_SECONDS)
        for connection in list(self._plain):
            connection.abort()
        for protocol in list(self._general.connections):
            protocol.transport.abort()
        await self._lifespan.shutdown()

    # --- for connections ---------------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> bool:
        """See `Host.opened`; one too many is kept as well until it has read its refusal."""
        self._plain.add(connection)
        return not self._stopping and len(self._plain) + len(self._general.connections) <= MAX_CONNECTIONS

    def closed(self, connection: Connection) -> None:
        """See `Host.closed`."""
        self._plain.discard(connection)
        self._changed.set()

    def hand_over(self, connection: Connection, transport: asyncio.Transport, data: bytes) -> None:
        """See `Host.hand_over`."""
        protocol = Bounded(self._config, self._general, self._loop, self._catalogue.max_body, self._changed.set)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._plain.discard(connection)
        protocol.data_received(data)
        if self._stopping:
            protocol.shutdown()

    # --- own ----------------------------------------------------------------------------------------------------------------

    async def _emptied(self, until: float) -> None:
        """Wait until no connection is left, or the time is over."""
        while self._plain or self._general.connections:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), until - self._loop.time())
            except TimeoutError:
                return

    def _sweep(self) -> None:
        """Once a second: close whose time is over, and tell the date to come. One timer for all is what a timer for each would cost."""
        self.date = b"date: %b\r\n" % format_datetime(self._clock(), usegmt=True).encode()
        now = self._loop.time()
        for connection in [connection for connection in self._plain if connection.deadline < now]:
            connection.expire()
        for protocol in list(self._general.connections):
            if isinstance(protocol, Bounded) and protocol.deadline < now:
                protocol.expire()
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)


def _explained(error: OSError, host: str, port: int) -> OSError:
    """The same error with words that help."""
    if error.errno == errno.EADDRINUSE:
        words = f"port {port} on {host} is in use; stop the program that listens there, or set another port"
    elif error.errno == errno.EACCES:
        words = f"port {port} on {host} may not be used by this user; set a port above 1023"
    else:
        words = f"can't listen on {host} port {port}: {error.strerror or error}; set an address of this machine, such as 127.0.0.1"
    return OSError(error.errno, words)
