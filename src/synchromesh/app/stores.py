"""Opening log and state as the settings name them. Which implementation that is, only the entry points know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, cast

from synchromesh.app import plugins
from synchromesh.app.settings import Settings
from synchromesh.log.agreement import Log, Trimmed
from synchromesh.log.archive import read_archive
from synchromesh.model.message import Record
from synchromesh.state.agreement import Outbox, Reading, Snapshots, State

ARCHIVE: Final = "archive"
"""The folder beside the log that holds what was trimmed."""

PAGE: Final = 5_000


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

    @property
    def made(self) -> bool:
        """Whether both were made here before."""
        return (self._data / "log.db").exists() and (self._data / "state.db").exists()

    def log(self) -> Log:
        return self._log.open_log(self._data / "log.db")

    def state(self) -> State:
        return self._state.open_state(self._data / "state.db")

    def outbox(self) -> Outbox:
        return self._state.open_outbox(self._data / "state.db")

    def reading(self) -> Reading:
        return self._state.open_reading(self._data / "state.db")

    def scratch(self, path: Path) -> State:
        """A store of the same kind at another place."""
        return self._state.open_state(path)

    def snapshot(self, path: Path) -> None:
        """Copy the state as it is now. Raises `StateError` where this kind of store can't be copied."""
        state = self.state()
        try:
            cast(Snapshots, state).snapshot(path)
        finally:
            state.close()

    def history(self, partition: str) -> Iterator[Record]:
        """Everything that a partition was ever told: the archive, whose chain is checked on the way, and then the log."""
        position = 0
        for record in read_archive(self._data / ARCHIVE, partition):
            yield record
            position = record.position
        yield from self._behind(partition, position)

    def records(self, partition: str, first: int, last: int) -> Iterator[Record]:
        """What a partition was told from one position through another. The archive is read from its beginning where the log no longer has
        the first of them. Raises `LogError` where neither has them."""
        log = self.log()
        try:
            log.read({partition: first - 1}, 1)
            source = self._behind(partition, first - 1)
        except Trimmed:
            source = self.history(partition)
        finally:
            log.close()
        for record in source:
            if record.position > last:
                return
            if record.position >= first:
                yield record

    def _behind(self, partition: str, position: int) -> Iterator[Record]:
        """What the log has behind a position."""
        log = self.log()
        try:
            while records := log.read({partition: position}, PAGE).get(partition):
                yield from records
                position = records[-1].position
        finally:
            log.close()
