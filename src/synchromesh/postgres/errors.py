"""What PostgreSQL and its driver say, in the words and kinds of the agreements: what failed, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg

from synchromesh.postgres.database import Database

_NOTHING: Final = "nothing was changed"
_FULL: Final = {"53100"}
_CORRUPT: Final = {"XX001", "XX002"}
_AWAY: Final = {
    "25006",  # the server takes no writes: it stands by, after a failover or before one
    "25P03",  # idle in a transaction for too long
    "40001",  # another transaction came between
    "40003",  # what became of it is not known
    "40P01",  # a deadlock
    "53200",  # out of memory
    "53300",  # too many connections
    "55P03",  # a lock was not to be had in time
    "57014",  # cancelled, by a time limit or by an administrator
    "57P01",  # shut down
    "57P02",  # crashed
    "57P03",  # starting
    "57P05",  # idle for too long
}
_RIGHTS: Final = {"42501"}
_GONE: Final = {"3F000", "42P01", "42703"}
_FOR_GOOD: Final = re.compile(
    r"authentication failed|no password supplied|(role|database) \".*\" does not exist|no pg_hba\.conf entry|certificate|"
    r"does not support SSL|not permitted to log in|permission denied for database|could not translate host name|invalid \w+ value"
)
_FOR_NOW: Final = re.compile(
    r"shutting down|starting up|recovery|refused|reset by peer|closed the connection|time(d )?out|too many|connection slots|"
    r"session is (read-only|not read-only)|unreachable|No route"
)
"""libpq tells why it could not connect in words only, those of all hosts and ways that it tried. Other words, and those of other languages,
count as what may pass."""


_GRANT: Final = "grant it what docs/how-to/postgres.md lists; where tables are missing or older let their owner run synchromesh migrate"


class Kinds(NamedTuple):
    """The exceptions of the agreement that a store answers to."""

    error: type[Exception]
    full: type[Exception]
    corrupt: type[Exception]
    away: type[Exception]


@contextmanager
def in_words(database: Database, kinds: Kinds, doing: str) -> Iterator[None]:
    """Turn what the driver says into the agreement's exceptions. What is none of the driver's passes as it is."""
    try:
        yield
    except psycopg.Error as error:
        raise told(error, database, kinds, doing) from error


def told(error: psycopg.Error, database: Database, kinds: Kinds, doing: str) -> Exception:
    """The agreement's exception for an error of the driver."""
    state, what, where = "53100" if _no_room(error) else error.sqlstate or "", _said(error), f"{doing}: {database}"
    if away(error):
        return kinds.away(f"{where}: the server can't be reached just now ({what}); it may work later")
    for states, kind, sentence in (
        (_FULL, kinds.full, "no room to write; {}; free space on the server's disk, then go on"),
        (_CORRUPT, kinds.corrupt, "the database is damaged; {}: stop all processes and restore it from a backup"),
        (_GONE, kinds.corrupt, "tables are missing or not as this program made them; {}: restore them from a backup"),
        (_RIGHTS, kinds.error, f"the role lacks a right; {{}}; {_GRANT}"),
    ):
        if state in states:
            return kind(f"{where}: {what}: {sentence.format(_NOTHING)}")
    if isinstance(error, psycopg.OperationalError) and not state:
        return kinds.error(f"{where}: {what}; make sure that host, port, database, user and password of the address are right")
    return kinds.error(f"{where}: {what} (PostgreSQL error {state or type(error).__name__}); {_NOTHING}")


def away(error: psycopg.Error) -> bool:
    """Whether the same may work a little later: the server is gone, starting or busy, or the connection to it is cut."""
    if error.sqlstate:
        return error.sqlstate in _AWAY or error.sqlstate.startswith("08")
    said = str(error)
    return isinstance(error, psycopg.OperationalError) and (not _FOR_GOOD.search(said) or bool(_FOR_NOW.search(said)))


def cut(error: psycopg.Error) -> bool:
    """Whether it is not known what became of the statement: the connection ended under it."""
    return isinstance(error, psycopg.OperationalError) and (not error.sqlstate or error.sqlstate.startswith(("08", "57P")))


def _no_room(error: psycopg.Error) -> bool:
    """A quota or a limit on the size of files has no code of its own: the server could not let a file grow."""
    return error.sqlstate == "XX000" and error.diag.source_function in {"mdextend", "mdzeroextend"}


def _said(error: psycopg.Error) -> str:
    """The error's first line; an address or a password is in none of libpq's and the server's."""
    return (error.diag.message_primary or str(error) or type(error).__name__).strip().replace("\n", " ")
