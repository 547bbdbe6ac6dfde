"""The dispatcher as a process: one dispatcher and one puller for each business system, on one event loop."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from synchromesh.app.plugins import connector_of
from synchromesh.app.presence import showing
from synchromesh.app.process import Ready, announce, on_signals
from synchromesh.app.reconciling import keep_reconciling, reconciler_of
from synchromesh.app.room import Room
from synchromesh.app.settings import Erp, Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.agreement import ConnectorError
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.presence import Presence
from synchromesh.engine.puller import Puller
from synchromesh.log.agreement import LogFull
from synchromesh.observe.lines import emit
from synchromesh.observe.names import PULL_BACK, PULL_FAILED, SENDER_FENCED
from synchromesh.state.agreement import Fenced, Outbox, StateFull

GRACE: Final = 10.0
"""Seconds that a stop waits for answers on their way."""

PULL: Final = 5.0
"""Seconds between two pulls when nothing changes."""

IDLE: Final = 0.5
PAUSE: Final = 1.0


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
    failed += await asyncio.gather(*(part.close() for part in parts), return_exceptions=True)
    for error in failed:
        if isinstance(error, BaseException):
            raise error


class _System:
    """Everything about one business system in this process."""

    def __init__(self, settings: Settings, name: str, erp: Erp) -> None:
        self._name = name
        stores = Stores(settings)
        self._log = stores.log()
        self._outbox = stores.outbox()
        self._reading = stores.reading()
        self._connector = connector_of(erp)
        loop = asyncio.get_running_loop()
        self._presence = Presence(name, loop.time, showing(settings.synchromesh.data, name))
        self._claimant = f"dispatcher-{os.getpid()}-{int(datetime.now(UTC).timestamp() * 1000)}"
        self._dispatcher = Dispatcher(
            name,
            self._connector,
            self._outbox,
            self._log,
            self._claimant,
            clock=loop.time,
            now=lambda: datetime.now(UTC),
            jitter=random.random,
            presence=self._presence,
            limits=erp.limits,
            retry=erp.retry,
        )
        self._desk = reconciler_of(settings, self._reading, self._log)
        self._scheduled = [plant for plant in settings.plants if plant.erp == name and (plant.reconcile.every_hours or plant.reconcile.at)]
        plants = [plant.id for plant in settings.plants if plant.erp == name]
        self._puller = Puller(name, self._connector, self._log, self._reading, plants, now=lambda: datetime.now(UTC))

    def start(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        parts = [self._dispatch(stop), self._watch(stop), self._pull(stop)]
        if self._scheduled:
            parts.append(keep_reconciling(self._desk, self._scheduled, stop))
        return [asyncio.create_task(part) for part in parts]

    async def close(self) -> None:
        """Finish what is on its way; what the log has no room for now is in doubt, and asked about at the next start."""
        try:
            await self._dispatcher.stop(GRACE)
        except (LogFull, StateFull) as error:
            Room().gone(error)
        await self._connector.close()
        self._outbox.close()
        self._reading.close()
        self._log.close()

    async def _dispatch(self, stop: asyncio.Event) -> None:
        """Step whenever there is news, an answer, or something due."""
        news = self._dispatcher.news
        room = Room()
        while not stop.is_set():
            news.clear()
            pause = IDLE
            try:
                due = await self._dispatcher.step(patience=None)
                room.there()
                pause = IDLE if due is None else min(IDLE, due)
            except (LogFull, StateFull) as error:
                room.gone(error)
                await _until(stop, PAUSE)
            except Fenced:
                emit(SENDER_FENCED, system=self._name, owner=self._claimant)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await news.wait()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Look for new work in a thread, so that the loop is free for answers."""
        while not stop.is_set():
            if await asyncio.to_thread(_wait, self._outbox):
                self._dispatcher.news.set()

    async def _pull(self, stop: asyncio.Event) -> None:
        """Pull until told to stop, which waits for no answer: what was pulled is appended whole or pulled again."""
        pulling = asyncio.create_task(self._keep_pulling())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([pulling, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        pulling.cancel()
        with suppress(asyncio.CancelledError):
            await pulling

    async def _keep_pulling(self) -> None:
        """Pull again and again. What can't be pulled twice in a row is said once and tried on: sending goes on, whatever is wrong with
        reading."""
        trouble = Trouble(self._name, self._presence)
        while True:
            try:
                again = await self._puller.step()
            except Exception as error:  # noqa: BLE001 (also a defect of a connector in reading must not end the sending)
                again = 0
                trouble.failed(error)
            else:
                trouble.over()
            if not again:
                await asyncio.sleep(PULL)


class Trouble:
    """What can't be read from one business system, and whether that is because it does not answer at all. One failure may pass."""

    def __init__(self, system: str, presence: Presence) -> None:
        self._system = system
        self._presence = presence
        self._failures = 0
        self._since = 0.0
        self._sends = 0
        self._said = False

    def failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            self._since, self._sends = time.monotonic(), self._presence.sends
        elif isinstance(error, ConnectorError) and self._presence.sends == self._sends:
            self._presence.read(False, str(error))
        elif not self._said:
            self._said = True
            emit(PULL_FAILED, system=self._system, error=f"{type(error).__name__}: {error}")

    def over(self) -> None:
        if self._said:
            emit(PULL_BACK, system=self._system, seconds=round(time.monotonic() - self._since, 1))
        self._failures, self._said = 0, False
        self._presence.read(True)


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _wait(outbox: Outbox) -> bool:
    return outbox.wait(IDLE)
