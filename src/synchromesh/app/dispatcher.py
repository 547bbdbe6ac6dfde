"""The dispatcher as a process: one dispatcher and one puller for each business system, on one event loop."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import Final

from synchromesh.app.owners import owner
from synchromesh.app.placing import DEFAULT
from synchromesh.app.plugins import connector_of
from synchromesh.app.process import Ready, announcing, on_signals, run_loop
from synchromesh.app.reconciling import keep_reconciling, reconciler_of
from synchromesh.app.room import LATER, Room
from synchromesh.app.settings import Erp, Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.agreement import ConnectorError
from synchromesh.engine.activation import copied_through
from synchromesh.engine.dispatcher import Dispatcher
from synchromesh.engine.presence import Presence
from synchromesh.engine.puller import Puller
from synchromesh.observe.lines import emit
from synchromesh.observe.names import PULL_BACK, PULL_FAILED, SENDER_FENCED, SHARE
from synchromesh.state.agreement import ATTEND_SECONDS, Fenced, Outbox

GRACE: Final = 10.0
"""Seconds that a stop waits for answers on their way."""

PULL: Final = 5.0
"""Seconds between two pulls when nothing changes."""

IDLE: Final = 0.5
PAUSE: Final = 1.0


async def run_dispatcher(settings: Settings) -> None:
    """Send, ask and pull for its share of the business systems until told to stop, and give it back."""
    stop = asyncio.Event()
    on_signals(stop)
    stores, claimant = Stores(settings), owner("dispatcher")
    ready = announcing(Ready("dispatcher"))
    if stores.placing.whole:
        await _keep_part(settings, stores, DEFAULT, claimant, stop, ready)
        return
    loop, ended = asyncio.get_running_loop(), threading.Event()
    with ThreadPoolExecutor(len(stores.placing.parts)) as threads:
        parts = [
            loop.run_in_executor(threads, run_loop, _keep_apart(settings, stores, part, claimant, ended, ready))
            for part in stores.placing.parts
        ]
        stopping = asyncio.create_task(_tell(stop, ended))
        found = await asyncio.gather(*parts, return_exceptions=True)
        stopping.cancel()
    for error in found:
        if isinstance(error, BaseException):
            raise error


async def _tell(stop: asyncio.Event, ended: threading.Event) -> None:
    await stop.wait()
    ended.set()


async def _keep_apart(
    settings: Settings, stores: Stores, part: str, claimant: str, ended: threading.Event, ready: Callable[[], None]
) -> None:
    """Send what lies in one of several databases from when it can be opened, on a loop of its own: one which does not answer holds up none
    of the others."""
    stop = asyncio.Event()
    ending = asyncio.create_task(_pass_on(ended, stop))
    room = Room()

    def there() -> None:
        room.there()
        ready()

    try:
        while not stop.is_set():
            try:
                await _keep_part(settings, stores, part, claimant, stop, there)
            except LATER as error:
                room.gone(error)
                await _until(stop, PAUSE)
            else:
                return
    finally:
        ended.set()
        await ending


async def _pass_on(ended: threading.Event, stop: asyncio.Event) -> None:
    await asyncio.to_thread(ended.wait)
    stop.set()


async def _keep_part(settings: Settings, stores: Stores, part: str, claimant: str, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    outbox = await asyncio.to_thread(stores.outbox, part)
    try:
        await _Share(settings, stores.placing.systems(part), outbox, claimant).keep(stop, ready)
    finally:
        outbox.close()


class _Share:
    """The business systems that this process sends to: they come and go with the processes beside it."""

    def __init__(self, settings: Settings, systems: Collection[str], outbox: Outbox, claimant: str) -> None:
        self._settings = settings
        self._systems = sorted(systems)
        self._outbox = outbox
        self._claimant = claimant
        self._running: dict[str, _Running] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        """What is lost and waits for answers that are on their way. It begins anew only when that has ended."""
        self._known = False
        """Whether it has attended before: what it has first is no change."""

    async def keep(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Attend until `stop`; `ready` is called from the first time on. Raises what ends one of the systems by a defect, when all of them
        have ended."""
        room = Room()
        try:
            while not stop.is_set():
                try:
                    await self._attend()
                except Fenced:
                    for name in self._running:
                        emit(SENDER_FENCED, system=name, owner=self._claimant)
                    return
                except LATER as error:
                    room.gone(error)
                else:
                    room.there()
                    ready()
                await _until(stop, ATTEND_SECONDS)
        finally:
            await self._end_all()
        with suppress(*LATER):
            self._outbox.leave(self._claimant)

    async def _attend(self) -> None:
        """Begin with what is gained, and let end what is lost or has ended, while attending goes on. Raises what ended one by a defect."""
        mine = await asyncio.to_thread(self._outbox.attend, self._claimant, self._systems)
        ended = [name for name, running in self._running.items() if running.ended]
        lost = [name for name in self._running if name not in mine]
        self._end({*ended, *lost})
        for name in [name for name, task in self._ending.items() if task.done()]:
            self._ending.pop(name).result()
        gained = mine - self._running.keys() - self._ending.keys()
        for name in sorted(gained):
            self._running[name] = _Running(self._settings, name, self._claimant)
        if self._known and (gained or lost):
            emit(SHARE, owner=self._claimant, names=" ".join(sorted(self._running)))
        self._known = True

    def _end(self, names: Collection[str]) -> None:
        for name in names:
            self._ending[name] = asyncio.create_task(self._running.pop(name).end())

    async def _end_all(self) -> None:
        self._end(list(self._running))
        for error in await asyncio.gather(*self._ending.values(), return_exceptions=True):
            if isinstance(error, BaseException):
                raise error


class _Running:
    """One business system at work, until it is ended or a task of it has ended."""

    def __init__(self, settings: Settings, name: str, claimant: str) -> None:
        self._stop = asyncio.Event()
        self._system = _System(settings, name, settings.erps[name], claimant)
        self._tasks = self._system.start(self._stop)

    @property
    def ended(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def end(self) -> None:
        """Finish what is on its way. Raises what ended a task before."""
        self._stop.set()
        failed = await asyncio.gather(*self._tasks, return_exceptions=True)
        failed += await asyncio.gather(self._system.close(), return_exceptions=True)
        for error in failed:
            if isinstance(error, BaseException):
                raise error


class _System:
    """Everything about one business system in this process."""

    def __init__(self, settings: Settings, name: str, erp: Erp, claimant: str) -> None:
        self._name = name
        stores = Stores(settings)
        self._log = stores.log()
        self._outbox = stores.outbox(stores.placing.of_system(name))
        self._reading = stores.reading()
        self._connector = connector_of(erp)
        loop = asyncio.get_running_loop()
        self._presence = Presence(name, loop.time, self._show)
        self._show("")
        self._claimant = claimant
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
            copied=cache(partial(copied_through, self._reading)),
        )
        self._desk = reconciler_of(settings, self._reading, self._log)
        self._scheduled = [plant for plant in settings.plants if plant.erp == name and (plant.reconcile.every_hours or plant.reconcile.at)]
        plants = [plant.id for plant in settings.plants if plant.erp == name]
        self._puller = Puller(name, self._connector, self._log, self._reading, plants, now=lambda: datetime.now(UTC))

    def _show(self, trouble: str) -> None:
        """Tell who asks why the system does not answer. What can't be told now only shows it as answering."""
        with suppress(*LATER):
            self._outbox.tell(self._name, trouble)

    def start(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        parts = [self._dispatch(stop), self._watch(stop), self._pull(stop)]
        if self._scheduled:
            parts.append(keep_reconciling(self._desk, self._scheduled, stop))
        return [asyncio.create_task(part) for part in parts]

    async def close(self) -> None:
        """Finish what is on its way; what the log has no room for now is in doubt, and asked about at the next start."""
        try:
            await self._dispatcher.stop(GRACE)
        except LATER as error:
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
            except LATER as error:
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
            try:
                news = await asyncio.to_thread(_wait, self._outbox)
            except LATER:  # the step that it wakes says so
                news = True
                await _until(stop, PAUSE)
            if news:
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
