"""Putting a backup into an empty installation: the log as it was, and the state as the log makes it.

What the installation did after the backup was made is not in it, and some of that may be in the business systems. So what was sent is not
known afterwards, every plant's keys get a new series, and each log says from then on that it is a copy: what comes of the messages in it
is asked about before it is sent, also when it becomes ready only much later.
"""

from __future__ import annotations

import secrets
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from synchromesh.app.backup import KINDS, Progress
from synchromesh.app.binding import UNFINISHED, same_history, same_log
from synchromesh.app.holding import Holding
from synchromesh.app.manifest import Manifest, check_files, copied_history, forwards_of, read_manifest
from synchromesh.app.owners import owner
from synchromesh.app.placing import whole_only
from synchromesh.app.settings import Settings
from synchromesh.app.stores import Stores
from synchromesh.engine.activation import is_copy
from synchromesh.engine.rebuild import fingerprint, rebuild, restore_forwards
from synchromesh.engine.worker import Worker
from synchromesh.log.agreement import Log, LogCorrupt, LogError
from synchromesh.log.carrying import carry
from synchromesh.model.message import Message
from synchromesh.sqlite.database import in_words
from synchromesh.state.agreement import Outbox, State


class Restored(msgspec.Struct, frozen=True):
    """One partition: through where its log is there again, at which position the state was made again, and whether it is what it was when
    the backup was made."""

    partition: str
    head: int
    position: int
    same: bool


class Restoration(msgspec.Struct, frozen=True):
    """What a restore came to. `finished` tells whether the installation can start; `synchromesh` is the version that made the backup."""

    backup: str
    synchromesh: str
    finished: bool
    partitions: tuple[Restored, ...]


def restore(settings: Settings, backup: Path, progress: Progress, *, differing: bool = False) -> Restoration:
    """Put a backup into an empty installation, or go on with the one of this backup that was interrupted. A state that the log does not
    make as it was leaves the installation unfinished, unless it may be `differing`.

    Raises `RuntimeError` where somebody runs on the data folder, `LogError`, `LogCorrupt` and `StateError`; an installation that has
    something in it is refused before anything is written.
    """
    holding = Holding(settings.synchromesh.data, "")
    try:
        with _unpacked(backup, settings.synchromesh.data) as folder:
            manifest = read_manifest(folder)
            check_files(folder, manifest)
            return _restore(settings, folder, manifest, progress, differing)
    finally:
        holding.release()


def as_found(settings: Settings) -> Restoration:
    """Let an installation that was put back by other means (a snapshot of its disk, a database at an earlier moment) know that it may be an
    older copy: its logs say so from now on, and the state is folded through there.

    Raises `RuntimeError` where somebody runs on the data folder, `LogError`, `LogCorrupt` and `StateError`.
    """
    whole_only(settings, "telling that it may be an older copy")
    holding = Holding(settings.synchromesh.data, "")
    try:
        stores = Stores(settings)
        with closing(stores.log()) as log, closing(stores.state()) as state:
            same_log(state.origin(log.id()), log.id())
            heads = log.head()
            if not heads:
                raise LogError("nothing is stored here; nothing was changed: name the backup to restore")
            same_history(heads, state.positions(), settings.synchromesh.data)
            name, now = f"found-{secrets.token_hex(8)}", datetime.now(UTC)
            log.append([is_copy(partition, name, head, now) for partition, head in heads.items()])
            worker = Worker(log, state, heads, owner("restore"), now=lambda: now)
            while worker.step():
                pass
            found = tuple(Restored(each, head, worker.positions[each], same=True) for each, head in sorted(heads.items()))
            worker.leave()
        return Restoration(name, version("synchromesh"), finished=True, partitions=found)
    finally:
        holding.release()


@contextmanager
def _unpacked(backup: Path, beside: Path) -> Iterator[Path]:
    """The backup as a folder."""
    if backup.is_dir():
        yield backup
        return
    if not backup.exists():
        raise LogError(f"there is no backup at {backup}")
    with tempfile.TemporaryDirectory(prefix="restore-", dir=beside) as folder:
        with in_words(backup, KINDS, "unpacking the backup"):
            try:
                with tarfile.open(backup, "r:") as tar:
                    tar.extractall(folder, filter="data")
            except tarfile.TarError as error:
                raise LogCorrupt(f"{backup} can't be unpacked ({error}); use another backup") from error
        yield Path(folder)


def _restore(settings: Settings, folder: Path, manifest: Manifest, progress: Progress, differing: bool) -> Restoration:
    whole_only(settings, "restoring")
    stores = Stores(settings)
    with ExitStack() as opened:
        log, state = opened.enter_context(closing(stores.log())), opened.enter_context(closing(stores.state()))
        with closing(stores.outbox()) as outbox:
            _begin(f"{UNFINISHED}restore of {manifest.name}", stores, log, state, outbox)
        for partition, kept in manifest.partitions.items():
            carry(copied_history(folder, manifest, partition), log, stores.archive, partial(progress, f"{partition}: log", kept.head))
        forwards = forwards_of(folder)
        found = tuple(_rebuild(stores, state, name, manifest, forwards.get(name, []), progress) for name in manifest.partitions)
        state.leave(REBUILT_BY)
        finished = differing or all(each.same for each in found)
        if finished:
            state.rebind(log.id())
        return Restoration(manifest.name, manifest.synchromesh, finished, found)


REBUILT_BY: Final = "rebuild"


def _begin(mark: str, stores: Stores, log: Log, state: State, outbox: Outbox) -> None:
    """Mark an empty installation as the one that is filled. Raises `LogError` for one that has something in it."""
    known = state.origin("")
    if known == mark:
        return
    if known or log.head() or state.positions() or outbox.known():
        raise LogError(
            f"this installation has something in it ({', '.join(_contents(log, state, outbox)) or 'it has been started'}); nothing was "
            "changed: restore into one with an empty data folder, an empty database and a stream of its own"
        )
    if stores.archive.exists() and any(stores.archive.iterdir()):
        raise LogError(f"the archive {stores.archive} has something in it; nothing was changed: name another one, or move it away")
    state.rebind(mark)


def _contents(log: Log, state: State, outbox: Outbox) -> Iterator[str]:
    if heads := log.head():
        yield f"{sum(heads.values())} messages"
    if positions := state.positions():
        yield f"a state of {len(positions)} partitions"
    if known := outbox.known():
        yield f"claims of {len(known)} partitions"


def _rebuild(stores: Stores, state: State, partition: str, manifest: Manifest, forwards: list[Message], progress: Progress) -> Restored:
    kept = manifest.partitions[partition]
    if not kept.position:
        return Restored(partition, kept.head, 0, same=True)
    reached = rebuild(partition, stores.history(partition), kept.position, state, partial(progress, f"{partition}: state", kept.position))
    restore_forwards(partition, forwards, state)
    return Restored(partition, kept.head, reached, same=fingerprint(state.rows(partition)) == kept.fingerprint)
