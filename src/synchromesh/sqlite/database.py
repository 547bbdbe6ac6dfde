"""Opening, creating and writing a database file so that what was committed stays committed.

WAL with `synchronous=FULL`: a commit returns when its bytes are on the disk. A file appears under its name only when it is complete,
so an empty or half-made file under that name is damage and never taken for a new store.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

BUSY_MS: Final = 30_000
"""How long SQLite itself may wait: only for recovery after a crash and for a checkpoint, since writers queue at the lock."""

_DAMAGE: Final = {apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB}
_FULL: Final = "no room to write ({}); nothing was changed; free space on this disk, then go on"
_SYSTEM_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM: Final = {apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_TRUNCATE}


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
    except apsw.Error as error:
        raise told(getattr(error, "extendedresult", apsw.SQLITE_ERROR), str(error), path, kinds, doing) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise kinds.error(f"{doing}: {path}: a value can't be stored ({error}); nothing was changed") from error
    except OSError as error:
        if error.errno in _SYSTEM_NO_ROOM:
            raise kinds.full(f"{doing}: {path}: {_FULL.format(error.strerror)}") from error
        raise kinds.error(f"{doing}: {path}: {error.strerror or error}; make sure that the directory exists and is writable") from error


def told(code: int, what: str, path: Path, kinds: Kinds, doing: str) -> Exception:
    """The agreement's exception for an error of SQLite, by its extended code."""
    primary = code & 0xFF
    if primary in _DAMAGE:
        return damaged(path, kinds, f"{doing}: {what}")
    if primary == apsw.SQLITE_FULL or code in _NO_ROOM:
        return kinds.full(f"{doing}: {path}: {_FULL.format(what)}")
    if primary in (apsw.SQLITE_CANTOPEN, apsw.SQLITE_READONLY):
        return kinds.error(f"{doing}: {path}: {what}; make sure that the directory exists and that this user may write there")
    return kinds.error(f"{doing}: {path}: {what} (SQLite error {code}); nothing was changed")


def damaged(path: Path, kinds: Kinds, what: str) -> Exception:
    """The exception for a damaged file. Nothing is ever repaired in place."""
    return kinds.corrupt(
        f"{path} is damaged ({what}); nothing was changed: stop all processes, keep the file for examination and put "
        "the last snapshot or backup in its place"
    )


def connect(path: Path, *, cache_kib: int, read_only: bool = False) -> apsw.Connection:
    """Open an existing database in the one way that keeps commits. Transactions are explicit (`transaction`).

    The connection may be used by any thread, by one at a time. `cache_kib` bounds its page cache.
    """
    mode = "ro" if read_only else "rw"
    connection = apsw.Connection(f"{path.absolute().as_uri()}?mode={mode}", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    try:
        connection.set_busy_timeout(BUSY_MS)
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
    connection = apsw.Connection(str(provisional))
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
    sync(provisional)
    provisional.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content durable, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def transaction(connection: apsw.Connection, begin: str = "BEGIN IMMEDIATE", commit: Callable[[], object] | None = None) -> Iterator[None]:
    """All of the block or nothing. The commit is durable when the block is left; `commit` is how it is made, where not here and now."""
    connection.execute(begin)
    try:
        yield
        if commit is None:
            connection.execute("COMMIT")
        else:
            commit()
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def query(connection: apsw.Connection, sql: str, values: Sequence[object] = ()) -> list[Any]:
    """All rows of a statement: tuples, whose types the statement decides. Of several statements each is run to its end."""
    return connection.execute(sql, values).fetchall()


def data_version(connection: apsw.Connection, schema: str = "main") -> int:
    """A number that changes when another connection has committed."""
    version: int = query(connection, f"PRAGMA {schema}.data_version")[0][0]
    return version
