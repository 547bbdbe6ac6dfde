"""Opening log and state as the settings name them. Which implementation that is, only the entry points know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Protocol, cast

from synchromesh.app import plugins
from synchromesh.app.placing import DEFAULT, Placing
from synchromesh.app.settings import Settings
from synchromesh.log.agreement import Log, Place, Trimmed, Version
from synchromesh.log.archive import read_archive
from synchromesh.model.message import Record
from synchromesh.state.agreement import Outbox, Reading, Snapshots, State
from synchromesh.state.parts import PartedReading, Parts

LOCAL: Final = "sqlite"
"""The kind of store that is a file of this machine."""

MADE: Final = "made"
"""A file of the data folder: the installation has worked here."""

PAGE: Final = 5_000


class LogKind(Protocol):
    """What an entry point of `synchromesh.logs` names: a module that opens logs."""

    def open_log(self, place: Place) -> Log: ...

    def version_of(self, place: Place) -> Version: ...


class StateKind(Protocol):
    """What an entry point of `synchromesh.states` names: a module that opens a store in each of its three roles."""

    def open_state(self, place: Place) -> State: ...

    def open_outbox(self, place: Place) -> Outbox: ...

    def open_reading(self, place: Place) -> Reading: ...

    def version_of(self, place: Place) -> Version: ...

    def set_aside(self, place: Place, mark: str) -> None:
        """Empty the store, also one that can't be read, so that it can be made again; it is bound to `mark` then (`State.rebind`). What is
        known of claims stays only where it is not part of the store; else nothing is known of them any more."""
        ...


class Stores:
    """The log and the state of one installation. Raises `LogError` and `StateError` with what to do when one can't be opened."""

    def __init__(self, settings: Settings) -> None:
        general = settings.synchromesh
        self._folder = general.data
        self._archive = general.data / settings.log.archive
        self._log_place, self._state_place, *others = (
            Place(address, self._folder, self._archive, general.name, more)
            for address, more in [
                (settings.log.address, settings.log.settings),
                *((table.address, table.settings) for table in (settings.state, *settings.states.values())),
            ]
        )
        self.placing = Placing(settings)
        """Which part of the state has what."""
        self._places = dict(zip(self.placing.parts, (self._state_place, *others), strict=True))
        self._log = cast(LogKind, plugins.load(plugins.LOGS, _scheme(settings.log.address)))
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def made(self) -> bool:
        """Whether the installation has worked from this folder before."""
        return (self._folder / MADE).exists()

    def worked(self) -> None:
        """Remember that both could be opened from this folder."""
        (self._folder / MADE).touch()

    @property
    def of_this_folder(self) -> bool:
        """Whether log or state are files of this folder, so that nobody else may run on it."""
        return LOCAL in (_scheme(self._log_place.address), _scheme(self._state_place.address))

    @property
    def archive(self) -> Path:
        """The folder of what left the log."""
        return self._archive

    @property
    def state_address(self) -> tuple[object, ...]:
        """What tells the state from every other one, as far as the settings do."""
        place = self._state_place
        return (place.address, sorted(place.more.items()), place.folder.resolve() if _scheme(place.address) == LOCAL else "")

    def log(self) -> Log:
        return self._log.open_log(self._log_place)

    def state(self, part: str = DEFAULT) -> State:
        return self._kind(part).open_state(self._places[part])

    def versions(self) -> tuple[Version, Version]:
        """Of which version the log and the default state are; nothing is changed. Raises what opening them would, for what can't be used or
        migrated."""
        return self._log.version_of(self._log_place), self._kind(DEFAULT).version_of(self._places[DEFAULT])

    def outbox(self, part: str = DEFAULT) -> Outbox:
        return self._kind(part).open_outbox(self._places[part])

    def reading(self) -> Reading:
        """All parts, to be asked as one."""
        if self.placing.whole:
            return self.reading_of(DEFAULT)
        openings = {part: partial(self.reading_of, part) for part in self.placing.parts}
        return PartedReading(Parts(self.placing.of_partition, self.placing.of_system, openings))

    def reading_of(self, part: str) -> Reading:
        return self._kind(part).open_reading(self._places[part])

    def _kind(self, part: str) -> StateKind:
        return cast(StateKind, plugins.load(plugins.STATES, _scheme(self._places[part].address)))

    def set_aside(self, mark: str) -> None:
        """Empty the state, which nobody has open; it is bound to `mark` then."""
        self._kind(DEFAULT).set_aside(self._state_place, mark)

    def scratch(self, folder: Path) -> State:
        """An empty store of this machine in a folder that is made: what is folded into it has the same rows in every kind of store."""
        folder.mkdir()
        kind = cast(StateKind, plugins.load(plugins.STATES, LOCAL))
        return kind.open_state(Place(f"{LOCAL}:", folder, folder))

    def frozen(self, folder: Path, part: str = DEFAULT) -> State:
        """A part of the state as it is now, to be asked at length. Raises `StateError` where it can't be had."""
        state = self.state(part)
        try:
            return cast(Snapshots, state).frozen(folder)
        finally:
            state.close()

    def history(self, partition: str) -> Iterator[Record]:
        """Everything that a partition was ever told: the archive, whose chain is checked on the way, and then the log."""
        position = 0
        for record in read_archive(self._archive, partition):
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


def _scheme(address: str) -> str:
    return address.partition(":")[0]
