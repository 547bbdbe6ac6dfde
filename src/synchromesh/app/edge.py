"""The edge as a process: takes in where the plant is, keeps what it took in a log of its own, and forwards it to the installation's log.

The plant hears "received" when its message is durable here, so it works on when the line to the centre is cut. `edge-log.db` in the data
folder is the log of its own, `edge.sent` says how far it is forwarded; both belong together and to this machine.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.adapters import Adapters, drops
from synchromesh.app.process import Ready, announce, on_signals
from synchromesh.app.room import Room
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.edges.agreement import Edge
from synchromesh.edges.files.drop import FileEdge
from synchromesh.edges.http.server import HttpEdge
from synchromesh.edges.intake import GroupIntake
from synchromesh.engine.forwarder import Forwarder
from synchromesh.log.agreement import Log, LogError
from synchromesh.log.sqlite import SqliteLog
from synchromesh.sqlite.database import publish

PAUSE: Final = 1.0
"""Seconds between two tries while the installation's log can't be reached."""

IDLE: Final = 0.5
KEPT: Final = 100_000
"""Messages that stay here after they are forwarded, so that what is removed is removed many at a time."""


async def run_edge(settings: Settings) -> None:
    """Take in and forward until told to stop. What is not forwarded then is forwarded after the next start."""
    stop = asyncio.Event()
    on_signals(stop)
    folder = settings.synchromesh.data
    own = SqliteLog(folder / "edge-log.db", folder / "edge-archive")
    ending = threading.Event()
    forwarding = asyncio.create_task(asyncio.to_thread(_forward, settings, own, ending))
    forwarding.add_done_callback(lambda _: stop.set())
    try:
        await _take_in(settings, own, stop)
    finally:
        ending.set()
        await forwarding
        own.close()


async def _take_in(settings: Settings, own: Log, stop: asyncio.Event) -> None:
    adapters = Adapters(settings)
    http = HttpEdge(settings.http.host, settings.http.port, catalogue=adapters, settled=_unsettled, problems=list, clock=_now)
    edges: list[Edge] = [http, *(FileEdge(drop, catalogue=adapters, clock=_now) for drop in drops(settings))]
    limits = settings.limits
    intake = GroupIntake(own, max_waiting=limits.waiting_messages, max_waiting_bytes=limits.waiting_bytes)
    started: list[Edge] = []
    try:
        for edge in edges:
            await edge.start(intake)
            started.append(edge)
        announce(Ready("edge", f"http://{http.host}:{http.port}"))
        await stop.wait()
    finally:
        for edge in reversed(started):
            await edge.stop()
        await intake.stop()


def _now() -> datetime:
    return datetime.now(UTC)


async def _unsettled(plant: str, position: int, seconds: float) -> Mapping[str, object] | None:
    """What becomes of a fact is known at the centre: a caller that waits hears at once that it is open."""
    return None


# --- forwarding --------------------------------------------------------------------------------------------------------------------


def _forward(settings: Settings, own: SqliteLog, ending: threading.Event) -> None:
    """Forward until `ending`, whatever the line does: also what the centre refuses just now is kept here and tried again."""
    room = Room()
    while not ending.is_set():
        try:
            to = Stores(settings).log()
        except LogError as error:
            room.gone(error)
            ending.wait(PAUSE)
            continue
        try:
            _keep_forwarding(own, to, settings.synchromesh.data, room, ending)
        finally:
            with suppress(LogError):
                to.close()


def _keep_forwarding(own: SqliteLog, to: Log, folder: Path, room: Room, ending: threading.Event) -> None:
    file = folder / "edge.sent"
    forwarder = Forwarder(own, to, _sent(file, own), lambda sent: _remember(file, sent))
    while not ending.is_set():
        try:
            forwarded = forwarder.step()
        except LogError as error:
            room.gone(error)
            ending.wait(PAUSE)
            continue
        room.there()
        if forwarded:
            _clear(own, forwarder.sent, folder)
        else:
            forwarder.wait(IDLE)


def _sent(file: Path, own: SqliteLog) -> dict[str, int]:
    """How far each partition is forwarded. Without the file all that is still here is forwarded again, and told apart by its identity."""
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
    return {partition: max(known.get(partition, 0), own.trimmed(partition)) for partition in own.head()}


def _remember(file: Path, sent: Mapping[str, int]) -> None:
    provisional = file.with_name(file.name + ".new")
    provisional.write_bytes(msgspec.json.encode(sent))
    publish(provisional, file)


def _clear(own: SqliteLog, sent: Mapping[str, int], folder: Path) -> None:
    """Remove what is forwarded, many messages at a time: the installation's log and archive have it."""
    for partition, position in sent.items():
        if position - own.trimmed(partition) >= 2 * KEPT:
            own.trim(partition, position - KEPT)
            shutil.rmtree(folder / "edge-archive", ignore_errors=True)
