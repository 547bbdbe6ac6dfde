"""The adapters of an installation: what edges must know of them, and what the plants shall decide by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec

from synchromesh.app.settings import Plant, Settings
from synchromesh.edges.catalogue import IdentityError
from synchromesh.edges.files.folder import Drop
from synchromesh.engine.activation import Deciding
from synchromesh.mapping.adapter import Adapter, load_adapter
from synchromesh.mapping.refusal import MappingRefused
from synchromesh.model.message import ENTERPRISE
from synchromesh.plant.policy import Policy


class Adapters:
    """A `Catalogue` over the settings' adapters. Raises `ManifestError` for a folder that holds none, `ValueError` for two of a name."""

    def __init__(self, settings: Settings) -> None:
        self._max_body = settings.http.max_body
        self._by_plant: dict[str, dict[str, Adapter]] = {ENTERPRISE: {}}
        self._by_interface: dict[str, Adapter] = {}
        for plant in settings.plants:
            self._by_plant[plant.id] = {}
            for folder in plant.adapters:
                adapter = load_adapter(folder)
                known = self._by_interface.setdefault(adapter.interface, adapter)
                if known.digest != adapter.digest:
                    raise ValueError(f"{folder}: another adapter is called {adapter.interface} too; give one of them a version of its own")
                self._by_plant[plant.id][adapter.interface] = adapter

    @property
    def plants(self) -> Collection[str]:
        return self._by_plant.keys()

    @property
    def max_body(self) -> int:
        return self._max_body

    def accepts(self, plant: str, interface: str) -> bool:
        return interface in self._by_plant.get(plant, {})

    def source(self, interface: str) -> str:
        return self._by_interface[interface].source

    def identity(self, interface: str, payload: Mapping[str, object]) -> tuple[str, str]:
        adapter = self._by_interface[interface]
        try:
            return adapter.source, adapter.identity(payload)
        except MappingRefused as error:
            raise IdentityError(error.sentence) from error

    def of(self, plant: Plant) -> Iterator[Deciding]:
        """The adapters that shall decide at a plant."""
        for interface, adapter in self._by_plant[plant.id].items():
            yield Deciding(plant.id, "adapter", interface, adapter.content())


def drops(settings: Settings) -> Iterator[Drop]:
    """The drop folders of all plants."""
    for plant in settings.plants:
        for files in plant.files:
            yield Drop(files.folder, plant.id, files.interface, files.delimiter, files.encoding)


def deciding(settings: Settings, adapters: Adapters, differences: Mapping[str, bool], series: Mapping[str, str]) -> Iterator[Deciding]:
    """Everything that shall decide in this installation; `differences` says which business systems book them, `series` what the keys of
    each plant's postings carry."""
    systems = {plant.id: plant.erp for plant in settings.plants}
    yield Deciding(ENTERPRISE, "plants", ENTERPRISE, msgspec.json.encode(systems).decode())
    for plant in settings.plants:
        policy: Policy = msgspec.structs.replace(plant.policy, differences=differences[plant.erp], series=series[plant.id])
        yield Deciding(plant.id, "policy", plant.id, msgspec.json.encode(policy).decode())
        yield from adapters.of(plant)
