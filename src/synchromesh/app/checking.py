"""What `synchromesh check` finds beyond the file itself: adapters that can't be read, drop folders without a reader, connectors that
refuse their settings or don't answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app import plugins
from synchromesh.app.settings import Erp, Plant, Settings
from synchromesh.app.stores import Stores
from synchromesh.connectors.agreement import Connector, ConnectorError
from synchromesh.engine.earlier import WHAT_TO_DO, begun_earlier
from synchromesh.mapping.adapter import load_adapter
from synchromesh.mapping.refusal import ManifestError
from synchromesh.state.agreement import StateError

REACH_SECONDS: Final = 10.0
"""How long a business system may take to answer."""


class Looked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at. `problem` is '' when it is well; `unreached` tells that it did not answer at all."""

    subject: str
    problem: str = ""
    unreached: bool = False


def look(settings: Settings, *, reach: bool) -> Iterator[Looked]:
    """Look at everything that the settings name. With `reach` each business system is asked a question that changes nothing there."""
    for plant in settings.plants:
        yield from _plant(plant)
    yield from _state(settings)
    for name, erp in settings.erps.items():
        yield asyncio.run(_system(f"erp {name}", erp, reach=reach))


def _plant(plant: Plant) -> Iterator[Looked]:
    interfaces = []
    for folder in plant.adapters:
        interface, looked = _adapter(plant, folder)
        interfaces.append(interface)
        yield looked
    for files in plant.files:
        known = ", ".join(filter(None, interfaces)) or "none"
        problem = f"no adapter of the plant reads {files.interface!r}; it has {known}" if files.interface not in interfaces else ""
        yield Looked(f"plant {plant.id}, folder {files.folder}", problem)


def _state(settings: Settings) -> Iterator[Looked]:
    """The state, where the installation has worked before."""
    stores = Stores(settings)
    if not stores.made:
        return
    try:
        with closing(stores.reading()) as reading:
            earlier = list(begun_earlier(reading))
    except StateError as error:
        yield Looked("state", str(error), unreached=True)
        return
    yield from (Looked(f"state of {partition}", WHAT_TO_DO) for partition in earlier)


def _adapter(plant: Plant, folder: Path) -> tuple[str, Looked]:
    subject = f"plant {plant.id}, adapter {folder}"
    try:
        return load_adapter(folder).interface, Looked(subject)
    except ManifestError as error:
        return "", Looked(subject, str(error))


async def _system(subject: str, erp: Erp, *, reach: bool) -> Looked:
    try:
        connector = plugins.connector_factory(erp.connector)(erp.settings)
    except ValueError as error:
        return Looked(subject, str(error))
    try:
        return await _asked(subject, connector) if reach else Looked(subject)
    finally:
        await connector.close()


async def _asked(subject: str, connector: Connector) -> Looked:
    try:
        async with asyncio.timeout(REACH_SECONDS):
            await connector.find("synchromesh-check")
    except ConnectorError as error:
        return Looked(subject, str(error), unreached=True)
    except TimeoutError:
        return Looked(subject, f"it did not answer within {REACH_SECONDS:g} s", unreached=True)
    return Looked(subject)
