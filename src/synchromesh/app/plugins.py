"""Logs, states and connectors by name, as installed packages declare them by entry point. Nothing is imported until it is asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from synchromesh.app.faults import nearest
from synchromesh.app.settings import Erp
from synchromesh.connectors.agreement import Connector, ConnectorFactory

CONNECTORS: Final = "synchromesh.connectors"
LOGS: Final = "synchromesh.logs"
STATES: Final = "synchromesh.states"


class NotInstalled(ValueError):
    """No installed package offers this plug-in, or the one that does can't be imported. The text says what to do."""


def names(group: str) -> list[str]:
    """The names of all plug-ins of a group, installed with this program."""
    return sorted(set(entry_points(group=group).names))


def load(group: str, name: str) -> object:
    """The object behind a plug-in's name. Raises `NotInstalled`, naming the nearest right name."""
    return _import(_entry(group, name), name)


def connector_factory(name: str) -> ConnectorFactory:
    """What makes connectors of this kind. Raises `NotInstalled`."""
    return cast(ConnectorFactory, load(CONNECTORS, name))


def connector_of(erp: Erp) -> Connector:
    """The connector of one business system. Raises `ValueError` naming a wrong key, `NotInstalled`."""
    return connector_factory(erp.connector)(erp.settings)


def _entry(group: str, name: str) -> EntryPoint:
    for entry in entry_points(group=group, name=name):
        return entry
    raise NotInstalled(f"no installed package offers {name!r} in {group}; {nearest(name, names(group))}")


def _import(entry: EntryPoint, name: str) -> object:
    try:
        return entry.load()
    except ImportError as error:
        raise NotInstalled(f"{name!r} needs a package that is not installed ({error}); try pip install 'synchromesh[{name}]'") from error
