"""Setting a store's file aside, so that the store is made again in its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from synchromesh.sqlite.database import connect, sync
from synchromesh.sqlite.lock import WriterLock
from synchromesh.state.sqlite.schema import in_state_words
from synchromesh.state.sqlite.store import SqliteState, lock_of

ASIDE: Final = ".aside"
"""What the name of a store ends with that was set aside. The next one takes its place."""


def set_aside(path: Path, mark: str) -> None:
    """Let an empty store be at `path` that is bound to `mark`. Interrupted, either what was there is there, or nothing."""
    with in_state_words(path, "setting the state aside"), WriterLock(lock_of(path)):
        if path.exists():
            _write_back(path)
        # The file itself goes last: what SQLite keeps beside it must never stand beside another one.
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(part.with_name(path.name + ASIDE + suffix))
        sync(path.parent)
    state = SqliteState(path)
    try:
        state.rebind(mark)
    finally:
        state.close()


def _write_back(path: Path) -> None:
    """Let the file hold everything that was committed. One that can't be read stays as it is."""
    with suppress(apsw.Error):
        connection = connect(path, cache_kib=1024)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
