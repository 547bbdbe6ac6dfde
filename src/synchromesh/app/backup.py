"""A backup of what an installation was told and of what it had come to, taken while it runs.

A backup is the log, which everything else is made of, and the fingerprint of the state at a position that the log has. So it is consistent
without stopping anybody: the state is looked at first, at one moment, and then the log is read through where it stands, which is never
before the state. What was sent (claims) is no part of it: an older copy of that would be trusted and wrong.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.binding import same_log
from synchromesh.app.manifest import ARCHIVE, FORMAT, FORWARDS, MANIFEST, Kept, Manifest, file_of, files_of
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.rebuild import fingerprint
from synchromesh.log.agreement import Log, LogCorrupt, LogError, LogFull
from synchromesh.log.carrying import history_of, write
from synchromesh.model.message import Message
from synchromesh.sqlite.database import Kinds, in_words, sync
from synchromesh.state import encoding
from synchromesh.state.agreement import State

PACKED: Final = ".tar"
"""How the name of a backup ends that is one file."""

ALL: Final = 1 << 30
KINDS: Final = Kinds(LogError, LogFull, LogCorrupt)

Progress = Callable[[str, int, int], None]
"""Hears partition, end and position."""


class _Moment(msgspec.Struct):
    """What the state was at one moment; where it is in several databases, each of them at one of its own."""

    positions: dict[str, int]
    fingerprints: dict[str, str]
    forwards: list[tuple[str, Message]]


def back_up(settings: Settings, config: Path, to: Path, progress: Progress) -> Manifest:
    """Write a backup to a folder or, where the name ends with `.tar`, to one file: there complete and durable, or not at all.

    Raises `LogError`, `LogFull`, `LogCorrupt` and `StateError`; nothing of the installation is changed.
    """
    if to.exists():
        raise LogError(f"{to} is there already; name a place for the backup that is not")
    unfinished = to.with_name(f".{to.name}.unfinished")
    with in_words(to, KINDS, "writing the backup"):
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700, parents=True)
        try:
            manifest = _fill(settings, config, unfinished, progress)
            _publish(unfinished, to)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def _fill(settings: Settings, config: Path, folder: Path, progress: Progress) -> Manifest:
    stores = Stores(settings)
    with closing(stores.log()) as log:
        chains = {partition: log.chain(partition) for partition in log.head()}  # what is archived now, the state has passed
        moment = _moment(stores, log, folder)
        heads = log.head()
        if not heads:
            raise LogError("nothing is stored yet; there is nothing to back up")
        partitions = {
            partition: _keep(stores, log, partition, chains.get(partition, ""), head, moment, folder, partial(progress, partition, head))
            for partition, head in sorted(heads.items())
        }
        (folder / FORWARDS).write_bytes(msgspec.msgpack.encode(moment.forwards))
        named = {"path": str(config.resolve()), "sha256": file_of(config).sha256}
        manifest = Manifest(
            FORMAT, version("synchromesh"), datetime.now(UTC), settings.synchromesh.name, log.id(), named, partitions, files_of(folder)
        )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return manifest


def _moment(stores: Stores, log: Log, folder: Path) -> _Moment:
    moment = _Moment({}, {}, [])
    for part in stores.placing.parts:
        with closing(stores.state(part)) as state:
            same_log(state.origin(log.id()), log.id())
        with tempfile.TemporaryDirectory(prefix="state-", dir=folder) as copy, closing(stores.frozen(Path(copy), part)) as kept:
            _look(kept, moment)
    return moment


def _look(kept: State, moment: _Moment) -> None:
    moment.positions.update(positions := kept.positions())
    for partition in positions:
        moment.fingerprints[partition] = fingerprint(_noting_forwards(partition, kept.rows(partition), moment.forwards))


def _noting_forwards(partition: str, rows: Iterator[encoding.Row], forwards: list[tuple[str, Message]]) -> Iterator[encoding.Row]:
    for row in rows:
        if row[0] == "forward":
            forwards.append((partition, encoding.message(row[2])))
        yield row


def _keep(
    stores: Stores, log: Log, partition: str, chain: str, head: int, moment: _Moment, folder: Path, progress: Callable[[int], None]
) -> Kept:
    history = history_of(log, stores.archive, partition, chain, head)
    end = write(history, folder / ARCHIVE, progress)
    position = moment.positions.get(partition, 0)
    return Kept(history.trimmed, chain, head, end, position, moment.fingerprints.get(partition, ""))


def _publish(unfinished: Path, to: Path) -> None:
    """Give the finished backup its name."""
    if to.suffix != PACKED:
        for path in unfinished.rglob("*"):
            sync(path)
        sync(unfinished)
        unfinished.rename(to)
    else:
        packed = to.with_name(f".{to.name}.packing")
        with tarfile.open(packed, "w") as tar:
            tar.add(unfinished, arcname=".")
        packed.chmod(0o600)
        sync(packed)
        packed.rename(to)
    sync(to.parent)
