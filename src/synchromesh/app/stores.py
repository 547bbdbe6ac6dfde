"""Opening log and state as the settings name them. Which implementation that is, only the entry points know."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

from synchromesh.app import plugins
from synchromesh.app.settings import Settings
from synchromesh.log.agreement import Log
from synchromesh.state.agreement import Outbox, Reading, State


class LogKind(Protocol):
    """What an entry point of `synchromesh.logs` names: a module that opens logs."""

    def open_log(self, path: Path) -> Log: ...


class StateKind(Protocol):
    """What an entry point of `synchromesh.states` names: a module that opens a store in each of its three roles."""

    def open_state(self, path: Path) -> State: ...

    def open_outbox(self, path: Path) -> Outbox: ...

    def open_reading(self, path: Path) -> Reading: ...


class Stores:
    """The log and the state of one installation. Raises `LogError` and `StateError` with what to do when one can't be opened."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.synchromesh.data
        self._log = cast(LogKind, plugins.load(plugins.LOGS, settings.log.kind))
        self._state = cast(StateKind, plugins.load(plugins.STATES, settings.state.kind))
        self._data.mkdir(parents=True, exist_ok=True)

    def log(self) -> Log:
        return self._log.open_log(self._data / "log.db")

    def state(self) -> State:
        return self._state.open_state(self._data / "state.db")

    def outbox(self) -> Outbox:
        return self._state.open_outbox(self._data / "state.db")

    def reading(self) -> Reading:
        return self._state.open_reading(self._data / "state.db")
