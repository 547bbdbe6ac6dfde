"""The gateway as a process: HTTP and file edges in front of one intake, and the page beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.routing import BaseRoute

from synchromesh.app.adapters import Adapters, drops
from synchromesh.app.asking import inquiry_of
from synchromesh.app.desk import desk_of
from synchromesh.app.jobs import LongWorks
from synchromesh.app.plugins import connector_of
from synchromesh.app.process import Ready, announce, on_signals
from synchromesh.app.reconciling import reconciler_of
from synchromesh.app.room import LATER
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.console.exceptions import exception_routes
from synchromesh.console.page import create_page
from synchromesh.console.reconcile import reconciliation_routes
from synchromesh.console.replay import replay_routes
from synchromesh.edges.agreement import Edge
from synchromesh.edges.files.drop import FileEdge
from synchromesh.edges.http.server import HttpEdge
from synchromesh.edges.intake import GroupIntake
from synchromesh.edges.pace import Pace
from synchromesh.engine.earlier import WHAT_TO_DO, begun_earlier
from synchromesh.engine.views import SystemView
from synchromesh.engine.why import Asking
from synchromesh.log.agreement import LogError
from synchromesh.observe.lines import emit
from synchromesh.observe.names import STATE_EARLIER
from synchromesh.plant.fates import Fate
from synchromesh.state.agreement import StateError

OPEN: Final = frozenset({Fate.GATHERED, Fate.BOOKING, Fate.WAITING})
"""Fates that may still change by themselves: a caller that waits waits on."""

LOOK: Final = 0.005
"""Seconds between two looks for a caller that waits."""


NOT_READY: Final = 10.0
"""Seconds after a failed append in which the gateway is not ready; then it may be tried again."""


def now() -> datetime:
    return datetime.now(UTC)


class Gateway:
    """Everything that takes messages in and answers questions, on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        stores = Stores(settings)
        self._log = stores.log()
        self._reading = stores.reading()
        self._adapters = Adapters(settings)
        self._grades = {name: connector_of(erp).abilities.grade for name, erp in settings.erps.items()}
        self._intake: GroupIntake | None = None
        self._works = LongWorks(settings, self._reading)
        self.inquiry = inquiry_of(settings, self._reading, self._log, self._systems)
        self._http = HttpEdge(
            settings.http.host,
            settings.http.port,
            catalogue=self._adapters,
            settled=self._settled,
            problems=self._problems,
            clock=now,
            other=create_page(self.inquiry, self._themes()),
        )
        self._edges: list[Edge] = [self._http]
        self._edges += [FileEdge(drop, catalogue=self._adapters, clock=now) for drop in drops(settings)]

    def _themes(self) -> list[BaseRoute]:
        """The routes beside the page's own."""
        settings, reading, log = self._settings, self._reading, self._log
        desk = desk_of(settings, reading, log)
        return [
            *exception_routes(desk, self.inquiry.held_up_by),
            *reconciliation_routes(reconciler_of(settings, reading, log), desk),
            *replay_routes(self._works, Asking([plant.id for plant in settings.plants], reading, self._systems).why),
        ]

    def _systems(self) -> tuple[SystemView, ...]:
        silent = self._reading.troubles()
        return tuple(SystemView(name, grade, self._reading.waiting(name), name not in silent) for name, grade in self._grades.items())

    def _problems(self) -> list[str]:
        """Why nothing can be accepted: the last append failed, just now."""
        recent = self._intake is not None and self._intake.failed_within(NOT_READY)
        return [recent] if recent else []

    @property
    def address(self) -> str:
        return f"http://{self._http.host}:{self._http.port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Take in until `stop`; then finish what was accepted. Raises `OSError` when an address or a folder can't be used."""
        limits = self._settings.limits
        pace = Pace(self._progress, time.monotonic)
        waiting, size = limits.waiting_messages, limits.waiting_bytes
        intake = self._intake = GroupIntake(self._log, max_waiting=waiting, max_waiting_bytes=size, pace=pace)
        started: list[Edge] = []
        try:
            for edge in self._edges:
                await edge.start(intake)
                started.append(edge)
            announce(Ready("gateway", self.address))
            with suppress(*LATER):  # a database that is away hinders no taking in
                for partition in begun_earlier(self._reading):
                    emit(STATE_EARLIER, partition=partition, action=WHAT_TO_DO)
            await stop.wait()
        finally:
            for edge in reversed(started):
                await edge.stop()
            await intake.stop()
            self._works.stop()
            self._reading.close()
            self._log.close()

    def _progress(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Through where each partition is stored, and through where it is folded. What can't be told slows nobody down."""
        try:
            return self._log.head(), self._reading.positions()
        except (LogError, StateError):
            return {}, {}

    async def _settled(self, plant: str, position: int, seconds: float) -> Mapping[str, object] | None:
        """The synchronous call: look until the fact's fate is one that stays."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    story = self.inquiry.story(plant, position)
                    if story is not None and story.fact.fate not in OPEN:
                        fact: dict[str, object] = msgspec.to_builtins(story.fact)
                        return fact
                    await asyncio.sleep(LOOK)
        return None


async def run_gateway(settings: Settings) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    on_signals(stop)
    await Gateway(settings).run(stop)
