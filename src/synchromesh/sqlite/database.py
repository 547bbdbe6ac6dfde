"""Opening, creating and writing a database file so that what was committed stays committed.

WAL with `synchronous=FULL`: a commit returns when its bytes are on the disk. A file appears under its name only when it is complete,
so an empty or half-made file under that name is damage and never taken for a new store.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

BUSY_MS: Final = 30_000
"""How long SQLite itself may wait: only for recovery after a crash and for a checkpoint, since writers queue at the lock."""

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL: Final = "no room to write ({}); nothing was changed; free space on this disk, then go on"
_SYSTEM_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM: Final = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE}


class Kinds(NamedTuple):
    """The exceptions of the agreement that a store answers to."""

    error: type[Exception]
    full: type[Exception]
    corrupt: type[Exception]


@contextmanager
def in_words(path: Path, kinds: Kinds, doing: str) -> Iterator[None]:
    """Turn what SQLite or the system says into the agreement's exceptions: what failed, where, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path, kinds, doing) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise kinds.error(f"{doing}: {path}: a value can't be stored ({error}); nothing was changed") from error
    except OSError as error:
        if error.errno in _SYSTEM_NO_ROOM:
            raise kinds.full(f"{doing}: {path}: {_FULL.format(error.strerror)}") from error
        raise kinds.error(f"{doing}: {path}: {error.strerror or error}; make sure that the directory exists and is writable") from error


def _translated(error: sqlite3.Error, path: Path, kinds: Kinds, doing: str) -> Exception:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF
    if primary in _DAMAGE:
        return damaged(path, kinds, f"{doing}: {error}")
    if primary == sqlite3.SQLITE_FULL or code in _NO_ROOM:
        return kinds.full(f"{doing}: {path}: {_FULL.format(error)}")
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return kinds.error(f"{doing}: {path}: {error}; make sure that the directory exists and that this user may write there")
    return kinds.error(f"{doing}: {path}: {error} (SQLite error {code}); nothing was changed")


def damaged(path: Path, kinds: Kinds, what: str) -> Exception:
    """The exception for a damaged file. Nothing is ever repaired in place."""
    return kinds.corrupt(
        f"{path} is damaged ({what}); nothing was changed: stop all processes, keep the file for examination and put "
        "the last snapshot or backup in its place"
    )


def connect(path: Path, *, cache_kib: int, read_only: bool = False) -> sqlite3.Connection:
    """Open an existing database in the one way that keeps commits. Transactions are explicit (`transaction`).

    The connection may be used by any thread, by one at a time. `cache_kib` bounds its page cache.
    """
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA cell_size_check = ON")
        if not read_only:
            connection.execute("PRAGMA synchronous = FULL")
            # Deleted rows need not be overwritten with zeros: it doubles what a commit writes.
            connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path, build: Callable[[Path], None], *, page_size: int = 4096) -> None:
    """Make the database under a provisional name, let `build` fill it, and only then give it its name, durably.

    To be called under the writer's lock. A provisional file that a crash left behind is thrown away.
    """
    provisional = path.with_name(path.name + ".new")
    for leftover in (provisional, provisional.with_name(provisional.name + "-wal"), provisional.with_name(provisional.name + "-shm")):
        leftover.unlink(missing_ok=True)
    connection = sqlite3.connect(provisional, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    build(provisional)
    publish(provisional, path)


def publish(provisional: Path, path: Path) -> None:
    """Give a complete file its name, so that after a power cut either it or what was there before is there."""
    with provisional.open("rb") as file:
        os.fsync(file.fileno())
    provisional.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of the block or nothing. The commit is durable when the block is left."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def data_version(connection: sqlite3.Connection, schema: str = "main") -> int:
    """A number that changes when another connection has committed."""
    version: int = connection.execute(f"PRAGMA {schema}.data_version").fetchone()[0]
    return version
