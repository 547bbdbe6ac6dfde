"""The dispatcher as a process: one dispatcher and one puller for each business system, on one event loop."""

from __future__ import annotations

import asyncio
import os
import random
from datetime import UTC, datetime
from typing import Final

from synchromesh.app import plugins
from synchromesh.app.presence import Presence
from synchromesh.app.process import Ready, announce, on_signals
from synchromesh.app.settings import Erp, Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.agreement import Connector, ConnectorError
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.puller import Puller
from synchromesh.log.agreement import LogFull
from synchromesh.observe.lines import emit
from synchromesh.observe.names import STORE_FULL
from synchromesh.state.agreement import Outbox, StateFull

GRACE: Final = 10.0
"""Seconds that a stop waits for answers on their way."""

PULL: Final = 5.0
"""Seconds between two pulls when nothing changes."""

IDLE: Final = 0.5
PAUSE: Final = 1.0


def connector_of(erp: Erp) -> Connector:
    """The connector of one business system. Raises `ValueError` naming a wrong key, `NotInstalled`."""
    return plugins.connector_factory(erp.connector)(erp.settings)


async def run_dispatcher(settings: Settings) -> None:
    """Send, ask and pull until told to stop."""
    stop = asyncio.Event()
    on_signals(stop)
    parts = [_System(settings, name, erp) for name, erp in settings.erps.items()]
    tasks = [task for part in parts for task in part.start(stop)]
    announce(Ready("dispatcher"))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    for part in parts:
        await part.close()
    for error in failed:
        if isinstance(error, BaseException):
            raise error


class _System:
    """Everything about one business system in this process."""

    def __init__(self, settings: Settings, name: str, erp: Erp) -> None:
        stores = Stores(settings)
        self._log = stores.log()
        self._outbox = stores.outbox()
        self._reading = stores.reading()
        self._connector = connector_of(erp)
        loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(
            name,
            self._connector,
            self._outbox,
            self._log,
            f"dispatcher-{os.getpid()}-{int(datetime.now(UTC).timestamp() * 1000)}",
            clock=loop.time,
            now=lambda: datetime.now(UTC),
            jitter=random.random,
        )
        self._presence = Presence(settings.synchromesh.data, name, loop.time)
        plants = [plant.id for plant in settings.plants if plant.erp == name]
        self._puller = Puller(name, self._connector, self._log, self._reading, plants, now=lambda: datetime.now(UTC))

    def start(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._dispatch(stop)), asyncio.create_task(self._watch(stop)), asyncio.create_task(self._pull(stop))]

    async def close(self) -> None:
        await self._dispatcher.stop(GRACE)
        await self._connector.close()
        self._outbox.close()
        self._reading.close()
        self._log.close()

    async def _dispatch(self, stop: asyncio.Event) -> None:
        """Step whenever there is news, an answer, or something due."""
        news = self._dispatcher.news
        while not stop.is_set():
            news.clear()
            try:
                due = await self._dispatcher.step(patience=None)
            except (LogFull, StateFull) as error:
                emit(STORE_FULL, error=str(error))
                due = PAUSE
            try:
                async with asyncio.timeout(IDLE if due is None else min(IDLE, due)):
                    await news.wait()
            except TimeoutError:
                continue

    async def _watch(self, stop: asyncio.Event) -> None:
        """Look for new work in a thread, so that the loop is free for answers."""
        while not stop.is_set():
            if await asyncio.to_thread(_wait, self._outbox):
                self._dispatcher.news.set()

    async def _pull(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                again = await self._puller.step()
                self._presence.answered()
            except ConnectorError as error:
                again = 0  # what changed there is pulled when it is back
                self._presence.silent(str(error))
            except LogFull:
                again = 0
            if not again:
                try:
                    await asyncio.wait_for(stop.wait(), PULL)
                except TimeoutError:
                    continue


def _wait(outbox: Outbox) -> bool:
    return outbox.wait(IDLE)
