"""How long a plant stands still when the worker that has it is killed, or is told to end."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.chaos.engines import engine
from tests.chaos.fleet import Fleet, Member

from synchromesh.app.reading import read_settings
from synchromesh.app.roles import prepare
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.model.message import NATIVE, Message

PLANTS = [f"plant-{number}" for number in range(1, 5)]
HEAD = '[synchromesh]\ndata = "{data}"\n[http]\nport = 0\n[erp.main]\nconnector = "sandbox"\nurl = "http://127.0.0.1:9"\n'
PLANT = '[[plant]]\nid = "{name}"\nzone = "UTC"\nerp = "main"\n'
PATIENCE = 30.0


@asynccontextmanager
async def workers(folder: Path) -> AsyncIterator[tuple[Fleet, Settings]]:
    """Two workers that share four plants, and nobody else."""
    with ExitStack() as stack:
        made = engine("postgres", "postgres", folder, stack)
        await made.start()
        fleet = Fleet(folder, {"worker": 2}, {})
        tables = made.config() + "".join(PLANT.format(name=name) for name in PLANTS)
        for config, data in [(folder / "all.toml", "data"), *((member.config, f"data/{member.name}") for member in fleet.members)]:
            config.write_text(HEAD.format(data=data) + tables, "utf-8")
        settings = read_settings(folder / "all.toml")
        await asyncio.to_thread(prepare, settings)
        await fleet.start()
        try:
            yield fleet, settings
        finally:
            await fleet.end()


def tell_all(stores: Stores, id: str) -> dict[str, int]:
    """Tell each plant something; where it stands in the log."""
    log, now = stores.log(), datetime.now(UTC)
    try:
        body = b'{"type":"production.order.started","order":"4711"}'
        return dict(zip(PLANTS, log.append([Message(plant, "mes", id, NATIVE, now, body, occurred=now) for plant in PLANTS]), strict=True))
    finally:
        log.close()


def until_folded(stores: Stores, wanted: dict[str, int]) -> float:
    """When the state had come so far."""
    reading, end = stores.reading(), time.monotonic() + PATIENCE
    try:
        while any(reading.positions().get(plant, 0) < position for plant, position in wanted.items()):
            assert time.monotonic() < end, f"{wanted} is not reached: {reading.positions()}"
        return time.monotonic()
    finally:
        reading.close()


async def taken_over(fleet: Fleet, settings: Settings, gone: Member, how: signal.Signals) -> float:
    """Seconds from the signal until everything is folded that was told of all plants right after it."""
    stores = Stores(settings)
    began = time.monotonic()
    gone.signal(how)
    wanted = await asyncio.to_thread(tell_all, stores, f"after {how}")
    return await asyncio.to_thread(until_folded, stores, wanted) - began


async def shared(fleet: Fleet, settings: Settings) -> None:
    """Both workers have a share, and have folded what there was."""
    stores = Stores(settings)
    await asyncio.to_thread(lambda: until_folded(stores, tell_all(stores, "before")))
    end = time.monotonic() + PATIENCE
    while not all(re.search(r'"names": "[^"]', member.log.read_text("utf-8")) for member in fleet.members):
        assert time.monotonic() < end, [member.log.read_text("utf-8") for member in fleet.members]
        await asyncio.sleep(0)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "longest"), [(signal.SIGKILL, 5.0), (signal.SIGTERM, 1.0)])
async def test_another_worker_goes_on_soon(tmp_path: Path, how: signal.Signals, longest: float) -> None:
    async with workers(tmp_path) as (fleet, settings):
        await shared(fleet, settings)
        seconds = await taken_over(fleet, settings, fleet.members[0], how)
        assert seconds < longest
